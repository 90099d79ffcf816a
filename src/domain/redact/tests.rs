//! Whatever the cut, a stream says what the whole text would have said.

use super::*;

fn rule(name: &str, pattern: &str) -> Rule {
    let pattern = Pattern::new(pattern).expect("it is a pattern");
    Rule { name: name.to_owned(), pattern, replace: format!("[{name}]"), on_requests: true, on_answers: true }
}

fn built_in() -> Vec<Rule> {
    NAMES
        .iter()
        .map(|name| Rule { pattern: named(name).expect("it is built in"), ..rule(name, "x") })
        .collect()
}

fn rules(all: &[Rule]) -> Rules {
    Rules::new(&all.iter().collect::<Vec<_>>()).expect("they are small")
}

fn whole(rules: &Rules, text: &str) -> (String, Vec<u64>) {
    let (mut scratch, mut counts) = (rules.scratch(), rules.counts());
    (rules.apply(text, &mut scratch, &mut counts).into_owned(), counts)
}

fn in_pieces<'t>(rules: &Rules, pieces: impl IntoIterator<Item = &'t str>) -> (String, Vec<u64>) {
    let (mut scratch, mut counts, mut watch) = (rules.scratch(), rules.counts(), Watch::default());
    let mut out = String::new();
    for piece in pieces {
        watch.push((rules, &mut scratch), piece, &mut counts, &mut out);
        assert!(watch.held() <= HELD_BYTES_MAX);
    }
    watch.end((rules, &mut scratch), &mut counts, &mut out);
    (out, counts)
}

const TEXT: &str = "Dear ü, bob@example.com, not@home, a.b+c@mail.example.co.uk. \
    Pay DE89 3704 0044 0532 0130 00 or GB82WEST12345698765432, not DE89 3704 0044 0532 0130 01. \
    Card 4111 1111 1111 1111, 4111-1111-1111-1112, 378282246310005; AKIAIOSFODNN7EXAMPLE \
    Authorization: Bearer abcdefghijklmnop.qrs== bearer short sk-abcdefghijklmnopqrstuvwx é@é.de";

#[test]
fn what_is_built_in_finds_what_looks_like_it_and_proves_what_can_be_proved() {
    let rules = rules(&built_in());
    let (text, counts) = whole(&rules, TEXT);
    assert_eq!(
        text,
        "Dear ü, [email], not@home, [email]. \
        Pay [iban] or [iban], not DE89 3704 0044 0532 0130 01. \
        Card [credit_card], 4111-1111-1111-1112, [credit_card]; [aws_key] \
        Authorization: [bearer_token] bearer short [api_key] é@é.de"
    );
    assert_eq!(counts, [2, 2, 2, 1, 1, 1]);
    let (same, counts) = whole(&rules, "nothing to see");
    assert_eq!((same.as_str(), counts.iter().sum::<u64>()), ("nothing to see", 0));
}

#[test]
fn an_iban_is_as_long_as_there_are() {
    let rules = rules(&built_in());
    // The shortest there is, Norway's, and one letter less.
    let (text, counts) = whole(&rules, "NO9386011117947 NO93 8601 1117 947 NO938601111794");
    assert_eq!((text.as_str(), counts[1]), ("[iban] [iban] NO938601111794", 2));
}

#[test]
fn every_cut_of_a_text_says_what_the_whole_says() {
    let mut own = built_in();
    own.push(rule("chain", &format!("Dear.{}[a-z@]{{1,9}}", ".".repeat(40))));
    own.extend([
        rule("word", r"(?i)secret(?:ly)?"),
        rule("line", r"(?m)^note: \S+$"),
        rule("any", r"<[^>]+>"),
    ]);
    let text = format!("{TEXT} SECRET secretly secre <tag> <open\nnote: all\nnote: not all SeCreT");
    let together = rules(&own);
    let mut sets: Vec<Rules> = own.iter().map(|one| rules(std::slice::from_ref(one))).collect();
    sets.push(together);
    for rules in &sets {
        let expected = whole(rules, &text);
        for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            assert_eq!(in_pieces(rules, [&text[..at], &text[at..]]), expected, "cut at {at}");
        }
        let letters: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(in_pieces(rules, letters.iter().map(String::as_str)), expected, "letter by letter");
    }
}

#[test]
fn random_texts_in_random_pieces_say_what_the_whole_says() {
    let own = [
        rule("a", "ab+c"),
        rule("b", r"\bb(?:a|bb)*\b"),
        rule("c", "c.{2,4}d"),
        rule("d", "(?i)d[^ab]{0,3}a$"),
        rule("e", "(?:a|ab)(?:c|bcd)"),
        rule("f", "^b"),
    ];
    let rules = rules(&own);
    let mut seed: u64 = 42;
    let mut chance = |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most
    };
    for _ in 0..3_000 {
        let length = chance(40);
        let text: String =
            (0..length).map(|_| ['a', 'b', 'c', 'd', ' ', 'ü', 'D'][chance(7) as usize]).collect();
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let mut at = (1 + chance(6) as usize).min(rest.len());
            while !rest.is_char_boundary(at) {
                at += 1;
            }
            pieces.push(&rest[..at]);
            rest = &rest[at..];
        }
        assert_eq!(in_pieces(&rules, pieces.iter().copied()), whole(&rules, &text), "{pieces:?}");
    }
}

#[test]
fn nothing_is_held_back_that_cannot_become_a_match() {
    let rules = rules(&built_in());
    let (mut scratch, mut counts, mut watch) = (rules.scratch(), rules.counts(), Watch::default());
    let mut push = |piece: &str| {
        let mut out = String::new();
        watch.push((&rules, &mut scratch), piece, &mut counts, &mut out);
        out
    };
    assert_eq!(push("Hello, "), "Hello, ");
    assert_eq!(push("world"), "", "it may be somebody's name");
    assert_eq!(push(" and ("), "world and (");
    assert_eq!(push("bob@"), "");
    assert_eq!(push("example.com"), "");
    assert_eq!(push("!"), "[email]!");
}

#[test]
fn no_more_is_held_back_than_the_limit() {
    let rules = rules(&[rule("long", "<[^>]*>")]);
    let inside = |length: usize| format!("<{}", "x".repeat(length));
    // Exactly at the limit it is still found, whatever the pieces; past it, it goes.
    let fits = inside(HELD_BYTES_MAX - 1);
    assert_eq!(in_pieces(&rules, [fits.as_str(), ">"]).0, "[long]");
    let long = inside(HELD_BYTES_MAX);
    assert_eq!(in_pieces(&rules, [long.as_str(), ">"]).0, format!("{long}>"));
    let umlauts = format!("<{}", "ü".repeat(HELD_BYTES_MAX));
    assert_eq!(in_pieces(&rules, [umlauts.as_str(), ">"]).0, format!("{umlauts}>"));
}

#[test]
fn the_first_match_counts_and_of_those_that_begin_together_the_first_rule() {
    let rules = rules(&[rule("long", "abcd"), rule("short", "abc"), rule("inner", "b")]);
    assert_eq!(whole(&rules, "abcd abc b").0, "[long] [short] [inner]");
    let turned = [rule("short", "abc"), rule("long", "abcd")];
    let turned = Rules::new(&turned.iter().collect::<Vec<_>>()).expect("they are small");
    assert_eq!(whole(&turned, "abcd").0, "[short]d");
    assert_eq!(in_pieces(&turned, ["a", "b", "c", "d"]).0, "[short]d");
}

#[test]
fn patterns_that_would_do_harm_are_refused_with_a_reason() {
    let why = |text: &str| Pattern::new(text).expect_err(text);
    assert_eq!(why("a*"), "must not match the empty text");
    assert_eq!(why(""), "must not match the empty text");
    assert_eq!(why("[a&&b]"), "can never match");
    assert!(why("(a").starts_with("is no pattern: "), "{}", why("(a"));
    assert!(why(r"(a)\1").starts_with("is no pattern: "));
    assert_eq!(why("(?:[a-z]{1000}){1000}"), "is too large");
    assert_eq!(why(&"a".repeat(PATTERN_BYTES_MAX + 1)), "must be at most 1024 bytes");
    assert!(Pattern::new(&"a".repeat(PATTERN_BYTES_MAX)).is_ok());
    assert!(why(&format!("{}a{}", "(".repeat(40), ")".repeat(40))).starts_with("is no pattern"));
}

#[test]
fn a_pattern_that_ruins_others_takes_linear_time_here() {
    let rules = rules(&[rule("evil", "(?:a+)+b|(?:a|aa)+c")]);
    let text = "a".repeat(100_000);
    assert_eq!(whole(&rules, &text).0.len(), 100_000);
}
