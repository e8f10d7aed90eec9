//! The trait behind which every channel is, and the outcomes of an attempt.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Delivery, Target};

/// Makes attempts to send.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Makes one attempt. It ends within the channel's time-out.
    async fn send(&self, delivery: &Delivery) -> Result<Accepted, Failed>;
}

/// The receiver has taken the delivery over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What the receiver calls it, where it says so: Amazon's message id, the answer of an SMTP server.
    pub reference: Option<String>,
}

/// Why an attempt failed, by what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The attempt may be repeated.
    #[error("{reason}")]
    Later {
        /// What happened.
        reason: String,
        /// The time that the receiver asks to wait for, from now on.
        retry_after: Option<Duration>,
    },
    /// The same attempt would fail again: something has to be corrected first.
    #[error("{reason}")]
    Never {
        /// What happened.
        reason: String,
    },
    /// The target does not exist any more and should be forgotten.
    #[error("{reason}")]
    Gone {
        /// What happened.
        reason: String,
    },
}

impl Failed {
    /// Creates [`Failed::Later`] without a time that the receiver asks for.
    pub(crate) fn later(reason: impl Into<String>) -> Self {
        Self::Later { reason: reason.into(), retry_after: None }
    }

    /// Creates [`Failed::Never`].
    pub(crate) fn never(reason: impl Into<String>) -> Self {
        Self::Never { reason: reason.into() }
    }
}

/// The failure of a channel that is handed a target of another one.
pub(crate) fn misdirected(target: &Target) -> Failed {
    Failed::never(format!("a target of the channel {} came to another channel", target.channel()))
}

/// Returns what an error of a library says, and what its causes say, as one text.
pub(crate) fn causes_of(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
