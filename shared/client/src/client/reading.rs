//! What each message of the gateway means to the client.

use tokio::time::Instant;

use super::open::Lost;
use super::{Client, Handed, Happening, Message, Phase, SUBSCRIPTION};
use crate::error::{ClientError, RequestError};
use crate::message::Received;
use crate::outbox::passes;
use crate::requests::Purpose;

impl Client {
    /// Takes in what the gateway has sent; `None` if that is not for the application.
    pub(super) fn read(&mut self, text: String) -> Result<Option<Happening>, ClientError> {
        let Phase::Open(open) = &mut self.phase else { return Ok(None) };
        Ok(Some(match Received::read(&text) {
            Received::Envelope { sequence, body } => {
                let position = open.position_of(sequence);
                if is_handled(self.position.as_deref(), &position) {
                    open.acknowledge(&sequence.to_string());
                    return Ok(None);
                }
                self.handed = Some(Handed { position: position.clone() });
                Happening::Message(Message { body, text, position })
            }
            Received::Gap { to } => {
                open.stands_at(&to);
                self.handed = Some(Handed { position: to });
                Happening::Gap(text)
            }
            Received::Welcome { position, expires } => {
                open.stands_at(&position);
                open.expires(expires.as_deref());
                // From here on nothing is missed, even if nothing comes on this connection.
                self.keep(position)?;
                Happening::Control(text)
            }
            Received::CaughtUp { position } => {
                open.stands_at(&position);
                self.keep(position)?;
                Happening::Control(text)
            }
            Received::Authenticated { expires } => {
                open.expires(expires.as_deref());
                Happening::Control(text)
            }
            Received::Draining => {
                open.is_draining();
                Happening::Control(text)
            }
            Received::Pong => Happening::Open,
            Received::Control => Happening::Control(text),
            Received::Done { id, result } => {
                if let Some(purpose) = self.outbox.answered(&id, result) {
                    self.note_done(purpose);
                    return Ok(None);
                }
                if self.outbox.is_forgotten(&id) {
                    return Ok(None);
                }
                Happening::Control(text)
            }
            Received::Refused { id, code, message, .. } if id == SUBSCRIPTION => {
                if !passes(&code) {
                    return Err(ClientError::Subscription { code, message });
                }
                let what = format!("the gateway refuses the subscription: {message} ({code})");
                return self.lost(Lost::Closed { what });
            }
            Received::Refused { id, code, message, retry_after } => {
                let error = RequestError::Refused { code, message, answer: text.clone() };
                let is_awaited = self.outbox.refused(&id, error, retry_after, Instant::now());
                if is_awaited || self.outbox.is_forgotten(&id) {
                    return Ok(None);
                }
                Happening::Other(text)
            }
            Received::Answer => Happening::Other(text),
        }))
    }
    /// What each further connection is subscribed to from the start.
    fn note_done(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Subscribe { topic, filters } => {
                self.settings.topics.insert(topic, filters);
            }
            Purpose::Unsubscribe { topic } => {
                self.settings.topics.remove(&topic);
            }
            Purpose::Publish | Purpose::Ask => {}
        }
    }
}

/// Whether a position is not behind what was handled, in the same life of the stream.
fn is_handled(handled: Option<&str>, position: &str) -> bool {
    let parts = |position: &str| {
        let (epoch, sequence) = position.split_once('-')?;
        Some((epoch.to_owned(), sequence.parse::<u64>().ok()?))
    };
    match (handled.and_then(parts), parts(position)) {
        (Some((epoch, handled)), Some((same, sequence))) => epoch == same && sequence <= handled,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_positions_of_one_epoch_are_compared() {
        for (handled, position, expected) in [
            (Some("18f-7"), "18f-7", true),
            (Some("18f-7"), "18f-6", true),
            (Some("18f-7"), "18f-8", false),
            (Some("18f-7"), "190-1", false),
            (None, "18f-1", false),
            (Some("nonsense"), "18f-1", false),
        ] {
            assert_eq!(is_handled(handled, position), expected, "{handled:?} {position}");
        }
    }
}
