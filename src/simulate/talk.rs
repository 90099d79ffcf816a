//! What is asked and what is answered, whatever the vendor: one deterministic text, its tokens, tool calls, usage.

use super::behaviour::{Behaviour, Instead, Onward};
use super::example::example;
use super::pictures::PICTURE_TOKENS;
use serde_json::{Value, json};

/// Tool calls in one answer.
const CALLS_MAX: usize = 16;
/// Characters of one echoed word.
const ECHO_CHARS_MAX: usize = 32;
/// Characters in one fragment of a tool call's arguments.
const FRAGMENT_CHARS: usize = 8;

/// Who speaks in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Instructions.
    System,
    /// The one who asks.
    User,
    /// The one who answers.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// One message, its text put together.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: String,
}

/// A tool that may be called.
#[derive(Debug, Clone)]
pub(super) struct Tool {
    /// Its name.
    pub name: String,
    /// What its arguments look like.
    pub schema: Value,
}

/// Whether a tool has to be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum ToolChoice {
    /// When the last message asks for it with `[[tool]]`.
    #[default]
    Auto,
    /// Never.
    Never,
    /// One of them.
    Any,
    /// This one.
    Named(String),
}

/// A completion request, understood.
#[derive(Debug, Clone, Default)]
pub(super) struct Question {
    /// The model, without a behaviour.
    pub model: String,
    /// The behaviour that came with the model's name, after a `!`.
    pub embedded: Option<String>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Whether an OpenAI stream ends with usage.
    pub include_usage: bool,
    /// Whether Responses are to sum thoughts up.
    pub sums_up: bool,
    /// Whether Responses are to send their thoughts along, to be read by themselves alone.
    pub encrypts: bool,
    /// The conversation; instructions first.
    pub messages: Vec<Message>,
    /// The tools offered.
    pub tools: Vec<Tool>,
    /// Whether they have to be used.
    pub tool_choice: ToolChoice,
    /// The most tokens the answer may have.
    pub output_max: Option<usize>,
    /// The answer is an object of this schema.
    pub schema: Option<Value>,
    /// The answer begins with reasoning.
    pub reasoning: bool,
    /// Pictures in all messages.
    pub pictures: usize,
    /// The names of all its parameters.
    pub parameters: Vec<String>,
}

impl Question {
    /// A question to this model, which may carry a behaviour.
    pub(super) fn to(model: &str) -> Self {
        let (model, embedded) = match model.split_once('!') {
            Some((model, behaviour)) => (model, Some(behaviour.to_owned())),
            None => (model, None),
        };
        Self { model: model.to_owned(), embedded, ..Self::default() }
    }

    /// Words in all messages, and what their pictures count for: what goes for input tokens here.
    pub(super) fn input_words(&self) -> usize {
        let words = self.messages.iter().map(|message| message.text.split_whitespace().count());
        words.sum::<usize>() + self.pictures * PICTURE_TOKENS
    }

    /// What the answer is about, and what of it is already there.
    ///
    /// It is there when the last message is an assistant's, or when the last is a user's and the one before it an
    /// assistant's that is the beginning of the answer to the one before that: then the last is taken for an
    /// instruction to go on, whatever its words.
    fn subject(&self, tokens: Option<usize>) -> (&str, &str) {
        let messages = &self.messages;
        let user_before = |end: usize| {
            let mut users =
                messages[..end].iter().rev().filter(|m| m.role == Role::User && !m.text.is_empty());
            users.next().map_or("", |message| message.text.as_str())
        };
        let count = messages.len();
        match messages.as_slice() {
            [.., last] if last.role == Role::Assistant => (user_before(count - 1), last.text.as_str()),
            [.., said, last] if (said.role, last.role) == (Role::Assistant, Role::User) => {
                let about = user_before(count - 2);
                let whole = sentence(&self.model, about, tokens).concat();
                // A whole answer is followed by another question, unless more of it is asked for in so many words.
                let most = whole.len() + usize::from(last.text.contains("Continue it exactly"));
                let begun = !said.text.is_empty() && said.text.len() < most;
                if begun && whole.starts_with(&said.text) {
                    (about, said.text.as_str())
                } else {
                    (user_before(count), "")
                }
            }
            _ => (user_before(count), ""),
        }
    }

    /// The tools to be called, in order.
    fn calls(&self, about: &str) -> Vec<&Tool> {
        let asked = self.messages.last().is_some_and(|last| last.role == Role::User);
        let count = if asked { about.matches("[[tool]]").count().min(CALLS_MAX) } else { 0 };
        match &self.tool_choice {
            ToolChoice::Never => Vec::new(),
            ToolChoice::Named(name) => self.tools.iter().filter(|tool| tool.name == *name).take(1).collect(),
            ToolChoice::Any => self.tools.iter().cycle().take(count.max(1)).collect(),
            ToolChoice::Auto => self.tools.iter().cycle().take(count).collect(),
        }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// It was complete.
    Stop,
    /// The bound on output was reached.
    Length,
    /// Tools are to be called.
    ToolCalls,
}

/// One tool call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Unique among all calls of this simulator, without a vendor's prefix.
    pub id: String,
    /// The tool.
    pub name: String,
    /// An object.
    pub arguments: Value,
}

/// One content frame's worth of an answer.
#[derive(Debug, Clone)]
pub(super) enum Delta {
    /// A token of reasoning.
    Reasoning(String),
    /// A token of text.
    Text(String),
    /// A tool call begins.
    CallStart(usize),
    /// A fragment of a tool call's arguments.
    CallPiece(usize, String),
    /// A complete tool call.
    CallWhole(usize),
}

/// An answer, ready to be worded by a vendor.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The request's number; ids are made from it.
    pub number: u64,
    /// Seconds since 1970.
    pub created: u64,
    /// The model that answers.
    pub model: String,
    /// Tokens of reasoning.
    pub reasoning: Vec<String>,
    /// Tokens of text.
    pub text: Vec<String>,
    /// Tool calls.
    pub calls: Vec<Call>,
    /// Why it ends.
    pub finish: Finish,
    /// Input tokens.
    pub input: usize,
    /// Whether an OpenAI stream ends with usage.
    pub include_usage: bool,
    /// Whether Responses sum the thoughts up.
    pub sums_up: bool,
    /// Whether Responses send the thoughts along.
    pub encrypts: bool,
}

impl Answer {
    /// The answer to a question, as far as a behaviour has a say in it.
    pub(super) fn to(question: &Question, behaviour: &Behaviour, number: u64, created: u64) -> Self {
        let (about, begun) = question.subject(behaviour.tokens);
        let mut answer = Self {
            number,
            created,
            model: question.model.clone(),
            reasoning: Vec::new(),
            text: Vec::new(),
            calls: Vec::new(),
            finish: Finish::Stop,
            input: question.input_words(),
            include_usage: question.include_usage,
            sums_up: question.sums_up,
            encrypts: question.encrypts,
        };
        if behaviour.instead == Instead::EmptyContent {
            return answer;
        }
        let thoughts = behaviour.reasoning.max(if question.reasoning { 3 } else { 0 });
        answer.reasoning =
            ["Let", " me", " think."].into_iter().cycle().take(thoughts).map(Into::into).collect();
        let digest = format!("{:08x}", digest(about));
        for (index, tool) in question.calls(about).into_iter().enumerate() {
            let id = format!("{number:012x}{index:04x}");
            let arguments = match example(&tool.schema, &digest, 0) {
                Value::Object(fields) => Value::Object(fields),
                _ => json!({}),
            };
            answer.calls.push(Call { id, name: tool.name.clone(), arguments });
        }
        if !answer.calls.is_empty() {
            answer.finish = Finish::ToolCalls;
            return answer;
        }
        answer.text = match &question.schema {
            Some(schema) => cut(&example(schema, &digest, 0).to_string().replace("\",\"", "\", \"")),
            None => rest(sentence(&question.model, about, behaviour.tokens), begun, behaviour.onward),
        };
        let holds = behaviour.tokens.is_none() || behaviour.bounded;
        if let Some(max) = question.output_max.filter(|_| holds)
            && max < answer.text.len()
        {
            answer.text.truncate(max);
            answer.finish = Finish::Length;
        }
        answer
    }

    /// The whole text.
    pub(super) fn content(&self) -> String {
        self.text.concat()
    }

    /// Output tokens: one for each content frame that a stream of it has.
    pub(super) fn output(&self, calls_whole: bool) -> usize {
        let of_call = |call: &Call| {
            let fragments = call.arguments.to_string().chars().count().div_ceil(FRAGMENT_CHARS);
            if calls_whole { 1 } else { 1 + fragments }
        };
        self.reasoning.len() + self.text.len() + self.calls.iter().map(of_call).sum::<usize>()
    }

    /// The content frames, in order. `calls_whole`: tool calls come in one piece.
    pub(super) fn deltas(&self, calls_whole: bool) -> Vec<Delta> {
        let mut deltas: Vec<Delta> = self.reasoning.iter().cloned().map(Delta::Reasoning).collect();
        deltas.extend(self.text.iter().cloned().map(Delta::Text));
        for (index, call) in self.calls.iter().enumerate() {
            if calls_whole {
                deltas.push(Delta::CallWhole(index));
                continue;
            }
            deltas.push(Delta::CallStart(index));
            let arguments: Vec<char> = call.arguments.to_string().chars().collect();
            for piece in arguments.chunks(FRAGMENT_CHARS) {
                deltas.push(Delta::CallPiece(index, piece.iter().collect()));
            }
        }
        deltas
    }
}

/// The tokens of the one answer there is: an echo of the question, and at the end who answers. All but the last two
/// tokens are the same for every model, so that any model can finish what another began.
pub(super) fn sentence(model: &str, last_user: &str, tokens: Option<usize>) -> Vec<String> {
    let mut echo: Vec<String> = last_user
        .split_whitespace()
        .take(3)
        .map(|word| word.chars().take(ECHO_CHARS_MAX).collect())
        .collect();
    if echo.is_empty() {
        echo.push("nothing".to_owned());
    }
    let said = format!("You said {} ({:08x}), and here is a calm answer", echo.join(" "), digest(last_user));
    let mut words = cut(&said);
    let end = [" from".to_owned(), format!(" {model}.")];
    match tokens {
        None => words.extend(end),
        Some(count) => {
            for number in words.len()..count.saturating_sub(end.len()) {
                words.push(format!(" w{number}"));
            }
            words.extend(end);
            words.truncate(count);
        }
    }
    words
}

/// What is left of a text of which a beginning is already there; all of it when that is not its beginning.
fn rest(tokens: Vec<String>, begun: &str, onward: Onward) -> Vec<String> {
    let whole = tokens.concat();
    let Some(rest) = whole.strip_prefix(begun).filter(|_| !begun.is_empty()) else { return tokens };
    match onward {
        Onward::Exactly => cut(rest),
        Onward::Repeating(words) => {
            let said = cut(begun);
            cut(&(said[said.len().saturating_sub(words)..].concat() + rest))
        }
        Onward::FromTheTop => tokens,
        Onward::Astray => cut(&format!("On the other hand:{rest}")),
    }
}

/// Cuts a text into tokens: words with the white space before them.
fn cut(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut after_space = false;
    for c in text.chars() {
        match tokens.last_mut() {
            Some(token) if !c.is_whitespace() || after_space => token.push(c),
            _ => tokens.push(c.to_string()),
        }
        after_space = c.is_whitespace();
    }
    tokens
}

/// A short fingerprint (FNV-1a).
pub(super) fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The text of a message's content: a string, or parts of which those with text count.
pub(super) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let text = |part: &Value| match part["text"].as_str().or_else(|| part.as_str()) {
                Some(text) => text.to_owned(),
                None => text_of(&part["content"]),
            };
            let texts: Vec<String> = parts.iter().map(text).filter(|text| !text.is_empty()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::vectors::vector;

    fn question(messages: &[(Role, &str)]) -> Question {
        let messages = messages.iter().map(|(role, text)| Message { role: *role, text: (*text).to_owned() });
        Question { messages: messages.collect(), ..Question::to("m-1") }
    }

    fn answer(question: &Question) -> Answer {
        Answer::to(question, &Behaviour::default(), 1, 0)
    }

    #[test]
    fn tokens_put_together_are_the_text() {
        for text in ["", "one", " lead", "a  b\n\nc ", "ü ö", "a b c"] {
            assert_eq!(cut(text).concat(), text);
        }
        assert_eq!(cut("a  bc d"), ["a", "  bc", " d"]);
    }

    #[test]
    fn a_continuation_repeats_or_strays_when_it_is_told_to_and_a_first_answer_does_not() {
        let whole = sentence("m-1", "hello there", None).concat();
        let begun = cut(&whole)[..7].concat();
        let says = |behaviour: &str, messages: &[(Role, &str)]| {
            let behaviour = Behaviour::parse(behaviour).expect("a behaviour");
            Answer::to(&question(messages), &behaviour, 1, 0).content()
        };
        let rest = &whole[begun.len()..];
        let twice = cut(&whole)[5..].concat();
        for (behaviour, expected) in [
            ("repeats", whole.clone()),
            ("repeats=2", twice),
            ("strays", format!("On the other hand:{rest}")),
        ] {
            let asked = [(Role::User, "hello there"), (Role::Assistant, begun.as_str())];
            assert_eq!(says(behaviour, &asked), expected, "{behaviour}");
            assert_eq!(says(behaviour, &asked[..1]), whole, "{behaviour}");
        }
    }

    #[test]
    fn a_prefill_is_continued_exactly_and_by_any_model() {
        let whole = sentence("m-1", "hello there", None).concat();
        for cut_at in [3, 8, 20, 30] {
            let begun = &whole[..cut_at];
            let continued = answer(&question(&[(Role::User, "hello there"), (Role::Assistant, begun)]));
            assert_eq!(format!("{begun}{}", continued.content()), whole);
        }
        let other = sentence("another", "hello there", None);
        let begun = other[..6].concat();
        let continued = answer(&question(&[(Role::User, "hello there"), (Role::Assistant, &begun)]));
        assert_eq!(format!("{begun}{}", continued.content()), whole);
    }

    #[test]
    fn an_instruction_to_go_on_is_followed_and_a_new_question_is_answered() {
        let whole = sentence("m-1", "hello", None).concat();
        let ask = |said: &str, last: &str| {
            answer(&question(&[(Role::User, "hello"), (Role::Assistant, said), (Role::User, last)])).content()
        };
        assert_eq!(ask(&whole[..11], "please go on"), whole[11..]);
        assert_eq!(ask(&whole, "next?"), sentence("m-1", "next?", None).concat());
        assert_eq!(ask("something else", "next?"), sentence("m-1", "next?", None).concat());
    }

    #[test]
    fn the_number_of_tokens_can_be_asked_for() {
        for count in [0, 1, 5, 12, 13, 50, 1000] {
            assert_eq!(sentence("m", "one two three four", Some(count)).len(), count);
        }
        assert!(sentence("m", "x", Some(50)).concat().ends_with(" w47 from m."));
    }

    #[test]
    fn output_stops_at_its_bound_unless_the_behaviour_says_how_much() {
        let question = Question { output_max: Some(4), ..question(&[(Role::User, "hi")]) };
        let short = answer(&question);
        assert_eq!((short.text.len(), short.finish), (4, Finish::Length));
        let behaviour = Behaviour::parse("tokens=9").expect("a behaviour");
        let exact = Answer::to(&question, &behaviour, 1, 0);
        assert_eq!((exact.text.len(), exact.finish), (9, Finish::Stop));
        let behaviour = Behaviour::parse("tokens=9,bounded").expect("a behaviour");
        let bounded = Answer::to(&question, &behaviour, 1, 0);
        assert_eq!((bounded.text.len(), bounded.finish), (4, Finish::Length));
    }

    #[test]
    fn tools_are_called_when_required_named_or_asked_for_and_not_after_their_result() {
        let schema =
            json!({"type": "object", "properties": {"n": {"type": "integer"}, "s": {"enum": ["a", "b"]}}});
        let tools = vec![
            Tool { name: "one".into(), schema: schema.clone() },
            Tool { name: "two".into(), schema: Value::Null },
        ];
        let names = |question: &Question| -> Vec<String> {
            answer(question).calls.into_iter().map(|call| call.name).collect()
        };
        let mut asked = Question { tools, ..question(&[(Role::User, "hi")]) };
        assert!(names(&asked).is_empty());
        asked.tool_choice = ToolChoice::Named("two".into());
        assert_eq!(names(&asked), ["two"]);
        asked.tool_choice = ToolChoice::Any;
        assert_eq!(names(&asked), ["one"]);
        assert_eq!(answer(&asked).calls[0].arguments, json!({"n": 7, "s": "a"}));
        asked.tool_choice = ToolChoice::Auto;
        asked.messages[0].text = "[[tool]] and [[tool]]".into();
        assert_eq!(names(&asked), ["one", "two"]);
        asked.messages.push(Message { role: Role::Assistant, text: String::new() });
        asked.messages.push(Message { role: Role::Tool, text: "42".into() });
        assert!(names(&asked).is_empty());
    }

    #[test]
    fn vectors_are_the_same_for_the_same_text_only() {
        assert_eq!(vector("a", 8), vector("a", 8));
        assert_ne!(vector("a", 8), vector("b", 8));
        assert_eq!(vector("a", 3).len(), 3);
    }
}
