//! Our keys and header values, taken out of whatever a provider says about itself: some repeat what they were sent.

use crate::config::Provider;
use crate::domain::chat::Frame;
use crate::domain::failure::Failure;
use crate::domain::key::Secret;
use crate::gateway::ports::{Came, Frames, Reply, Wait};
use std::sync::Arc;

/// A shorter value is no secret, and taking it out would spoil every sentence.
const SECRET_BYTES_MIN: usize = 6;

/// What one provider was sent and nobody else may read. Clones share it.
#[derive(Clone)]
pub(super) struct Hush(Arc<[Secret]>);

impl Hush {
    /// The provider's keys and headers.
    pub(super) fn new(settings: &Provider) -> Self {
        let headers = settings.headers.iter().map(|(_, value)| value);
        let all =
            settings.keys.iter().chain(headers).filter(|secret| secret.reveal().len() >= SECRET_BYTES_MIN);
        Self(all.cloned().collect())
    }

    /// The failure without them.
    pub(super) fn over(&self, mut failure: Failure) -> Failure {
        let words = [Some(&mut failure.message), failure.code.as_mut(), failure.param.as_mut()];
        for text in words.into_iter().flatten() {
            for secret in &*self.0 {
                if text.contains(secret.reveal()) {
                    *text = text.replace(secret.reveal(), "***");
                }
            }
        }
        failure
    }

    /// The reply, whose failures will come without them.
    pub(super) fn reply(&self, reply: Reply) -> Reply {
        match reply {
            Reply::Stream { frames, dropped } => {
                Reply::Stream { frames: Box::new(Hushed { frames, hush: self.clone() }), dropped }
            }
            whole @ Reply::Whole { .. } => whole,
        }
    }
}

struct Hushed {
    frames: Box<dyn Frames>,
    hush: Hush,
}

impl Frames for Hushed {
    fn next(&mut self, frame: &mut Frame, wait: Wait) -> Result<Came, Failure> {
        self.frames.next(frame, wait).map_err(|failure| self.hush.over(failure))
    }

    fn are_out(&self) -> bool {
        self.frames.are_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::Fault;

    #[test]
    fn what_was_sent_is_not_repeated_wherever_it_stands() {
        let hush = Hush(["sk-secret", "site-pass"].map(Secret::new).into_iter().collect());
        let mut failure = Failure::new(Fault::BadRequest, "sk-secret and site-pass, sk-secret");
        failure.code = Some("bad_sk-secret".to_owned());
        failure.param = Some("site-pass".to_owned());
        let failure = hush.over(failure);
        assert_eq!(failure.message, "*** and ***, ***");
        assert_eq!((failure.code.as_deref(), failure.param.as_deref()), (Some("bad_***"), Some("***")));
    }
}
