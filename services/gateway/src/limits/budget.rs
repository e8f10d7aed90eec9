//! What one connection may send, and its user on all of them.

use std::time::Duration;

use tidings_protocol::error::ErrorMessage;
use tidings_rate::{Spent, Used};

use super::ConnectionPermit;
use super::figures::{Counted, Limit};

/// How much one connection may send, together with the other connections of its user; holds its permit.
pub(crate) struct MessageBudget {
    permit: ConnectionPermit,
    /// Messages in a row that were refused.
    refused: u32,
    /// The client was warned that it sends too many frames or bytes, and still does.
    is_warned: bool,
    used: Used,
    frames: Used,
    bytes: Used,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Admitted,
    /// It is refused with this answer.
    Refused(ErrorMessage),
    /// The client went on through a whole burst of refusals.
    Regardless,
}

impl MessageBudget {
    /// The budget of the connection that holds this permit.
    pub(super) fn new(permit: ConnectionPermit) -> Self {
        Self {
            permit,
            refused: 0,
            is_warned: false,
            used: Used::default(),
            frames: Used::default(),
            bytes: Used::default(),
        }
    }

    /// Bytes that one message from the client may have.
    pub(crate) fn max_frame_bytes(&self) -> usize {
        self.permit.tenant.max_frame_bytes
    }

    /// Bytes that one message to the client may have.
    pub(crate) fn max_message_bytes(&self) -> usize {
        self.permit.tenant.max_message_bytes
    }

    /// The client publishes an event; else how long to wait, since all clients of its tenant publish too much.
    pub(crate) fn publish(&self) -> Result<(), Duration> {
        let tenant = &self.permit.tenant;
        let published = tenant.publications.check(&());
        tenant.usage.count(if published.is_ok() {
            Counted::Published
        } else {
            Counted::Refused(Limit::Published)
        });
        published
    }

    /// So many messages were given to connections of the tenant.
    pub(crate) fn count_delivered(&self, messages: u64) {
        self.permit.tenant.usage.count(Counted::Delivered(messages));
    }

    /// Another message has come.
    pub(crate) fn message(&mut self) -> Verdict {
        let ConnectionPermit { tenant, user, .. } = &self.permit;
        let of_connection = tenant.messages.check(&self.used);
        let of_connection = of_connection.map_err(|wait| (wait, tenant.message_rate, "", Limit::Messages));
        let of_user = || {
            let whose = " on all connections of this user";
            let checked = tenant.user_messages.check(user);
            checked.map_err(|wait| (wait, tenant.user_message_rate, whose, Limit::UserMessages))
        };
        let Err((wait, rate, whose, limit)) = of_connection.and_then(|()| of_user()) else {
            self.refused = 0;
            return Verdict::Admitted;
        };
        tenant.usage.count(Counted::Refused(limit));
        self.refused += 1;
        if self.refused > tenant.message_rate.burst().get() {
            return Verdict::Regardless;
        }
        let text = format!("more than {} messages per minute{whose}", rate.per_minute());
        Verdict::Refused(ErrorMessage::rate_limited(text, wait))
    }

    /// So many frames and bytes were read. What is read cannot be refused any more: the client is warned once, and it is
    /// regardless if it goes on.
    pub(crate) fn traffic(&mut self, frames: usize, bytes: usize) -> Verdict {
        let tenant = &self.permit.tenant;
        let spent = [
            (tenant.frames.spend(&self.frames, frames), tenant.frame_rate, "frames", Limit::Frames),
            (tenant.bytes.spend(&self.bytes, bytes), tenant.byte_rate, "bytes", Limit::Bytes),
        ];
        let mut warning = None;
        for (spent, rate, what, limit) in spent {
            match spent {
                Spent::Within => continue,
                Spent::Beyond(wait) => _ = warning.get_or_insert((wait, rate, what)),
                Spent::Everything(_) => {
                    tenant.usage.count(Counted::Refused(limit));
                    return Verdict::Regardless;
                }
            }
            tenant.usage.count(Counted::Refused(limit));
        }
        let was_warned = std::mem::replace(&mut self.is_warned, warning.is_some());
        match warning {
            Some((wait, rate, what)) if !was_warned => {
                let text = format!("more than {} {what} per minute", rate.per_minute());
                Verdict::Refused(ErrorMessage::rate_limited(text, wait))
            }
            _ => Verdict::Admitted,
        }
    }
}
