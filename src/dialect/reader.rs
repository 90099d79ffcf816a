//! A provider's stream, read as it arrives: framing, meaning, and whether its end was a proper one.

use super::{Sign, anthropic, gemini, ndjson, ollama, openai, passes, responses, sse};
use crate::domain::chat::{Delta, Frame};
use crate::domain::failure::{Failure, Fault};
use crate::domain::words::Dialect;

/// Malformed frames one after the other before the stream as a whole is garbage.
const MALFORMED_MAX: u32 = 16;

/// Reads a provider's stream as it arrives, in pieces of any size.
///
/// A frame that is nothing but the end mark (`[DONE]`, `message_stop`) is not handed out: the caller's own end mark
/// is written by `Writer::end`. One that says more with it (Ollama's last line, the last event of Responses) is.
pub struct Reader {
    framing: Framing,
    events: Events,
    verbatim: bool,
    came: bool,
    finished: bool,
    ended: bool,
    malformed: u32,
}

enum Framing {
    Sse(sse::Lines),
    Ndjson(ndjson::Lines),
}

enum Events {
    OpenAi(openai::Events),
    Anthropic(anthropic::Events),
    Ollama(ollama::Events),
    Gemini(gemini::Events),
    Responses(responses::Events),
}

impl Events {
    /// What one frame means; `None` when it is malformed.
    fn read(
        &mut self,
        event: Option<&[u8]>,
        data: &[u8],
        deltas: &mut Vec<Delta>,
    ) -> Result<Option<Sign>, Failure> {
        let Ok(data) = std::str::from_utf8(data) else { return Ok(None) };
        let event = event.and_then(|event| std::str::from_utf8(event).ok());
        let read = match self {
            Self::OpenAi(events) => events.read(event, data, deltas),
            Self::Anthropic(events) => events.read(event, data, deltas),
            Self::Ollama(events) => events.read(event, data, deltas),
            Self::Gemini(events) => events.read(event, data, deltas),
            Self::Responses(events) => events.read(event, data, deltas),
        };
        match read {
            Ok(sign) => Ok(Some(sign)),
            Err(failure) if failure.fault == Fault::Garbage => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// One piece of the stream, cut out and understood.
struct Piece {
    /// `None`: malformed.
    sign: Option<Sign>,
    verbatim: Option<Vec<u8>>,
}

impl Reader {
    /// A reader for a provider's dialect; frames are verbatim when the caller speaks the same.
    #[must_use]
    pub fn new(target: Dialect, caller: Dialect, unwrap_tool: Option<&str>) -> Self {
        let verbatim = passes(target, caller) && unwrap_tool.is_none();
        let (framing, events) = match target {
            Dialect::Anthropic => {
                (Framing::Sse(sse::Lines::default()), Events::Anthropic(anthropic::Events::new(unwrap_tool)))
            }
            Dialect::Ollama => {
                (Framing::Ndjson(ndjson::Lines::new()), Events::Ollama(ollama::Events::new(unwrap_tool)))
            }
            Dialect::Gemini => {
                (Framing::Sse(sse::Lines::default()), Events::Gemini(gemini::Events::new(unwrap_tool)))
            }
            Dialect::OpenAiResponses => {
                (Framing::Sse(sse::Lines::default()), Events::Responses(responses::Events::new(!verbatim)))
            }
            _ => (Framing::Sse(sse::Lines::default()), Events::OpenAi(openai::Events::new(unwrap_tool))),
        };
        Self { framing, events, verbatim, came: false, finished: false, ended: false, malformed: 0 }
    }

    /// Takes more bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        match &mut self.framing {
            Framing::Sse(lines) => lines.feed(bytes),
            Framing::Ndjson(lines) => lines.feed(bytes),
        }
    }

    /// The next whole frame, if one has arrived. An error frame is `ErrorInBody`.
    ///
    /// # Errors
    /// `ErrorInBody`, `AnswerTooLarge` (a frame over the limit), `Garbage` (too many malformed frames), `Truncated`
    /// (the end mark without a finish).
    #[expect(
        clippy::should_implement_trait,
        reason = "it can fail, and be asked again after more bytes came"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, Failure> {
        while !self.ended {
            let mut deltas = Vec::new();
            let Some(Piece { sign, verbatim }) = self.cut(&mut deltas)? else { return Ok(None) };
            self.came = true;
            let Some(sign) = sign else {
                self.malformed += 1;
                if self.malformed == MALFORMED_MAX {
                    return Err(Failure::new(Fault::Garbage, "the provider's stream cannot be understood"));
                }
                continue;
            };
            self.malformed = 0;
            self.finished |= deltas.iter().any(|delta| matches!(delta, Delta::Finish { .. }));
            if sign == Sign::End {
                self.close()?;
                self.ended = true;
                if deltas.is_empty() {
                    return Ok(None);
                }
            }
            if !deltas.is_empty() || verbatim.is_some() {
                return Ok(Some(Frame { deltas, verbatim }));
            }
        }
        Ok(None)
    }

    /// Most frames mean one thing, and late followers are kept them: there is no room in one for more than that.
    fn cut(&mut self, deltas: &mut Vec<Delta>) -> Result<Option<Piece>, Failure> {
        match &mut self.framing {
            Framing::Sse(lines) => {
                let Some(frame) = lines.next()? else { return Ok(None) };
                deltas.reserve_exact(1);
                let sign = self.events.read(frame.event, &frame.data, deltas)?;
                Ok(Some(Piece { sign, verbatim: self.verbatim.then(|| frame.raw.to_vec()) }))
            }
            Framing::Ndjson(lines) => {
                let Some(line) = lines.next()? else { return Ok(None) };
                deltas.reserve_exact(1);
                let sign = self.events.read(None, line, deltas)?;
                Ok(Some(Piece { sign, verbatim: self.verbatim.then(|| [line, b"\n"].concat()) }))
            }
        }
    }

    /// Whether the end mark has been read: nothing after it matters.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The connection ended: was that a proper end? A finish without an end mark is one.
    ///
    /// # Errors
    /// `Empty` when nothing came, `Truncated` when no finish had come.
    pub fn close(&mut self) -> Result<(), Failure> {
        if self.finished {
            Ok(())
        } else if self.came {
            Err(Failure::new(Fault::Truncated, "the provider's stream ended before its end"))
        } else {
            Err(Failure::new(Fault::Empty, "the provider's stream was empty"))
        }
    }
}
