//! From the tree as typed to values by key: names made canonical, variables expanded, every value checked against
//! the table of keys, every problem kept.

use super::env::{self, Env};
use super::file::{At, Entry, Node, Value};
use super::keys::{self, Effect, Row};
use super::kinds::{Kind, Parsed};
use super::problem::Problem;
use super::spelling;
use std::time::Duration;

/// One reading of one file: what is wrong so far, and what is merely worth saying.
pub(super) struct Reading<'e> {
    pub(super) file: String,
    pub(super) env: Env<'e>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<(At, String)>,
}

impl<'e> Reading<'e> {
    pub(super) fn new(file: &str, env: Env<'e>) -> Self {
        Self { file: file.to_owned(), env, problems: Vec::new(), warnings: Vec::new() }
    }

    /// Notes a problem at a place in the file.
    pub(super) fn problem(&mut self, at: At, path: &str, message: impl Into<String>) {
        let (file, path, message) = (self.file.clone(), path.to_owned(), message.into());
        self.problems.push(Problem { file, line: at.line, column: at.column, path, message });
    }

    /// Notes a problem with a variable that overrides the file.
    pub(super) fn problem_in_environment(&mut self, variable: &str, message: impl Into<String>) {
        let (file, path, message) = ("environment".to_owned(), variable.to_owned(), message.into());
        self.problems.push(Problem { file, line: 0, column: 0, path, message });
    }

    /// Notes something that works, but perhaps not as meant.
    pub(super) fn warn(&mut self, at: At, path: &str, message: &str) {
        let problem = Problem {
            file: self.file.clone(),
            line: at.line,
            column: at.column,
            path: path.to_owned(),
            message: message.to_owned(),
        };
        self.warnings.push((at, problem.to_string()));
    }

    /// Checks the whole tree against the table and leaves in it only what is right, under canonical keys.
    pub(super) fn check(&mut self, root: &mut Node) {
        match &mut root.value {
            Value::Null => {}
            Value::Map(entries) => self.entries(entries, "", "", false),
            _ => {
                self.problem(root.at, "", "must be a mapping such as `server: {...}`");
                root.value = Value::Null;
            }
        }
    }

    /// The entries of a mapping whose row in the table is `parent`, written at `path`.
    fn entries(&mut self, entries: &mut Vec<Entry>, parent: &str, path: &str, named: bool) {
        let mut seen: Vec<String> = Vec::with_capacity(entries.len());
        entries.retain_mut(|entry| {
            if !named {
                entry.key = spelling::snake(&entry.key);
            }
            let path = join(path, &entry.key);
            if seen.contains(&entry.key) {
                self.problem(entry.at, &path, "is written twice");
                return false;
            }
            seen.push(entry.key.clone());
            let Some(row) = keys::child(parent, &entry.key) else {
                let meant = spelling::suggestion(parent, &entry.key)
                    .map(|known| format!("; did you mean `{known}`?"));
                self.problem(entry.at, &path, format!("is not a known key{}", meant.unwrap_or_default()));
                return false;
            };
            entry.value.at = entry.at;
            self.value(&mut entry.value, row, &path);
            true
        });
    }

    /// One value: expanded, checked, and emptied if it is wrong, so that it is reported once.
    fn value(&mut self, node: &mut Node, row: &'static Row, path: &str) {
        if matches!(node.value, Value::Null) {
            return;
        }
        if row.effect == Effect::Gone {
            let no_op = scalar_text(&node.value).is_some_and(|typed| typed == row.default);
            if !no_op {
                self.warn(node.at, path, &format!("has no effect: {}", row.meaning));
            }
            node.value = Value::Null;
            return;
        }
        if !matches!(row.kind, Kind::Section | Kind::Named(_) | Kind::Listed | Kind::Any)
            && !self.expand(node, row.kind, path)
        {
            node.value = Value::Wrong;
            return;
        }
        match row.kind.parse(&node.value) {
            Err((item, why)) => {
                let (at, path) = place(node, item, path);
                self.problem(at, &path, why);
                node.value = Value::Wrong;
            }
            Ok(_) => self.inside(node, row, path),
        }
    }

    fn inside(&mut self, node: &mut Node, row: &'static Row, path: &str) {
        match (&mut node.value, row.kind) {
            (Value::Map(entries), Kind::Section) => self.entries(entries, row.path, path, false),
            (Value::Map(entries), Kind::Named(check)) => {
                entries.retain(|entry| match check(&entry.key) {
                    Ok(()) => true,
                    Err(why) => {
                        self.problem(entry.at, &join(path, &entry.key), why);
                        false
                    }
                });
                self.entries(entries, row.path, path, true);
            }
            (Value::List(items), Kind::Listed) => {
                let Some(item_row) = keys::row(&format!("{}.[]", row.path)) else { return };
                for (index, item) in items.iter_mut().enumerate() {
                    item.at = item.at.or(node.at);
                    self.value(item, item_row, &format!("{path}[{index}]"));
                }
            }
            _ => {}
        }
    }

    /// Expands a scalar, or the scalars of a list; says whether all went well.
    fn expand(&mut self, node: &mut Node, kind: Kind, path: &str) -> bool {
        let env = self.env;
        let expand_one = |text: &str| {
            if kind.is_secret() { env::expand_secret(text, env) } else { env::expand(text, env) }
        };
        let mut failures = Vec::new();
        match &mut node.value {
            Value::Text(text) => match expand_one(text) {
                Ok(expanded) => *text = expanded,
                Err(why) => failures.push((None, why)),
            },
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    if let Value::Text(text) = &mut item.value {
                        match expand_one(text) {
                            Ok(expanded) => *text = expanded,
                            Err(why) => failures.push((Some(index), why)),
                        }
                    }
                }
            }
            _ => {}
        }
        let fine = failures.is_empty();
        for (item, why) in failures {
            let (at, path) = place(node, item, path);
            self.problem(at, &path, why);
        }
        fine
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The place and path of a value, or of one of its items.
fn place(node: &Node, item: Option<usize>, path: &str) -> (At, String) {
    match (item, &node.value) {
        (Some(index), Value::List(items)) => {
            let at = items.get(index).map_or(node.at, |item| item.at.or(node.at));
            (at, format!("{path}[{index}]"))
        }
        _ => (node.at, path.to_owned()),
    }
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::Flag(flag) => Some(flag.to_string()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// A mapping of the checked tree with its place in the table; reads its keys, or their defaults.
#[derive(Debug, Clone)]
pub(super) struct Section<'t> {
    node: Option<&'t Node>,
    row: String,
    pub(super) path: String,
    pub(super) at: At,
}

impl<'t> Section<'t> {
    /// The whole file.
    pub(super) fn root(node: &'t Node) -> Self {
        Self { node: Some(node), row: String::new(), path: String::new(), at: node.at }
    }

    /// A section that nobody wrote: every key has its default.
    pub(super) fn unwritten(row: &str, path: String, at: At) -> Self {
        Self { node: None, row: row.to_owned(), path, at }
    }

    /// The path of a key below this section, for messages.
    pub(super) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    fn find(&self, key: &str) -> Option<&'t Node> {
        let Value::Map(entries) = &self.node?.value else { return None };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        (!matches!(entry.value.value, Value::Null | Value::Wrong)).then_some(&entry.value)
    }

    /// The text of a key that has no default; its absence is a problem.
    pub(super) fn need(&self, reading: &mut Reading<'_>, key: &str) -> Option<String> {
        let text = self.text(key);
        if text.is_none() && !self.is_wrong(key) {
            reading.problem(self.at, &self.path_of(key), "is needed");
        }
        text
    }

    /// Whether this section itself is not one; that was reported before.
    pub(super) fn is_no_section(&self) -> bool {
        self.node.is_some_and(|node| node.value == Value::Wrong)
    }

    /// Whether a key was written, but wrong; that was reported before.
    pub(super) fn is_wrong(&self, key: &str) -> bool {
        let entries = match self.node.map(|node| &node.value) {
            Some(Value::Map(entries)) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().any(|entry| entry.key == key && entry.value.value == Value::Wrong)
    }

    /// Where a key is written with a value, if it is. An empty text or list counts as unwritten.
    pub(super) fn written(&self, key: &str) -> Option<At> {
        let node = self.find(key)?;
        let empty = match &node.value {
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            _ => false,
        };
        (!empty).then_some(node.at)
    }

    /// Where a key is written, else where its section is.
    pub(super) fn at_of(&self, key: &str) -> At {
        self.find(key).map_or(self.at, |node| node.at)
    }

    /// The section below a key.
    pub(super) fn section(&self, key: &str) -> Section<'t> {
        let node = self.find(key);
        Section {
            node,
            row: join(&self.row, key),
            path: self.path_of(key),
            at: node.map_or(self.at, |n| n.at),
        }
    }

    /// The operator's names in this section, each with its own section and place.
    pub(super) fn named(&self) -> Vec<(String, Section<'t>)> {
        let Some(Value::Map(entries)) = self.node.map(|node| &node.value) else { return Vec::new() };
        let below = |entry: &'t Entry| {
            let (row, path) = (join(&self.row, "*"), self.path_of(&entry.key));
            (entry.key.clone(), Section { node: Some(&entry.value), row, path, at: entry.at })
        };
        entries.iter().map(below).collect()
    }

    /// The items of a list of sections.
    pub(super) fn items(&self, key: &str) -> Vec<Section<'t>> {
        let Some(Value::List(items)) = self.find(key).map(|node| &node.value) else { return Vec::new() };
        let row = format!("{}.[]", join(&self.row, key));
        let below = |(index, item): (usize, &'t Node)| {
            let path = format!("{}[{index}]", self.path_of(key));
            Section { node: Some(item), row: row.clone(), path, at: item.at }
        };
        items.iter().enumerate().filter(|(_, item)| item.value != Value::Wrong).map(below).collect()
    }

    /// The value of a key or its default. Wrong values were reported and emptied before.
    fn parsed(&self, key: &str) -> Parsed {
        let row = keys::child(&self.row, key);
        debug_assert!(row.is_some(), "{} is in the table", join(&self.row, key));
        let Some(row) = row else { return Parsed::Nothing };
        let written = self.find(key).and_then(|node| row.kind.parse(&node.value).ok());
        written.or_else(|| row.kind.parse_default(row.default).ok()).unwrap_or(Parsed::Nothing)
    }

    pub(super) fn count(&self, key: &str) -> Option<u64> {
        match self.parsed(key) {
            Parsed::Count(count) => Some(count),
            _ => None,
        }
    }

    /// A count that has a default, as a size in memory or number of things.
    pub(super) fn number(&self, key: &str) -> usize {
        usize::try_from(self.count(key).unwrap_or(0)).unwrap_or(usize::MAX)
    }

    /// A small count that has a default.
    pub(super) fn small(&self, key: &str) -> u32 {
        u32::try_from(self.count(key).unwrap_or(0)).unwrap_or(u32::MAX)
    }

    /// A duration that has a default.
    pub(super) fn duration(&self, key: &str) -> Duration {
        match self.parsed(key) {
            Parsed::Duration(duration) => duration,
            _ => Duration::ZERO,
        }
    }

    pub(super) fn amount(&self, key: &str) -> Option<f64> {
        match self.parsed(key) {
            Parsed::Amount(amount) => Some(amount),
            _ => None,
        }
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.parsed(key) == Parsed::Flag(true)
    }

    /// Text that is not empty.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self.parsed(key) {
            Parsed::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The texts of a list, each with its place.
    pub(super) fn texts(&self, key: &str) -> Vec<(At, String)> {
        let Parsed::Texts(texts) = self.parsed(key) else { return Vec::new() };
        let node = self.find(key);
        let place = |index: usize| match node.map(|node| (node, &node.value)) {
            Some((node, Value::List(items))) => items.get(index).map_or(node.at, |item| item.at.or(node.at)),
            Some((node, _)) => node.at,
            None => self.at,
        };
        texts.into_iter().enumerate().map(|(index, text)| (place(index), text)).collect()
    }

    /// The texts of a list.
    pub(super) fn plain_texts(&self, key: &str) -> Vec<String> {
        self.texts(key).into_iter().map(|(_, text)| text).collect()
    }
}
