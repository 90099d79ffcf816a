//! What glances at answers share: a glance that is not sure says so, and the full parse has the last word.

use super::json::{Bad, Scan};

/// It takes a closer look.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsure;

impl From<Bad> for Unsure {
    fn from(_: Bad) -> Self {
        Self
    }
}

pub(super) fn sure(sure: bool) -> Result<(), Unsure> {
    if sure { Ok(()) } else { Err(Unsure) }
}

/// Notes a key's bit; a key that comes again takes a closer look.
pub(super) fn once(keys: &mut u8, bit: u8) -> Result<(), Unsure> {
    sure(*keys & bit == 0)?;
    *keys |= bit;
    Ok(())
}

/// The next value: a string without escapes.
pub(super) fn plain<'a>(scan: &mut Scan<'a>) -> Result<&'a str, Unsure> {
    scan.plain()?.ok_or(Unsure)
}

/// Answers that are nearly like another one: members said twice, left out, added, or with another value.
#[cfg(test)]
pub(super) mod twisted {
    use serde_json::Value;

    /// A row of numbers that is the same in every run.
    pub(in crate::dialect) fn seeded(seed: &mut u64) -> usize {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as usize
    }

    const VALUES: &[&str] = &[
        "null",
        "[]",
        "{}",
        "[null]",
        "[{}]",
        "true",
        "0",
        "7",
        "12345",
        "-1",
        "1.5",
        "4294967296",
        "18446744073709551616",
        r#""""#,
        r#""a""#,
        r#""stop""#,
        r#""error""#,
        r#""text""#,
        r#""\u0061""#,
        r#""\ud800""#,
    ];

    /// `template` with one twist in every so many members, which are called as its own or by one of `names`.
    pub(in crate::dialect) fn twisted(template: &str, names: &[&str], seed: &mut u64) -> String {
        let template = serde_json::from_str(template).expect("the template is JSON");
        let mut out = String::new();
        write(&template, names, seed, &mut out);
        out
    }

    fn write(value: &Value, names: &[&str], seed: &mut u64, out: &mut String) {
        match value {
            Value::Object(members) => {
                let mut written = Vec::new();
                for (name, value) in members {
                    let (mut name, mut text) = (name.as_str(), String::new());
                    write(value, names, seed, &mut text);
                    match seeded(seed) % 60 {
                        0 => continue,
                        1 => text = VALUES[seeded(seed) % VALUES.len()].to_owned(),
                        2 => written.push(format!("\"{name}\":{text}")),
                        3 => written.push(format!("\"{name}\":{}", VALUES[seeded(seed) % VALUES.len()])),
                        4 => name = names[seeded(seed) % names.len()],
                        5..10 => {
                            let name = names[seeded(seed) % names.len()];
                            // Half of them say nothing.
                            let value = VALUES[seeded(seed) % [2, VALUES.len()][seeded(seed) % 2]];
                            let times = 1 + seeded(seed) % 2;
                            written.extend(vec![format!("\"{name}\":{value}"); times]);
                        }
                        _ => {}
                    }
                    written.push(format!("\"{name}\":{text}"));
                }
                *out += &format!("{{{}}}", written.join(","));
            }
            Value::Array(elements) => {
                let mut written = Vec::new();
                for element in elements {
                    let mut text = String::new();
                    write(element, names, seed, &mut text);
                    written.push(text);
                }
                *out += &format!("[{}]", written.join(","));
            }
            leaf => *out += &leaf.to_string(),
        }
    }
}
