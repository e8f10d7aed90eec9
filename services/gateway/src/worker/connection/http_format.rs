//! Formats over HTTP: what frames to a sequenced client become, and what the formats have to know of these. Pure.

use std::io::{self, ErrorKind, IoSlice};

use tidings_model::Position;

use super::send_queue::Flushed;

/// Takes frames, and sends what they become.
pub(super) trait HttpFormat {
    /// Takes whole frames; how many bytes they are. 0 if it takes no more.
    fn take(&mut self, slices: &[IoSlice<'_>]) -> usize;

    /// What is to be sent, and how much of it is.
    fn outgoing(&mut self) -> (&[u8], &mut usize);

    /// All of it is sent.
    fn note_sent(&mut self) -> Flushed;

    /// Sends what is to be sent, as far as `write` takes it.
    fn send(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<Flushed> {
        let (bytes, sent) = self.outgoing();
        while let Some(unsent) = bytes.get(*sent..).filter(|unsent| !unsent.is_empty()) {
            match write(unsent) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => *sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.note_sent())
    }
}

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said<'t> {
    /// A message with this sequence.
    Message(u64),
    /// `welcome`: the client is at this position.
    Begin(Position),
    /// `caught_up`: the client has everything up to this position.
    CaughtUp(Position),
    /// `gap`: what lies before this position cannot be delivered, for this reason.
    Gap(Position, &'t str),
    /// The connection is about to end.
    Draining,
    /// An answer or an error.
    Answer,
}

impl<'t> Said<'t> {
    pub(super) fn of(text: &'t [u8]) -> Self {
        Self::message(text).or_else(|| Self::control(std::str::from_utf8(text).ok()?)).unwrap_or(Self::Answer)
    }

    fn message(text: &[u8]) -> Option<Self> {
        let rest = text.strip_prefix(br#"{"seq":"#)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok().map(Self::Message)
    }

    fn control(text: &'t str) -> Option<Self> {
        let (action, rest) = text.strip_prefix(r#"{"action":""#)?.split_once('"')?;
        let position = |name| member(rest, name)?.parse().ok();
        match action {
            "welcome" => position(r#""position":""#).map(Self::Begin),
            "caught_up" => position(r#""position":""#).map(Self::CaughtUp),
            "gap" => Some(Self::Gap(position(r#""to":""#)?, member(rest, r#""reason":""#)?)),
            "draining" => Some(Self::Draining),
            _ => None,
        }
    }

    /// The position that the client has behind a control message, if that says so.
    pub(super) fn position(self) -> Option<Position> {
        match self {
            Self::Begin(position) | Self::CaughtUp(position) | Self::Gap(position, _) => Some(position),
            Self::Message(_) | Self::Draining | Self::Answer => None,
        }
    }
}

/// The text behind this name, of a control message, whose texts have no quotation marks.
fn member<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    Some(text.split_once(name)?.1.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gateway_says_is_understood() {
        let position: Position = "ab-6".parse().unwrap();
        for (text, expected) in [
            (r#"{"seq":7,"id":"e"}"#, Said::Message(7)),
            (r#"{"action":"welcome","position":"ab-6","consumer":"ada/x"}"#, Said::Begin(position)),
            (r#"{"action":"caught_up","position":"ab-6"}"#, Said::CaughtUp(position)),
            (r#"{"action":"gap","from":"1-2","to":"ab-6","reason":"epoch"}"#, Said::Gap(position, "epoch")),
            (r#"{"action":"draining","reconnect_in_ms":0}"#, Said::Draining),
            (r#"{"action":"pong"}"#, Said::Answer),
            (r#"{"a":{"action":"gap"}}"#, Said::Answer),
            (r#"{"seq":"x"}"#, Said::Answer),
            (r#"["welcome"]"#, Said::Answer),
        ] {
            assert_eq!(Said::of(text.as_bytes()), expected, "{text}");
        }
    }
}
