//! The YAML as typed: a small tree in which every key and every scalar knows its line and column.
//!
//! This is the only file that names the YAML library. Its values carry no positions, but its errors do: a
//! scalar's visitor therefore keeps the scalar and *fails on purpose*, and the place is read from the error,
//! which costs nothing at the size of a configuration and cannot disagree with the parser. A mapping or list is
//! placed where its first key or item is.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// Scalars, mappings and lists after aliases are followed; a real file has a few hundred.
const NODES_MAX: usize = 50_000;

/// A place in the file, counted from 1; zeros where it is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct At {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl At {
    /// This place, or `other` where it is unknown.
    pub(super) fn or(self, other: Self) -> Self {
        if self.line == 0 { other } else { self }
    }
}

/// One value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
}

/// A value as YAML 1.2 understands it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Integer(i128),
    Decimal(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Written, but wrong and reported; never read from a file.
    Wrong,
}

/// One `key: value`, in the file's order; keys may still repeat.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) at: At,
    pub(super) key: String,
    pub(super) value: Node,
}

/// Reads one YAML document.
///
/// # Errors
/// Where the text stops being YAML, and why.
pub(super) fn read(text: &str) -> Result<Node, (At, String)> {
    let nodes = Cell::new(0);
    NodeSeed { nodes: &nodes }.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| {
        let at = error.location().map_or(At::default(), |l| At { line: l.line(), column: l.column() });
        let plain = if indented_with_a_tab(text, at.line) {
            "indent with blanks, not with tabs".to_owned()
        } else {
            without_places(&error.to_string())
        };
        (at, format!("is not valid YAML: {plain}"))
    })
}

/// Whether what comes before the line's first word holds a tab: YAML's commonest slip.
fn indented_with_a_tab(text: &str, line: usize) -> bool {
    let line = line.checked_sub(1).and_then(|before| text.lines().nth(before)).unwrap_or_default();
    line[..line.len() - line.trim_start().len()].contains('\t')
}

/// The library's words without its ` at line 3 column 5`, which our own line says better.
fn without_places(words: &str) -> String {
    let mut parts = words.split(" at line ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let after = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let after = after.strip_prefix(" column ").unwrap_or(after);
        plain.push_str(after.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    plain
}

/// Reads the place from the end of the library's error: `... at line 3 column 5`, absent for the first character.
fn place(error: &str) -> At {
    let read = || {
        let (_, place) = error.rsplit_once(" at line ")?;
        let (line, column) = place.split_once(" column ")?;
        Some(At { line: line.parse().ok()?, column: column.parse().ok()? })
    };
    read().unwrap_or(At { line: 1, column: 1 })
}

#[derive(Clone, Copy)]
struct NodeSeed<'n> {
    nodes: &'n Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        self.nodes.set(self.nodes.get() + 1);
        if self.nodes.get() > NODES_MAX {
            return Err(D::Error::custom(format_args!("more than {NODES_MAX} values")));
        }
        let mut scalar = None;
        let read = deserializer.deserialize_any(NodeVisitor { seed: self, scalar: &mut scalar });
        match (read, scalar) {
            (Err(error), Some(value)) => Ok(Node { at: place(&error.to_string()), value }),
            (other, _) => other,
        }
    }
}

/// Builds mappings and lists; keeps a scalar in `scalar` and fails, so that the error tells the place.
struct NodeVisitor<'n, 's> {
    seed: NodeSeed<'n>,
    scalar: &'s mut Option<Value>,
}

impl NodeVisitor<'_, '_> {
    fn keep<E: Error>(self, value: Value) -> Result<Node, E> {
        *self.scalar = Some(value);
        Err(E::custom("kept"))
    }
}

impl<'de> Visitor<'de> for NodeVisitor<'_, '_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar, a list or a mapping without a tag")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.keep(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        self.keep(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Node, E> {
        self.keep(Value::Flag(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Node, E> {
        self.keep(Value::Integer(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Node, E> {
        self.keep(Value::Integer(number.into()))
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Node, E> {
        self.keep(Value::Integer(number))
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Node, E> {
        self.keep(Value::Integer(i128::try_from(number).unwrap_or(i128::MAX)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Node, E> {
        self.keep(Value::Decimal(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        self.keep(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.seed)? {
            list.push(item);
        }
        let at = list.first().map_or(At::default(), |item| item.at);
        Ok(Node { at, value: Value::List(list) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Node, A::Error> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        while let Some((key, at)) = pairs.next_key_seed(KeySeed)? {
            let value = pairs.next_value_seed(self.seed)?;
            match (key.as_str(), value.value) {
                ("<<", Value::Map(more)) => merged.extend(more),
                ("<<", Value::List(maps)) => merged.extend(maps.into_iter().flat_map(Node::into_entries)),
                (_, inner) => entries.push(Entry { at, key, value: Node { at: value.at, value: inner } }),
            }
        }
        // A key of one's own wins over a merged one, an earlier merge over a later one.
        for entry in merged {
            if entries.iter().all(|own| own.key != entry.key) {
                entries.push(entry);
            }
        }
        let at = entries.first().map_or(At::default(), |entry| entry.at);
        Ok(Node { at, value: Value::Map(entries) })
    }
}

impl Node {
    fn into_entries(self) -> Vec<Entry> {
        match self.value {
            Value::Map(entries) => entries,
            _ => Vec::new(),
        }
    }
}

/// A key, kept by the same trick.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = (String, At);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(String, At), D::Error> {
        let mut key = None;
        match (deserializer.deserialize_str(KeyVisitor(&mut key)), key) {
            (Err(error), Some(key)) => Ok((key, place(&error.to_string()))),
            (Err(error), None) => Err(error),
            (Ok(()), key) => Ok((key.unwrap_or_default(), At::default())),
        }
    }
}

struct KeyVisitor<'k>(&'k mut Option<String>);

impl Visitor<'_> for KeyVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        *self.0 = Some(text.to_owned());
        Err(E::custom("kept"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the value at `path` (keys and indices joined by dots) stands, as the tree says.
    fn at(text: &str, path: &str) -> (usize, usize) {
        let mut node = read(text).expect("valid YAML");
        let mut place = node.at;
        for step in path.split('.') {
            (place, node) = match node.value {
                Value::Map(entries) => {
                    let entry = entries.into_iter().find(|e| e.key == step).expect("the key exists");
                    (entry.at, entry.value)
                }
                Value::List(items) => {
                    let item =
                        items.into_iter().nth(step.parse().expect("an index")).expect("the item exists");
                    (item.at, item)
                }
                scalar => panic!("{step} of the scalar {scalar:?}"),
            };
        }
        (place.line, place.column)
    }

    const SAMPLE: &str = "\
# a comment: with a colon
server:   # another
  listen: \"127.0.0.1:8080\"
  note: |
    looks: like
      a: key
  'quoted key': x
flow: {a: 1, b: [x, {c: 2}],
       d: {}}
list:
  - one
  - two: 2
    three: [
      deep ]
  -
    four: ~
ümlaut: {né: 1}
";

    #[test]
    fn every_key_and_item_is_placed() {
        for (path, expected) in [
            ("server", (2, 1)),
            ("server.listen", (3, 3)),
            ("server.note", (4, 3)),
            ("server.quoted key", (7, 3)),
            ("flow", (8, 1)),
            ("flow.a", (8, 8)),
            ("flow.b.0", (8, 18)),
            ("flow.b.1.c", (8, 22)),
            ("flow.d", (9, 8)),
            ("list.0", (11, 5)),
            ("list.1.two", (12, 5)),
            ("list.1.three.0", (14, 7)),
            ("list.2.four", (16, 5)),
            ("ümlaut.né", (17, 10)),
        ] {
            assert_eq!(at(SAMPLE, path), expected, "{path}");
        }
    }

    #[test]
    fn the_first_character_has_a_place_too() {
        assert_eq!(at("a: 1", "a"), (1, 1));
        assert_eq!(read("word").expect("valid").at, At { line: 1, column: 1 });
    }

    #[test]
    fn a_key_that_talks_like_an_error_is_placed_where_it_is() {
        let text = "x at line 9 column 9:\n  y at line 8 column 8: 1";
        assert_eq!(at(text, "x at line 9 column 9.y at line 8 column 8"), (2, 3));
    }

    #[test]
    fn scalars_are_what_yaml_says() {
        let node = read("[~, true, 7, -7, 1.5, '7', off, 2027-01-01, 18446744073709551616]").expect("valid");
        let Value::List(items) = node.value else { panic!("a list") };
        let values: Vec<Value> = items.into_iter().map(|n| n.value).collect();
        let text = |t: &str| Value::Text(t.to_owned());
        let expected = [
            Value::Null,
            Value::Flag(true),
            Value::Integer(7),
            Value::Integer(-7),
            Value::Decimal(1.5),
            text("7"),
            text("off"),
            text("2027-01-01"),
            Value::Integer(1 << 64),
        ];
        assert_eq!(values, expected);
    }

    #[test]
    fn an_empty_file_is_nothing() {
        for text in ["", "\n# only a comment\n", "---\n"] {
            assert_eq!(read(text).expect("valid").value, Value::Null, "{text:?}");
        }
    }

    #[test]
    fn merge_keys_fill_in_what_is_not_written() {
        let node = read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}").expect("valid");
        let rendered = format!("{node:?}");
        assert!(!rendered.contains("<<"));
        assert_eq!(
            at("a: &a {x: 1}\nb: {<<: *a, y: 3}", "b.x"),
            (1, 8),
            "a merged key is placed at its source"
        );
        assert_eq!(at("a: &a {x: 1}\nc: {<<: [*a, {z: 4}]}", "c.z"), (2, 15));
    }

    #[test]
    fn what_is_not_yaml_is_reported_where_it_stops_being_yaml() {
        for (text, line) in
            [("a: [1, 2\nb: 3\n", 2), ("a: 1\n\tb: 2\n", 2), ("a: 1\nb: *gone\n", 2), ("a: !tag 1", 1)]
        {
            let (at, words) = read(text).expect_err("not valid");
            assert!(at.line >= line, "{text:?}: {at:?} {words}");
            assert!(words.starts_with("is not valid YAML: "), "{words}");
            assert!(!words.contains(" at line "), "{words}");
        }
        let (at, words) = read("a:\n\tb: 2\n").expect_err("a tab");
        assert!(at.line == 2 && words.ends_with("indent with blanks, not with tabs"), "{at:?} {words}");
        assert!(read("a: 1\n---\nb: 2\n").expect_err("two documents").1.contains("more than one document"));
        assert!(read("? [a]\n: 1\n").is_err(), "a list as key");
    }

    #[test]
    fn an_alias_bomb_is_refused_before_it_costs_memory() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let previous = level - 1;
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{previous}"); 10].join(","));
        }
        read(&bomb).expect_err("10^12 scalars");
        let flat = format!("a: &a [{}]\nb: [{}]", vec!["x"; 5000].join(","), vec!["*a"; 5000].join(","));
        assert!(read(&flat).expect_err("25 million scalars").1.contains("more than"));
    }

    #[test]
    fn an_alias_within_itself_and_endless_depth_are_refused() {
        read("a: &a [*a]").expect_err("endless");
        read(&"[".repeat(10_000)).expect_err("deep");
        read(&format!("{}{}", "[".repeat(1000), "]".repeat(1000))).expect_err("deep and closed");
    }
}
