//! A provider's stream, read as it arrives: framing, meaning, and whether its end was a proper one.

use super::mould::{self, Mould};
use super::{Sign, anthropic, gemini, ndjson, ollama, openai, passes, responses, sse};
use crate::domain::chat::{Delta, Frame};
use crate::domain::failure::{Failure, Fault};
use crate::domain::words::Dialect;
use std::borrow::Cow;

/// Malformed frames one after the other before the stream as a whole is garbage.
const MALFORMED_MAX: u32 = 16;
/// After so many frames in a row that were not like the one before, likeness is not looked for any more.
const UNLIKE_MAX: u32 = 8;

/// Reads a provider's stream as it arrives, in pieces of any size.
///
/// A frame that is nothing but the end mark (`[DONE]`, `message_stop`) is not handed out: the caller's own end mark
/// is written by `Writer::end`. One that says more with it (Ollama's last line, the last event of Responses) is.
pub struct Reader {
    framing: Framing,
    events: Events,
    verbatim: bool,
    likeness: Likeness,
    came: bool,
    finished: bool,
    ended: bool,
    malformed: u32,
    #[cfg(test)]
    casts: usize,
}

/// Whether a frame is like the one before.
#[derive(Debug, Default)]
struct Likeness {
    /// `None`: it is not looked for.
    kind: Option<&'static mould::Kind>,
    /// Of the frame before, if that said a text and nothing else.
    mould: Option<Mould>,
    unlike: u32,
}

impl Likeness {
    /// Of frames of this dialect. An unwrapped tool's arguments are text as well, so there it is not looked for.
    fn new(target: Dialect, unwrap_tool: Option<&str>) -> Self {
        let kind = match target {
            _ if unwrap_tool.is_some() => None,
            Dialect::OpenAiChat => Some(&mould::OPENAI),
            Dialect::Anthropic => Some(&mould::ANTHROPIC),
            _ => None,
        };
        Self { kind, ..Self::default() }
    }

    /// A frame was read in full.
    fn learn(&mut self, frame: &sse::Sse<'_>, sign: Option<Sign>, deltas: &[Delta]) {
        let Some(kind) = self.kind else { return };
        // Anything but a text may have changed what a text means.
        self.mould = match (&frame.data, sign) {
            (Cow::Borrowed(_), Some(Sign::More)) => Mould::of(kind, frame.raw, deltas),
            _ => None,
        };
        if self.mould.is_some() {
            self.unlike += 1;
            if self.unlike == UNLIKE_MAX {
                *self = Self::default();
            }
        }
    }

    /// Reads the frame at the beginning of these bytes if it is like the one before; its length, or 0.
    fn cast(&mut self, bytes: &[u8], verbatim: bool, frame: &mut Frame) -> usize {
        let Some(mould) = &self.mould else { return 0 };
        let Some(cast) = mould.cast(bytes) else { return 0 };
        if cast.raw.len() > sse::FRAME_BYTES_MAX {
            return 0;
        }
        mould.fill(&cast, frame);
        if verbatim {
            frame.spell(cast.raw);
        } else {
            frame.verbatim = None;
        }
        self.unlike = 0;
        cast.raw.len()
    }
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
        let likeness = Likeness::new(target, unwrap_tool);
        Self {
            framing,
            events,
            verbatim,
            likeness,
            came: false,
            finished: false,
            ended: false,
            malformed: 0,
            #[cfg(test)]
            casts: 0,
        }
    }

    /// The same, reading every frame in full.
    #[cfg(test)]
    pub(super) fn in_full(self) -> Self {
        Self { likeness: Likeness::default(), ..self }
    }

    /// How many frames were recognised by the one before.
    #[cfg(test)]
    pub(super) fn casts(&self) -> usize {
        self.casts
    }

    /// Takes more bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        match &mut self.framing {
            Framing::Sse(lines) => lines.feed(bytes),
            Framing::Ndjson(lines) => lines.feed(bytes),
        }
    }

    /// Takes more bytes. If they begin with a frame like the one before, that is read where they are and put in the place
    /// of `frame`; whether it was.
    pub fn take(&mut self, bytes: &[u8], frame: &mut Frame) -> bool {
        let between = !self.ended && matches!(&self.framing, Framing::Sse(lines) if lines.between());
        let length = if between { self.likeness.cast(bytes, self.verbatim, frame) } else { 0 };
        if length < bytes.len() {
            self.feed(&bytes[length..]);
        }
        if length > 0 {
            self.knew();
        }
        length > 0
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
        let mut frame = Frame::default();
        Ok(self.read(&mut frame)?.then_some(frame))
    }

    /// Puts the next whole frame in the place of `frame`, whose room is used again; whether one has arrived.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub fn read(&mut self, frame: &mut Frame) -> Result<bool, Failure> {
        while !self.ended {
            if self.cast(frame) {
                return Ok(true);
            }
            let Some(sign) = self.cut(frame)? else { return Ok(false) };
            self.came = true;
            let Some(sign) = sign else {
                self.malformed += 1;
                if self.malformed == MALFORMED_MAX {
                    return Err(Failure::new(Fault::Garbage, "the provider's stream cannot be understood"));
                }
                continue;
            };
            self.malformed = 0;
            self.finished |= frame.deltas.iter().any(|delta| matches!(delta, Delta::Finish { .. }));
            if sign == Sign::End {
                self.close()?;
                self.ended = true;
                if frame.deltas.is_empty() {
                    return Ok(false);
                }
            }
            if !frame.deltas.is_empty() || self.verbatim {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the next frame, of what was fed, if it is like the one before.
    fn cast(&mut self, frame: &mut Frame) -> bool {
        let Framing::Sse(lines) = &mut self.framing else { return false };
        let length = self.likeness.cast(lines.rest(), self.verbatim, frame);
        if length == 0 {
            return false;
        }
        lines.skip(length);
        self.knew();
        true
    }

    /// A frame was recognised.
    fn knew(&mut self) {
        self.malformed = 0;
        #[cfg(test)]
        {
            self.casts += 1;
        }
    }

    /// Cuts the next frame out and reads it in full. `None`: it has not arrived; `Some(None)`: it is malformed.
    fn cut(&mut self, frame: &mut Frame) -> Result<Option<Option<Sign>>, Failure> {
        frame.deltas.clear();
        let sign = match &mut self.framing {
            Framing::Sse(lines) => {
                let Some(cut) = lines.next()? else { return Ok(None) };
                let sign = self.events.read(cut.event, &cut.data, &mut frame.deltas)?;
                self.likeness.learn(&cut, sign, &frame.deltas);
                if self.verbatim {
                    frame.spell(cut.raw);
                }
                sign
            }
            Framing::Ndjson(lines) => {
                let Some(line) = lines.next()? else { return Ok(None) };
                let sign = self.events.read(None, line, &mut frame.deltas)?;
                if self.verbatim {
                    frame.spell(line);
                    frame.verbatim.get_or_insert_default().push(b'\n');
                }
                sign
            }
        };
        if !self.verbatim {
            frame.verbatim = None;
        }
        Ok(Some(sign))
    }

    /// Whether all that was fed has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.framing {
            Framing::Sse(lines) => lines.is_empty(),
            Framing::Ndjson(lines) => lines.is_empty(),
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
