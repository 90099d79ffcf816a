//! Patterns that everybody needs, by name. None of them is a proof: they find what looks like it.

use super::Pattern;

/// Decides what a pattern cannot say.
pub(super) type Check = fn(&str) -> bool;

/// The names, for messages and documentation.
pub const NAMES: [&str; 6] = ["email", "iban", "credit_card", "aws_key", "bearer_token", "api_key"];

/// The pattern of a name.
#[must_use]
pub fn named(name: &str) -> Option<Pattern> {
    let (text, check): (&str, Option<Check>) = match name {
        "email" => (
            r"\b[0-9A-Za-z][0-9A-Za-z._%+-]*@[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?(?:\.[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?)+\b",
            None,
        ),
        // ISO 13616, in one piece or in groups of four.
        "iban" => (r"\b[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,3})?\b", Some(is_iban)),
        // ISO/IEC 7812: 13 to 19 digits, the last one a check digit.
        "credit_card" => (r"\b[0-9](?:[ -]?[0-9]){12,18}\b", Some(is_card)),
        "aws_key" => (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", None),
        // RFC 6750, section 2.1.
        "bearer_token" => (r"(?i)\bbearer[ ]+[0-9a-z._~+/-]{16,}=*", None),
        // OpenAI, Anthropic, Google, GitHub, Slack.
        "api_key" => (
            r"\b(?:sk-[0-9A-Za-z_-]{20,}|AIza[0-9A-Za-z_-]{35}|gh[pousr]_[0-9A-Za-z]{36,}|xox[abprs]-[0-9A-Za-z-]{10,})",
            None,
        ),
        _ => return None,
    };
    Pattern::checked(text, check).ok()
}

/// The check digit of ISO/IEC 7812-1 (Luhn).
fn is_card(text: &str) -> bool {
    let digits = text.bytes().rev().filter(u8::is_ascii_digit).map(|digit| u32::from(digit - b'0'));
    let sum: u32 = digits
        .enumerate()
        .map(|(index, digit)| if index % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    sum.is_multiple_of(10)
}

/// The check digits of ISO 7064 (97-10), and a length there is.
fn is_iban(text: &str) -> bool {
    let bare: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    if !(15..=34).contains(&bare.len()) {
        return false;
    }
    let turned = bare[4..].iter().chain(&bare[..4]);
    let rest = turned.fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    rest == 1
}
