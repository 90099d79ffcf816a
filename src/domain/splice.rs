//! Continuing a broken answer: what of the second answer is new, decided while it arrives.
//!
//! A second provider may repeat the delivered text from its start, begin again somewhere inside it, or simply go
//! on. A repetition of the whole, or of a tail long enough to be no accident, is dropped; anything else is the
//! continuation. Text is held back only while both are still possible: at most as much as was delivered.

/// A repeated tail shorter than this may be an accident, such as two closing brackets, and is kept.
const TAIL_BYTES_MIN: usize = 12;
/// Of these at least so many must be letters or digits: indentation repeats itself all the time.
const TAIL_LETTERS_MIN: usize = 6;
/// An answer that begins inside the delivered text is looked for in so much of its end.
const TAIL_BYTES_MAX: usize = 8 << 10;

/// One continuation being decided.
#[derive(Debug)]
pub struct Splice {
    delivered: String,
    /// Where in `delivered` the second answer may have begun, ascending; all of them still fit what is held.
    starts: Vec<usize>,
    /// What has arrived and is not decided.
    held: String,
    decided: bool,
}

impl Splice {
    /// A continuation of this text.
    #[must_use]
    pub fn new(delivered: &str) -> Self {
        let mut starts = Vec::new();
        if !delivered.is_empty() {
            starts.push(0);
            let trimmed = delivered.len() - delivered.trim_start().len();
            let mut earliest = delivered.len().saturating_sub(TAIL_BYTES_MAX);
            if trimmed > 0 && trimmed < delivered.len() {
                // The same text without its leading white space is still the whole.
                starts.push(trimmed);
                earliest = earliest.max(trimmed);
            }
            let latest = latest_start(delivered);
            let tails =
                (earliest.max(1)..=latest).filter(|at| delivered.is_char_boundary(*at) && *at != trimmed);
            starts.extend(tails);
        }
        let decided = starts.is_empty();
        Self { delivered: delivered.to_owned(), starts, held: String::new(), decided }
    }

    /// Takes more of the second answer; gives what is to be delivered now, never empty.
    #[must_use]
    pub fn push(&mut self, text: &str) -> Option<String> {
        if self.decided {
            return Some(text.to_owned()).filter(|text| !text.is_empty());
        }
        let before = self.held.len();
        self.held.push_str(text);
        let (delivered, held) = (self.delivered.as_bytes(), self.held.as_bytes());
        self.starts.retain(|start| {
            // What fitted before still fits: only the new part is compared.
            let expected = delivered.get(start + before..).unwrap_or_default();
            let arrived = &held[before..];
            let common = expected.len().min(arrived.len());
            expected[..common] == arrived[..common]
        });
        let first = self.starts.first().copied();
        match first {
            None => self.decide(0),
            // The earliest start is the longest repetition; once it is complete nothing longer can come.
            Some(start) if self.held.len() >= self.delivered.len() - start => {
                self.decide(self.delivered.len() - start)
            }
            Some(_) => None,
        }
    }

    /// The second answer has ended: gives what was held back and is new after all.
    #[must_use]
    pub fn finish(&mut self) -> Option<String> {
        if self.decided {
            return None;
        }
        let complete = self.starts.iter().find(|start| self.held.len() >= self.delivered.len() - **start);
        let from_the_top = self.starts.first() == Some(&0);
        let repeated = match complete {
            Some(start) => self.delivered.len() - start,
            // It said less than what was delivered already, and nothing else.
            None if from_the_top && long_enough(&self.held) => self.held.len(),
            None => 0,
        };
        self.decide(repeated)
    }

    fn decide(&mut self, repeated: usize) -> Option<String> {
        self.decided = true;
        self.starts = Vec::new();
        let mut held = std::mem::take(&mut self.held);
        held.drain(..repeated);
        Some(held).filter(|text| !text.is_empty())
    }
}

/// The last place from which a tail is long enough; 0 when there is none.
fn latest_start(delivered: &str) -> usize {
    let mut letters = 0;
    for (at, letter) in delivered.char_indices().rev() {
        letters += usize::from(letter.is_alphanumeric());
        if letters >= TAIL_LETTERS_MIN && delivered.len() - at >= TAIL_BYTES_MIN {
            return at;
        }
    }
    0
}

fn long_enough(text: &str) -> bool {
    text.len() >= TAIL_BYTES_MIN
        && text.chars().filter(|letter| letter.is_alphanumeric()).count() >= TAIL_LETTERS_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Die Antwort lautet „zweiundvierzig“: it is short, 答えは四十二です, and quite often wrong. \
                        Ask again, ask again, ask again; then compare the answers.";

    fn cuts(text: &str) -> impl Iterator<Item = usize> {
        (0..=text.len()).filter(|at| text.is_char_boundary(*at))
    }

    /// Everything that is delivered of `second` after `delivered`, when it arrives in pieces of `size` characters.
    fn spliced(delivered: &str, second: &str, size: usize) -> String {
        let mut splice = Splice::new(delivered);
        let mut out = delivered.to_owned();
        let letters: Vec<char> = second.chars().collect();
        for piece in letters.chunks(size) {
            let piece: String = piece.iter().collect();
            out.extend(splice.push(&piece));
            assert!(splice.held.len() <= delivered.len() + piece.len(), "held back more than was delivered");
        }
        out.extend(splice.finish());
        out
    }

    #[test]
    fn a_whole_repetition_is_dropped_at_every_cut_and_in_pieces_of_every_size() {
        for cut in cuts(TEXT) {
            for size in [1, 2, 3, 7, 1_000] {
                assert_eq!(spliced(&TEXT[..cut], TEXT, size), TEXT, "cut at {cut}, pieces of {size}");
            }
        }
    }

    #[test]
    fn a_continuation_is_passed_on_at_every_cut() {
        for cut in cuts(TEXT).filter(|cut| *cut > 0) {
            // A rest that happens to repeat the end of what was delivered is not told from a repetition.
            if TEXT[..cut].contains("again, ask") && TEXT[cut..].contains("again") {
                continue;
            }
            for size in [1, 4, 1_000] {
                assert_eq!(spliced(&TEXT[..cut], &TEXT[cut..], size), TEXT, "cut at {cut}, pieces of {size}");
            }
        }
    }

    #[test]
    fn an_answer_that_begins_inside_is_joined_where_it_overlaps() {
        let text = "The first line is here.\nThe second line follows it.\nA third one ends it all, finally.";
        for cut in cuts(text) {
            for start in cuts(&text[..cut]).filter(|start| long_enough(&text[*start..cut])) {
                assert_eq!(spliced(&text[..cut], &text[start..], 5), text, "cut at {cut}, begun at {start}");
            }
        }
    }

    #[test]
    fn an_unrelated_answer_is_passed_on_whole() {
        for cut in cuts(TEXT) {
            let second = "Something else entirely.";
            assert_eq!(spliced(&TEXT[..cut], second, 3), format!("{}{second}", &TEXT[..cut]));
        }
    }

    #[test]
    fn an_answer_that_starts_alike_and_goes_another_way_is_passed_on_whole() {
        let (delivered, second) = ("Paris is the capital of France.", "Paris is the city of light.");
        assert_eq!(spliced(delivered, second, 4), format!("{delivered}{second}"));
    }

    #[test]
    fn a_short_overlap_is_an_accident_and_kept() {
        assert_eq!(spliced("let x = f(a", "a);", 1), "let x = f(aa);");
        let delivered = "fn main() {\n                ";
        let second = "                body();";
        assert_eq!(spliced(delivered, second, 3), format!("{delivered}{second}"));
        assert_eq!(spliced("It costs 1", "1 euro", 1), "It costs 11 euro");
    }

    #[test]
    fn leading_white_space_does_not_hide_a_repetition() {
        assert_eq!(spliced("\n Hi the", "Hi there", 2), "\n Hi there");
    }

    #[test]
    fn a_second_answer_that_says_less_than_was_delivered_adds_nothing() {
        let delivered = "A sentence of some length, and more.";
        assert_eq!(spliced(delivered, "A sentence of some length", 4), delivered);
        assert_eq!(spliced(delivered, "", 4), delivered);
        assert_eq!(spliced("He said no.", ".", 1), "He said no..");
    }

    #[test]
    fn nothing_is_held_back_once_it_is_decided() {
        let mut splice = Splice::new("Hello wor");
        assert_eq!(splice.push("ld"), Some("ld".to_owned()));
        assert_eq!(splice.push("Hello wor"), Some("Hello wor".to_owned()));
        assert_eq!(Splice::new("").push("at once"), Some("at once".to_owned()));
    }

    #[test]
    fn the_longest_of_several_possible_repetitions_is_dropped() {
        let delivered = "repeat me twice, repeat me twice, ";
        assert_eq!(
            spliced(delivered, "repeat me twice, repeat me twice, done", 3),
            format!("{delivered}done")
        );
    }

    /// The rule, with both texts at hand: the longest repetition is dropped, else everything is new.
    fn plainly(delivered: &str, second: &str) -> String {
        let trimmed = delivered.len() - delivered.trim_start().len();
        let may_begin = |at: &usize| *at == 0 || *at == trimmed || long_enough(&delivered[*at..]);
        let repeated = cuts(delivered)
            .filter(|at| *at < delivered.len() && (*at == 0 || *at >= trimmed))
            .filter(may_begin)
            .map(|at| delivered.len() - at)
            .find(|length| second.starts_with(&delivered[delivered.len() - length..]));
        match repeated {
            Some(length) => format!("{delivered}{}", &second[length..]),
            None if long_enough(second) && delivered.starts_with(second) => delivered.to_owned(),
            None => format!("{delivered}{second}"),
        }
    }

    #[test]
    fn however_it_arrives_it_is_the_plain_rule_for_texts_that_repeat_themselves_at_every_cut() {
        const WORDS: [&str; 8] = ["again, ", "ask ", "a", "  ", "ねえ", "\n", "again, ask ", "then"];
        let mut seed = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % below as u64).expect("small")
        };
        for _ in 0..300 {
            let text: String = (0..1 + random(12)).map(|_| WORDS[random(WORDS.len())]).collect();
            let other: String = (0..random(6)).map(|_| WORDS[random(WORDS.len())]).collect();
            for cut in cuts(&text) {
                let delivered = &text[..cut];
                let inside = cuts(delivered).nth(random(delivered.chars().count() + 1)).unwrap_or(0);
                // It continues, repeats all, repeats a part and goes on or goes another way, begins otherwise, is mute.
                let ways = [
                    text[cut..].to_owned(),
                    text.clone(),
                    text[inside..].to_owned(),
                    format!("{}{other}", &text[inside..cut]),
                    text[..inside].to_owned(),
                    other.clone(),
                    String::new(),
                ];
                for (way, second) in ways.iter().enumerate() {
                    let size = 1 + random(9);
                    assert_eq!(
                        spliced(delivered, second, size),
                        plainly(delivered, second),
                        "way {way}: {delivered:?} then {second:?} in pieces of {size}"
                    );
                }
                assert_eq!(plainly(delivered, &text), text, "all of it said again is the text itself");
            }
        }
    }

    #[test]
    fn a_long_monotonous_text_is_decided_quickly() {
        let delivered = "a".repeat(200_000);
        let second = format!("{delivered}b");
        assert_eq!(spliced(&delivered, &second, 4_096).len(), 200_001);
    }
}
