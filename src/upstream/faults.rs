//! What went wrong, in our terms: the one place that reads ureq's errors and words them.

use super::line::Line;
use crate::domain::failure::{Failure, Fault, Insecure};
use rustls::CertificateError;
use std::io::{self, ErrorKind};
use ureq::{Error, Timeout};

/// `EMFILE` and `ENFILE`: we have no descriptor left; the provider is innocent.
const NO_DESCRIPTORS: [i32; 2] = [24, 23];

/// The fault of a call that ended before a complete head.
pub(super) fn before_the_head(error: &Error, line: &Line) -> Fault {
    let story = line.story();
    let fault = read(error, line);
    let is_stale = story.reused && !story.heard;
    match fault {
        Fault::Truncated if is_stale => Fault::StaleConnection,
        Fault::Truncated => Fault::Reset,
        other => other,
    }
}

/// The fault of a call whose body could not be read to its end.
pub(super) fn in_the_body(error: &Error, line: &Line) -> Fault {
    match read(error, line) {
        // Connected it was: the kernel gave up on a peer that fell silent.
        Fault::ConnectTimeout => Fault::IdleTimeout,
        other => other,
    }
}

/// An end that came too early is `Truncated` here, wherever it came.
fn read(error: &Error, line: &Line) -> Fault {
    let story = line.story();
    if story.cut {
        return Fault::CallerLeft;
    }
    if let Some(expired) = story.expired {
        return expired;
    }
    match error {
        Error::Io(error) => read_io(error),
        Error::Timeout(Timeout::Connect) => Fault::ConnectTimeout,
        Error::Timeout(_) => Fault::FirstTokenTimeout,
        Error::HostNotFound => Fault::NameNotFound,
        Error::ConnectionFailed | Error::ConnectProxyFailed(_) => Fault::Refused,
        Error::Tls(_) | Error::TlsRequired => Fault::Tls(Insecure::Handshake),
        // What a proxy says.
        Error::Protocol(_) => Fault::Garbage,
        // The rest complains of our request; `Error` may also grow.
        _ => Fault::Internal,
    }
}

fn read_io(error: &io::Error) -> Fault {
    if error.raw_os_error().is_some_and(|code| NO_DESCRIPTORS.contains(&code)) {
        return Fault::Internal;
    }
    match error.kind() {
        ErrorKind::ConnectionRefused
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable
        | ErrorKind::PermissionDenied => Fault::Refused,
        // rustls says what it has to say as invalid data.
        ErrorKind::InvalidData => Fault::Tls(
            error.get_ref().and_then(|inner| inner.downcast_ref()).map_or(Insecure::Handshake, insecure),
        ),
        // The kernel gave up retransmitting.
        ErrorKind::TimedOut => Fault::ConnectTimeout,
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected => Fault::Truncated,
        _ => Fault::Reset,
    }
}

fn insecure(error: &rustls::Error) -> Insecure {
    let certificate = match error {
        rustls::Error::InvalidCertificate(error) => error,
        rustls::Error::InvalidMessage(_) => return Insecure::NotTls,
        _ => return Insecure::Handshake,
    };
    match certificate {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Insecure::Misnamed
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Insecure::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Insecure::NotYetValid,
        CertificateError::UnknownIssuer => Insecure::UnknownIssuer,
        _ => Insecure::BadCertificate,
    }
}

/// A fault with its sentence. `provider` is the configured name; no address, path or key is named.
pub(super) fn failure(provider: &str, fault: Fault) -> Failure {
    let what = match fault {
        Fault::Redirect => "answered with a redirect, which is never followed",
        Fault::Refused => "refused the connection",
        Fault::Reset => "closed the connection before it answered",
        Fault::NameNotFound => "cannot be found under its name",
        Fault::Tls(why) => {
            return Failure::new(fault, format!("{provider} could not be reached securely: {}", why.words()));
        }
        Fault::Garbage => "answered with something that is not HTTP",
        Fault::Empty => "answered without content",
        Fault::Truncated => "ended its answer too early",
        Fault::AnswerTooLarge => "answered with more than is accepted",
        Fault::ConnectTimeout => "could not be connected to in time",
        Fault::FirstTokenTimeout => "did not answer in time",
        Fault::IdleTimeout => "stopped in the middle of its answer",
        Fault::TotalTimeout => "did not finish in time",
        Fault::StaleConnection => "closed a kept connection",
        Fault::CallerLeft => "was no longer needed: the caller left",
        Fault::KeyRefused => "refused every key configured for it",
        Fault::PaymentRequired => "asks for payment on every key configured for it",
        Fault::NoMemory => "was not asked or not listened to: too much is held in memory",
        _ => "could not be asked",
    };
    Failure::new(fault, format!("{provider} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{AlertDescription, InvalidMessage, PeerIncompatible};

    #[test]
    fn what_tls_complains_of_is_told_apart_and_counts_as_one() {
        let certificate = rustls::Error::InvalidCertificate;
        for (error, why) in [
            (certificate(CertificateError::NotValidForName), Insecure::Misnamed),
            (certificate(CertificateError::Expired), Insecure::Expired),
            (certificate(CertificateError::NotValidYet), Insecure::NotYetValid),
            (certificate(CertificateError::UnknownIssuer), Insecure::UnknownIssuer),
            (certificate(CertificateError::BadSignature), Insecure::BadCertificate),
            (rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType), Insecure::NotTls),
            (rustls::Error::AlertReceived(AlertDescription::HandshakeFailure), Insecure::Handshake),
            (rustls::Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon), Insecure::Handshake),
        ] {
            let fault = read_io(&io::Error::new(ErrorKind::InvalidData, error));
            assert_eq!((fault, fault.word()), (Fault::Tls(why), "tls"));
            let message = failure("p", fault).message;
            assert_eq!(message, format!("p could not be reached securely: {}", why.words()));
        }
        assert_eq!(read_io(&ErrorKind::InvalidData.into()), Fault::Tls(Insecure::Handshake));
    }
}
