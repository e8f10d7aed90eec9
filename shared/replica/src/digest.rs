//! A digest as it is sent: several envelopes for one connection, framed as one message.

use std::sync::Arc;

use bytes::Bytes;
use tidings_catalog::Digest;
use tidings_protocol::framing::{Opcode, frame, longest_front, text_with_sequence};
use tidings_protocol::server::Form;

use crate::deflate::Deflate;
use crate::frame::FramedEnvelope;

/// Envelopes that become one message, in the order in which they are added.
#[derive(Debug)]
pub struct DigestFrame {
    digest: Arc<Digest>,
    form: Form,
    /// The longest message, in bytes.
    most: usize,
    bodies: Vec<Bytes>,
    bytes: usize,
    /// The frame of the first, in case that it stays alone.
    single: Bytes,
    /// Of the last one: its sequence and its event's id.
    last: (u64, String),
}

impl DigestFrame {
    /// Nothing yet, for a client of this form that takes messages of up to `most` bytes.
    #[must_use]
    pub fn new(digest: Arc<Digest>, form: Form, most: usize) -> Self {
        let (bodies, single, last) = (Vec::new(), Bytes::new(), (0, String::new()));
        Self { digest, form, most, bodies, bytes: 0, single, last }
    }

    /// What the digest looks like.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Adds an envelope. Returns the frame of those before it, if all are too long together.
    pub fn add(&mut self, framed: &FramedEnvelope, deflate: Option<&Deflate>) -> Option<Bytes> {
        let is_full = self.length_with(framed) > self.most;
        let finished = if is_full { self.finish(deflate) } else { None };
        if self.bodies.is_empty() {
            self.single = framed.frame_within(self.form, self.most, deflate).into_owned();
        }
        self.bytes += framed.envelope().body.len();
        self.bodies.push(framed.envelope().body.clone());
        self.last = (framed.sequence(), framed.envelope().event_id.clone());
        finished
    }

    /// Returns the frame of what was added, and begins again. A single envelope stays as it is.
    pub fn finish(&mut self, deflate: Option<&Deflate>) -> Option<Bytes> {
        let bodies = std::mem::take(&mut self.bodies);
        self.bytes = 0;
        if bodies.len() < 2 {
            return (!bodies.is_empty()).then(|| std::mem::take(&mut self.single));
        }
        let joined = self.digest.join(&bodies);
        let (sequence, id) = &self.last;
        let plain = || frame(Opcode::Text, &joined);
        let whole = match self.form {
            Form::Plain => plain(),
            // A digest is an object; its catalog was checked.
            Form::Sequenced => text_with_sequence(*sequence, id, &joined).unwrap_or_else(|_| plain()),
        };
        match deflate.filter(|deflate| joined.len() >= deflate.threshold()) {
            Some(deflate) => Some(deflate.compress(whole)),
            None => Some(whole),
        }
    }

    fn length_with(&self, framed: &FramedEnvelope) -> usize {
        let body = self.digest.length(self.bodies.len() + 1, self.bytes + framed.envelope().body.len());
        match self.form {
            Form::Plain => body,
            Form::Sequenced => body + longest_front(&framed.envelope().event_id),
        }
    }
}
