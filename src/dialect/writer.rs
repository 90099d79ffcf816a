//! A stream, worded for the caller: frames that are in his dialect pass, the others are put in his words.

use super::{Complaint, Wording, anthropic, hapax, ollama, openai, responses};
use crate::domain::chat::{Delta, Frame};
use crate::domain::words::Dialect;

/// Words a stream for the caller, event by event. Verbatim frames pass as they are (what they say of usage
/// is withheld from a caller of OpenAI's who did not ask); translated ones continue the ids and indices already sent.
pub struct Writer {
    inner: Inner,
    /// Usage-only frames are withheld.
    hide_usage: bool,
    /// A translated frame has been written: from here on all are.
    translated: bool,
}

enum Inner {
    OpenAi(openai::Writer),
    Anthropic(anthropic::Writer),
    Responses(responses::Writer),
    Ollama(ollama::Writer),
    Hapax(hapax::Writer),
}

impl Writer {
    /// A writer in the caller's dialect.
    #[must_use]
    pub fn new(caller: Dialect, wording: Wording) -> Self {
        let hide_usage = caller == Dialect::OpenAiChat && !wording.include_usage;
        let inner = match caller {
            // No caller speaks Gemini.
            Dialect::OpenAiChat | Dialect::Gemini => {
                Inner::OpenAi(openai::Writer::with(openai::Form::Chat, wording))
            }
            Dialect::OpenAiCompletion => {
                Inner::OpenAi(openai::Writer::with(openai::Form::Completion, wording))
            }
            Dialect::Anthropic => Inner::Anthropic(anthropic::Writer::new(wording)),
            Dialect::OpenAiResponses => Inner::Responses(responses::Writer::new(wording)),
            Dialect::Ollama => Inner::Ollama(ollama::Writer::with(ollama::Form::Chat, wording)),
            Dialect::OllamaGenerate => Inner::Ollama(ollama::Writer::with(ollama::Form::Generate, wording)),
            Dialect::Hapax => Inner::Hapax(hapax::Writer::new(wording)),
        };
        Self { inner, hide_usage, translated: false }
    }

    /// `text/event-stream` or `application/x-ndjson`.
    #[must_use]
    pub fn content_type(caller: Dialect) -> &'static str {
        match caller {
            Dialect::OpenAiChat | Dialect::OpenAiCompletion | Dialect::OpenAiResponses | Dialect::Gemini => {
                openai::STREAM_TYPE
            }
            Dialect::Anthropic => anthropic::STREAM_TYPE,
            Dialect::Ollama | Dialect::OllamaGenerate => ollama::STREAM_TYPE,
            Dialect::Hapax => hapax::STREAM_TYPE,
        }
    }

    /// Appends one frame to `out`.
    pub fn frame(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        if let (Some(bytes), false) = (&frame.verbatim, self.translated) {
            if let Inner::Responses(writer) = &mut self.inner {
                writer.pass(bytes, &frame.deltas, out);
            } else if !self.hide_usage {
                out.extend_from_slice(bytes);
                self.saw(bytes, &frame.deltas);
            } else if !is_usage_only(&frame.deltas) {
                let (before, after) = without_usage(bytes);
                out.extend_from_slice(before);
                out.extend_from_slice(after);
                self.saw(bytes, &frame.deltas);
            }
            return;
        }
        self.translated |= !frame.deltas.is_empty();
        for delta in &frame.deltas {
            match &mut self.inner {
                Inner::OpenAi(writer) => writer.delta(delta, out),
                Inner::Anthropic(writer) => writer.delta(delta, out),
                Inner::Responses(writer) => writer.delta(delta, out),
                Inner::Ollama(writer) => writer.delta(delta, out),
                Inner::Hapax(writer) => writer.delta(delta, out),
            }
        }
    }

    fn saw(&mut self, bytes: &[u8], deltas: &[Delta]) {
        match &mut self.inner {
            Inner::OpenAi(writer) => writer.saw(deltas),
            Inner::Anthropic(writer) => writer.saw_verbatim(bytes, deltas),
            Inner::Ollama(writer) => writer.saw(deltas),
            // It takes note while it passes them on; and no provider speaks Hapax's own form.
            Inner::Responses(_) | Inner::Hapax(_) => {}
        }
    }

    /// Appends the end of a stream that is complete: what is still owed (finish, usage, `[DONE]`, `message_stop`).
    pub fn end(&mut self, out: &mut Vec<u8>) {
        match &mut self.inner {
            Inner::OpenAi(writer) => writer.end(out),
            Inner::Anthropic(writer) => writer.end(out),
            Inner::Responses(writer) => writer.end(out),
            Inner::Ollama(writer) => writer.end(out),
            Inner::Hapax(writer) => writer.end(out),
        }
    }

    /// Appends the error frame of a stream that could not be saved; no end mark follows it.
    pub fn failure(&mut self, complaint: &Complaint, out: &mut Vec<u8>) {
        match &mut self.inner {
            Inner::OpenAi(writer) => writer.failure(complaint, out),
            Inner::Anthropic(writer) => writer.failure(complaint, out),
            Inner::Responses(writer) => writer.failure(complaint, out),
            Inner::Ollama(writer) => writer.failure(complaint, out),
            Inner::Hapax(writer) => writer.failure(complaint, out),
        }
    }

    /// Appends something that keeps the connection alive and means nothing; nothing where the dialect has no such thing.
    pub fn keep_alive(&mut self, out: &mut Vec<u8>) {
        match &mut self.inner {
            Inner::OpenAi(writer) => writer.keep_alive(out),
            Inner::Anthropic(writer) => writer.keep_alive(out),
            Inner::Responses(writer) => writer.keep_alive(out),
            Inner::Ollama(writer) => writer.keep_alive(out),
            Inner::Hapax(writer) => writer.keep_alive(out),
        }
    }
}

/// A chunk without the `"usage":null` that providers put behind the choices where usage was asked for, be it by us. These
/// bytes have an unescaped quote behind a comma, so they are no string's.
fn without_usage(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().rposition(|byte| *byte == b']').map_or(bytes.len(), |at| at + 1);
    let (before, after) = bytes.split_at(end);
    (before, after.strip_prefix(b",\"usage\":null").unwrap_or(after))
}

/// Whether a frame says nothing but what was used.
fn is_usage_only(deltas: &[Delta]) -> bool {
    !deltas.is_empty() && deltas.iter().all(|delta| matches!(delta, Delta::Usage(_)))
}
