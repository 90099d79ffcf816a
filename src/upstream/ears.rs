//! Hears when an answer begins: the last link of ureq's chain, above TLS.

use super::line::Line;
use std::fmt;
use std::sync::Arc;
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Marks on the call's line that something of an answer came: the last link, above TLS, whose own records
/// (a farewell, say) are no answer.
#[derive(Debug)]
pub(super) struct Listening {
    /// Whether calls go through a proxy, whose answer to `CONNECT` is no answer either.
    pub(super) proxied: bool,
}

impl<In: Transport> Connector<In> for Listening {
    type Out = Ears<In>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        // While it talks to the proxy itself, ureq takes the proxy out of the configuration.
        let is_outermost = details.config.proxy().is_some() == self.proxied;
        let ear = |inner| {
            let line = Line::calling().filter(|_| is_outermost);
            Ears { inner, line, is_outermost }
        };
        Ok(chained.map(ear))
    }
}

/// A connection that tells the line when an answer begins.
pub(super) struct Ears<T> {
    inner: T,
    /// Told once per call.
    line: Option<Arc<Line>>,
    is_outermost: bool,
}

impl<T: Transport> Transport for Ears<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let heard = self.inner.await_input(timeout)?;
        if heard && let Some(line) = self.line.take() {
            line.hear();
        }
        Ok(heard)
    }

    fn is_open(&mut self) -> bool {
        let is_open = self.inner.is_open();
        if self.is_outermost {
            self.line = Line::calling();
        }
        is_open
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl<T> fmt::Debug for Ears<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ears")
    }
}
