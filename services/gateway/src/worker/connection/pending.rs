//! What a client has sent and was not answered yet: it waits for JetStream, for the store of consumers, or for the client
//! itself to read what it was answered before. Bounded in every part.

use std::collections::VecDeque;

use tidings_protocol::error::{ErrorCode, ErrorMessage};

use crate::worker::confirm::Confirmation;
use crate::worker::latest::Lookup;
use crate::worker::publish::Publication;
use crate::worker::replay_from_stream::Fallback;

/// What one connection may have waiting of one kind, behind what is at work.
pub(in crate::worker) const MAX_WAITING: usize = 8;
/// Confirmations that may wait: those of what comes together are saved together.
pub(in crate::worker) const MAX_CONFIRMATIONS: usize = 64;

/// There is none of a connection for which nothing waits.
#[derive(Default)]
pub(in crate::worker) struct Waiting {
    /// What is read for the connection from the stream itself.
    pub(in crate::worker) fallback: Option<Box<Fallback>>,
    pub(in crate::worker) publications: VecDeque<Publication>,
    pub(in crate::worker) is_storing: bool,
    pub(in crate::worker) lookups: VecDeque<Lookup>,
    pub(in crate::worker) is_looking_up: bool,
    pub(in crate::worker) confirmations: Vec<Confirmation>,
    pub(in crate::worker) is_confirming: bool,
    /// Tokens whose issuers are being asked.
    pub(in crate::worker) authentications: usize,
    /// What was read and not looked at: no more than one read takes.
    pub(in crate::worker) unheard: Vec<u8>,
}

impl Waiting {
    /// Whether a request can be looked up next.
    pub(in crate::worker) fn is_lookup_due(&self) -> bool {
        !self.is_looking_up && !self.lookups.is_empty()
    }

    pub(in crate::worker) fn is_idle(&self) -> bool {
        let is_at_work =
            self.is_storing || self.is_looking_up || self.is_confirming || self.authentications > 0;
        !is_at_work && self.fallback.is_none() && self.lookups.is_empty() && self.unheard.is_empty()
    }
}

/// What is answered to a request for which there is no room.
pub(in crate::worker) fn too_many(most: usize, what: &str) -> ErrorMessage {
    let text = format!("{most} messages are waiting to be {what}; await their answers first");
    ErrorMessage::new(ErrorCode::Unavailable, text)
}
