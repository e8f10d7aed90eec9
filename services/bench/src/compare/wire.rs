//! What both systems put on the wire, as far as a client must know it.
//!
//! Each message's body has a number in its text, by which clients check what they received on either system.

use serde_json::{Value, json};
use tidings_access::{SigningSecret, mint};
use tidings_model::json::parse;

use crate::audience::Message;
use crate::client::{Heard, heard};
use crate::deployment::{SECRET, TOPIC, claims, token};
use crate::failure::Failure;

/// The path of Centrifugo's WebSockets.
pub(super) const PATH: &str = "/connection/websocket";
/// The header with the channels of what is published through JetStream.
pub(super) const CHANNELS: &str = "centrifugo-channels";
/// What comes before a message's number in its body.
const TEXT: &[u8] = br#""message":""#;
const DIGITS: usize = 10;
const OFFSET: &[u8] = br#""offset":"#;

/// How a client and a server talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// `tidings.v1`
    Tidings,
    /// Centrifugo's JSON protocol
    Centrifugo,
}

/// For whom an event is.
#[derive(Debug, Clone)]
pub(super) enum Receiver {
    /// All who subscribed to the topic.
    Topic,
    /// A user.
    User(String),
}

impl Protocol {
    /// A token of this user, in HS256.
    pub(super) fn token(self, user: &str) -> Result<String, Failure> {
        match self {
            Self::Tidings => token(user),
            Self::Centrifugo => {
                let mut claims = claims(user, &["o1".to_owned()]);
                claims.insert("channels".to_owned(), json!([channel_of(&Receiver::User(user.to_owned()))]));
                Ok(mint(&claims, &SigningSecret::new(SECRET)?)?.expose().to_owned())
            }
        }
    }

    /// Finds the messages in a text frame.
    pub(super) fn messages(self, text: &[u8], found: &mut dyn FnMut(Message)) -> Result<(), Failure> {
        match self {
            Self::Tidings => envelope(text, found),
            Self::Centrifugo => publications(text, found),
        }
    }
}

/// The channel that carries what is for this receiver.
pub(super) fn channel_of(receiver: &Receiver) -> String {
    match receiver {
        Receiver::Topic => format!("topic:{TOPIC}"),
        Receiver::User(user) => format!("user:{user}"),
    }
}

/// The body that a client receives, of about this many bytes.
pub(super) fn body(receiver: &Receiver, number: u64, length: usize) -> Value {
    let mut data = json!({ "title": "Shift", "message": text(number, 0) });
    if let Receiver::User(user) = receiver {
        data["userId"] = json!(user);
    }
    let body = json!({ "type": "notification", "data": data });
    let mut body = body;
    let short = body.to_string().len();
    body["data"]["message"] = json!(text(number, length.saturating_sub(short)));
    body
}

fn text(number: u64, more: usize) -> String {
    format!("{number:0DIGITS$}{}", "x".repeat(more))
}

pub(super) fn envelope(text: &[u8], found: &mut dyn FnMut(Message)) -> Result<(), Failure> {
    if let Heard::Envelope(position) = heard(text)? {
        let (number, _) = number_in(text).ok_or("an envelope without a number")?;
        found(Message { position, number });
    }
    Ok(())
}

/// The epoch and the sequence that a `welcome` gives.
pub(super) fn position(welcome: &[u8]) -> Result<(String, u64), Failure> {
    let welcome = parse(welcome)?;
    let position = welcome["position"].as_str().and_then(|position| position.rsplit_once('-'));
    let (epoch, sequence) = position.ok_or_else(|| format!("{welcome} has no position"))?;
    Ok((epoch.to_owned(), sequence.parse()?))
}

/// The publications in a frame, be they pushed or in the answer to a command. An offset stands behind its data.
pub(super) fn publications(text: &[u8], found: &mut dyn FnMut(Message)) -> Result<(), Failure> {
    if text.starts_with(br#"{"push":{"disconnect""#) {
        return Err(format!("the server ends a connection: {}", String::from_utf8_lossy(text)).into());
    }
    let mut rest = text;
    while let Some((number, end)) = number_in(rest) {
        rest = &rest[end..];
        let offset = place_of(rest, OFFSET).ok_or("a publication without an offset")?;
        rest = &rest[offset..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        found(Message { position: std::str::from_utf8(&rest[..digits])?.parse()?, number });
    }
    Ok(())
}

/// The first number in these bytes, and where it ends.
fn number_in(bytes: &[u8]) -> Option<(u64, usize)> {
    let start = place_of(bytes, TEXT)?;
    let digits = std::str::from_utf8(bytes.get(start..start + DIGITS)?).ok()?;
    Some((digits.parse().ok()?, start + DIGITS))
}

/// Where the bytes after this sign begin.
fn place_of(bytes: &[u8], sign: &[u8]) -> Option<usize> {
    bytes.windows(sign.len()).position(|window| window == sign).map(|start| start + sign.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(protocol: Protocol, text: &str) -> Vec<(u64, u64)> {
        let mut found = Vec::new();
        let mut add = |message: Message| found.push((message.position, message.number));
        protocol.messages(text.as_bytes(), &mut add).unwrap();
        found
    }

    #[test]
    fn a_body_has_the_length_and_the_number_that_clients_check() {
        let body = body(&Receiver::User("ada".to_owned()), 42, 256).to_string();
        assert_eq!(body.len(), 256);
        assert_eq!(number_in(body.as_bytes()).map(|(number, _)| number), Some(42));
    }

    #[test]
    fn messages_of_both_protocols() {
        let one = body(&Receiver::Topic, 7, 100);
        let two = body(&Receiver::Topic, 8, 100);
        assert_eq!(read(Protocol::Tidings, &format!(r#"{{"seq":12,"id":"e","data":{one}}}"#)), [(12, 7)]);
        let pushed = format!(
            "{{\"push\":{{\"channel\":\"c\",\"pub\":{{\"data\":{one},\"offset\":3}}}}}}\n\
             {{\"push\":{{\"channel\":\"c\",\"pub\":{{\"data\":{two},\"offset\":4}}}}}}"
        );
        assert_eq!(read(Protocol::Centrifugo, &pushed), [(3, 7), (4, 8)]);
        assert_eq!(read(Protocol::Centrifugo, "{}"), []);
        assert!(publications(br#"{"push":{"disconnect":{"code":3008}}}"#, &mut |_| {}).is_err());
    }
}
