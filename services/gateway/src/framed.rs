//! An envelope as it goes onto the wire: framed once per gateway and form, shared by everybody.

use std::sync::OnceLock;

use bytes::Bytes;
use tidings_model::{Envelope, Position};
use tidings_protocol::framing::{Opcode, frame, text_with_sequence};
use tidings_streams::StoredEnvelope;

/// How a connection wants its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The body exactly as the catalog renders it.
    Plain,
    /// `tidings.v1`: the body with `seq` and `id` in front.
    Sequenced,
}

/// An envelope and its frames, made when the first connection needs them.
#[derive(Debug)]
pub(crate) struct FramedEnvelope {
    stored: StoredEnvelope,
    plain: OnceLock<Bytes>,
    sequenced: OnceLock<Bytes>,
}

/// What tells one message from another: envelopes of one message to several addresses share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageIdentity {
    event: Position,
    message: u32,
}

impl FramedEnvelope {
    pub(crate) fn new(stored: StoredEnvelope) -> Self {
        Self { stored, plain: OnceLock::new(), sequenced: OnceLock::new() }
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.stored.sequence
    }

    pub(crate) fn stored(&self) -> &StoredEnvelope {
        &self.stored
    }

    pub(crate) fn envelope(&self) -> &Envelope {
        &self.stored.envelope
    }

    pub(crate) fn identity(&self) -> MessageIdentity {
        let origin = self.envelope().origin;
        MessageIdentity { event: origin.event, message: origin.message }
    }

    pub(crate) fn frame(&self, form: Form) -> Bytes {
        let body = &self.envelope().body;
        let plain = || self.plain.get_or_init(|| frame(Opcode::Text, body)).clone();
        match form {
            Form::Plain => plain(),
            Form::Sequenced => {
                let made = self.sequenced.get_or_init(|| {
                    let sequenced = text_with_sequence(self.sequence(), &self.envelope().event_id, body);
                    // The projector writes JSON objects only; what another writer put there is
                    // passed on as it is.
                    sequenced.unwrap_or_else(|_| plain())
                });
                made.clone()
            }
        }
    }

    /// Memory that the envelope takes while it is held, in bytes: the body and, sooner or later,
    /// a frame of it in each form.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + 3 * self.envelope().body.len()
    }
}
