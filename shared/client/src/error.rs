//! Why a client ends, and why a publication fails.

use std::io;

/// The client has ended: another attempt would change nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address cannot be that of a gateway.
    #[error(
        "{url:?} is not the address of a gateway, expected one such as wss://gateway.example/api/ws: {why}"
    )]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The connection cannot be opened, and waiting does not help.
    #[error("cannot connect to {url}: {why}")]
    Connect {
        /// The address.
        url: String,
        /// What failed.
        why: String,
        /// Whether the server's certificate is not trusted.
        is_untrusted: bool,
    },
    /// The gateway answers with a status that waiting does not change.
    #[error("{what}")]
    Refused {
        /// The status and the answer.
        what: String,
    },
    /// There is no token, or it is known to be good no longer.
    #[error("{what}")]
    Unauthorized {
        /// What the gateway said.
        what: String,
    },
    /// The gateway closed the connection with a code that says to stay away.
    #[error("{what}")]
    Closed {
        /// The code and the reason.
        what: String,
    },
    /// A topic or a filter does not exist.
    #[error("the gateway refuses the subscription: {message} ({code})")]
    Subscription {
        /// The error code.
        code: String,
        /// The gateway's text.
        message: String,
    },
    /// As many attempts in a row have failed as are allowed.
    #[error("{what}; {attempts} attempts in a row have failed")]
    Attempts {
        /// The last failure.
        what: String,
        /// How many.
        attempts: usize,
    },
    /// The position cannot be kept.
    #[error("the client's position cannot be kept")]
    Store(#[source] io::Error),
}

/// A request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The gateway refuses the message.
    #[error("the gateway refuses the message: {message} ({code})")]
    Refused {
        /// The error code.
        code: String,
        /// The gateway's text.
        message: String,
        /// The answer, as it was sent.
        answer: String,
    },
    /// As many messages wait for their answers as are allowed.
    #[error("{0} messages wait for their answers already")]
    OutboxFull(usize),
    /// No answer came within the time.
    #[error("no answer came in time; what was asked for may have been done all the same")]
    Late,
    /// The answer was lost so long ago that a repetition might count twice.
    #[error("the answer was lost so long ago that a repetition might count twice")]
    Uncertain,
    /// The client has ended.
    #[error("the client has ended")]
    Ended,
}
