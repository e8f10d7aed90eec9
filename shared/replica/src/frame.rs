//! An envelope as it is sent: framed once per gateway and form, shared by all connections.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::sync::OnceLock;

use bytes::Bytes;
use tidings_model::{Attribute, Envelope, Position};
use tidings_protocol::error::{ErrorCode, ErrorMessage};
use tidings_protocol::framing::{Opcode, frame, front, longest_front, text_with_sequence};
use tidings_protocol::server::Form;
use tidings_streams::StoredEnvelope;
use time::OffsetDateTime;

use crate::deflate::Deflate;

/// What an attribute takes besides its texts: two `String`s and its share of a tree node.
const ATTRIBUTE: usize = 64;

/// An envelope and its frames. The plain frame holds the body, once; the other ones are made when
/// the first connection needs them.
#[derive(Debug)]
pub struct FramedEnvelope {
    stored: StoredEnvelope,
    plain: Bytes,
    sequenced: OnceLock<Bytes>,
    compressed_plain: OnceLock<Bytes>,
    compressed_sequenced: OnceLock<Bytes>,
}

/// What tells one message from another: envelopes of one message to several addresses share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageIdentity {
    event: Position,
    /// One more than its number, so that an absent identity takes no room of its own.
    message: NonZeroU32,
}

impl MessageIdentity {
    /// Whether this message comes before the other one wherever each is written in its event's turn. Events of different
    /// lives of the stream of events cannot be compared.
    fn precedes(self, other: Self) -> bool {
        let place = |identity: Self| (identity.event.sequence, identity.message);
        self.event.epoch == other.event.epoch && place(self) < place(other)
    }
}

impl FramedEnvelope {
    /// Copies the body: as it comes from NATS, it is a slice of a read buffer, and would keep all
    /// that was read with it in memory for as long as it is held itself.
    pub fn new(mut stored: StoredEnvelope) -> Self {
        let body = &mut stored.envelope.body;
        let plain = frame(Opcode::Text, body);
        *body = plain.slice(plain.len() - body.len()..);
        Self {
            stored,
            plain,
            sequenced: OnceLock::new(),
            compressed_plain: OnceLock::new(),
            compressed_sequenced: OnceLock::new(),
        }
    }

    /// The sequence in its stream.
    pub fn sequence(&self) -> u64 {
        self.stored.sequence
    }

    /// When the stream stored it.
    #[must_use]
    pub fn stored_at(&self) -> OffsetDateTime {
        self.stored.stored_at
    }

    pub(crate) fn stored(&self) -> &StoredEnvelope {
        &self.stored
    }

    /// The envelope itself.
    pub fn envelope(&self) -> &Envelope {
        &self.stored.envelope
    }

    /// What its message is known by.
    pub fn identity(&self) -> MessageIdentity {
        let origin = self.envelope().origin;
        let message = NonZeroU32::MIN.saturating_add(origin.message);
        MessageIdentity { event: origin.event, message }
    }

    /// Whether a client that has received this message, and everything before it, has received the envelope.
    pub fn is_before(&self, message: MessageIdentity) -> bool {
        !self.stored.is_late && self.identity().precedes(message)
    }

    /// The frame, not compressed, however long it is.
    pub fn frame(&self, form: Form) -> &Bytes {
        match form {
            Form::Plain => &self.plain,
            Form::Sequenced => self.sequenced.get_or_init(|| self.sequenced()),
        }
    }

    /// The frame for a client that takes messages of up to `most` bytes. In place of a longer one it receives an
    /// error, so that it does not wait in vain for the message at that sequence.
    pub fn frame_within(&self, form: Form, most: usize, deflate: Option<&Deflate>) -> Cow<'_, Bytes> {
        if !self.is_within(form, most) {
            return Cow::Owned(self.withheld(form, most));
        }
        Cow::Borrowed(match deflate {
            Some(deflate) => self.compressed_frame(form, deflate),
            None => self.frame(form),
        })
    }

    /// Whether a client that takes messages of up to `most` bytes takes this one, as it is sent and before it is compressed.
    pub fn is_within(&self, form: Form, most: usize) -> bool {
        let Envelope { event_id, body, .. } = self.envelope();
        match form {
            Form::Plain => body.len() <= most,
            // Looked at closely only where it matters.
            Form::Sequenced => {
                body.len() + longest_front(event_id) <= most
                    || body.len() + front(self.sequence(), event_id).len() <= most
            }
        }
    }

    /// The frame for a connection that negotiated permessage-deflate: compressed if the body is long enough, and if
    /// that makes the frame shorter.
    fn compressed_frame(&self, form: Form, deflate: &Deflate) -> &Bytes {
        if !self.is_compressed(deflate.threshold()) {
            return self.frame(form);
        }
        match form {
            Form::Plain => self.compressed_plain.get_or_init(|| deflate.compress(self.plain.clone())),
            Form::Sequenced => self.compressed_sequenced.get_or_init(|| {
                // Not kept uncompressed for those alone who want it compressed.
                let sequenced = self.sequenced.get().cloned().unwrap_or_else(|| self.sequenced());
                deflate.compress(sequenced)
            }),
        }
    }

    fn sequenced(&self) -> Bytes {
        let Envelope { event_id, body, .. } = self.envelope();
        let sequenced = text_with_sequence(self.sequence(), event_id, body);
        // The projector writes JSON objects only; what another writer put there is passed on as it is.
        sequenced.unwrap_or_else(|_| self.plain.clone())
    }

    fn is_compressed(&self, threshold: usize) -> bool {
        self.envelope().body.len() >= threshold
    }

    fn withheld(&self, form: Form, most: usize) -> Bytes {
        let Envelope { event_id, body, .. } = self.envelope();
        let length = match form {
            Form::Plain => body.len(),
            Form::Sequenced => body.len() + front(self.sequence(), event_id).len(),
        };
        let text = format!("a message of {length} bytes is not sent, expected at most {most}");
        let error =
            ErrorMessage::new(ErrorCode::MessageTooLarge, text).with_detail("event_id", event_id.as_str());
        let json = error.to_json(self.stored.stored_at);
        let sequenced = match form {
            Form::Plain => None,
            Form::Sequenced => text_with_sequence(self.sequence(), event_id, json.as_bytes()).ok(),
        };
        sequenced.unwrap_or_else(|| frame(Opcode::Text, json.as_bytes()))
    }

    /// Memory that the envelope takes while it is held, in bytes: the plain frame, sooner or later
    /// the others, and what is known of it. A threshold is that for compression, if there is any.
    pub(crate) fn weight(&self, threshold: Option<usize>) -> usize {
        let is_compressed = threshold.is_some_and(|threshold| self.is_compressed(threshold));
        // Compressed frames are shorter than the others; by how much is known when they are made.
        let frames = if is_compressed { 4 } else { 2 };
        let Envelope { subject, event_id, event_source, attributes, trace_parent, .. } = self.envelope();
        let texts = [Some(&subject.slot), subject.key.as_ref(), Some(event_id), event_source.as_ref()];
        let texts = texts.into_iter().chain([trace_parent.as_ref()]).flatten().map(String::len);
        let values = |attribute: &Attribute| {
            attribute.values().iter().map(|value| ATTRIBUTE + value.len()).sum::<usize>()
        };
        let attributes = attributes.iter().map(|(name, attribute)| name.len() + values(attribute));
        let known = texts.chain(attributes).sum::<usize>() + subject.address.as_str().len();
        size_of::<Self>() + frames * self.plain.len() + known
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidings_model::{Address, Attributes, Class, EnvelopeSubject, Epoch, Origin, Tenant};
    use time::OffsetDateTime;

    use super::*;

    const BODY: &str = r#"{"title":"API timeout, API timeout, API timeout"}"#;

    impl FramedEnvelope {
        /// An envelope for all users, with this body.
        fn example(sequence: u64, body: &str) -> Self {
            let envelope = Envelope {
                subject: EnvelopeSubject {
                    tenant: Tenant::parse("ops").unwrap(),
                    class: Class::Durable,
                    address: Address::all(),
                    slot: "x".to_owned(),
                    key: None,
                },
                event_id: "e".to_owned(),
                event_source: None,
                origin: Origin { event: Position { epoch: Epoch(1), sequence }, message: 0, part: 0 },
                attributes: Attributes::new(),
                expires_at: None,
                trace_parent: None,
                body: Bytes::copy_from_slice(body.as_bytes()),
            };
            let stored_at = OffsetDateTime::UNIX_EPOCH;
            Self::new(StoredEnvelope { sequence, stored_at, generation: 0, is_late: false, envelope })
        }
    }

    #[track_caller]
    fn check(body: &'static str, form: Form, expected: &str) {
        let framed = FramedEnvelope::example(7, body);
        assert_eq!(framed.envelope().body, body);
        assert_eq!(*framed.frame(form), frame(Opcode::Text, expected.as_bytes()));
        assert!(framed.weight(None) > 2 * body.len());
    }

    #[test]
    fn a_message_that_is_too_long_is_told_of() {
        let framed = FramedEnvelope::example(7, "{\"long\":1}");
        for (form, seq) in [(Form::Plain, ""), (Form::Sequenced, r#""seq":7,"id":"e","#)] {
            let length = 10 + seq.len();
            let most = length - 1;
            assert_eq!(*framed.frame_within(form, length, None), *framed.frame(form));
            let error = format!(
                r#""type":"error","action":"created","data":{{"code":"MESSAGE_TOO_LARGE","message":"a message of {length} bytes is not sent, expected at most {most}","event_id":"e"}},"timestamp":"1970-01-01T00:00:00.000Z"}}"#
            );
            let told = frame(Opcode::Text, format!("{{{seq}{error}").as_bytes());
            assert_eq!(*framed.frame_within(form, most, None), told);
        }
    }

    proptest! {
        /// What is promised to be the most holds for what is sent, in every form, and nothing shorter is withheld.
        #[test]
        fn nothing_longer_than_promised_is_sent(
            sequence in any::<u64>(),
            event_id in "[a\"\\\\\u{1}é]{0,40}",
            pad in 0..300usize,
            most in 0..400usize,
        ) {
            let body = format!("{{\"pad\":\"{}\"}}", "x".repeat(pad));
            let mut framed = FramedEnvelope::example(sequence, &body);
            framed.stored.envelope.event_id = event_id;
            for form in [Form::Plain, Form::Sequenced] {
                let sent = tidings_protocol::framing::payload(framed.frame(form)).len();
                prop_assert_eq!(framed.is_within(form, most), sent <= most);
                let given = framed.frame_within(form, most, None).into_owned();
                prop_assert_eq!(given == *framed.frame(form), sent <= most);
            }
        }
    }

    #[test]
    fn each_form_has_its_frame() {
        check(r#"{"a":1}"#, Form::Plain, r#"{"a":1}"#);
        check(r#"{"a":1}"#, Form::Sequenced, r#"{"seq":7,"id":"e","a":1}"#);
        check("no object", Form::Sequenced, "no object");
        check("", Form::Plain, "");
    }

    #[test]
    fn compressed_frames_are_made_once_and_never_longer() {
        let deflate = Deflate::new(BODY.len());
        for form in [Form::Plain, Form::Sequenced] {
            let framed = FramedEnvelope::example(7, BODY);
            let compressed = framed.compressed_frame(form, &deflate);
            assert!(compressed.len() < framed.frame(form).len());
            // Another shard takes what the first one made.
            let again = framed.compressed_frame(form, &Deflate::new(1));
            assert_eq!(again.as_ptr(), compressed.as_ptr());

            let short = FramedEnvelope::example(7, "{}");
            assert_eq!(short.compressed_frame(form, &Deflate::new(1)), short.frame(form));
        }
    }

    #[test]
    fn the_threshold_decides_what_is_compressed_and_weighs_more() {
        let framed = FramedEnvelope::example(7, BODY);
        let above = Deflate::new(BODY.len() + 1);
        assert_eq!(framed.compressed_frame(Form::Plain, &above), framed.frame(Form::Plain));
        assert_eq!(framed.weight(Some(above.threshold())), framed.weight(None));
        assert!(framed.weight(Some(BODY.len())) > framed.weight(None) + BODY.len());
    }
}
