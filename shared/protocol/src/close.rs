//! Close codes: why the gateway closes a connection, and what the client does next.
//!
//! The code's band decides whether a client reconnects ([`reconnect`]). So clients understand codes that are added
//! later.
//!
//! Codes from 4000 to 4499 report a temporary condition. After codes from 4500 to 4999 another attempt fails in the
//! same way. Codes below 3000 are defined by RFC 6455, section 7.4.1, and the IANA registry of WebSocket close codes.
//! Codes from 4000 to 4999 are for private use (section 7.4.2).

use std::ops::RangeInclusive;

use strum::VariantArray;

/// Application codes after which a client reconnects, with growing delays.
const RECONNECT_BAND: RangeInclusive<u16> = 4000..=4499;

/// Why the gateway closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray)]
#[repr(u16)]
pub enum CloseCode {
    /// The client closed the connection.
    Normal = 1000,
    /// The gateway is stopping.
    GoingAway = 1001,
    /// The client broke RFC 6455.
    ProtocolError = 1002,
    /// The client sent a text that is not UTF-8.
    InvalidPayload = 1007,
    /// The client sent a message of more than 64 times the limit, or one too long message after the other.
    MessageTooBig = 1009,
    /// The gateway failed.
    InternalError = 1011,
    /// The gateway cannot serve the client now, or cannot verify that the user may stay connected.
    TryAgainLater = 1013,
    /// The token expired, or a handshake has none that is accepted.
    TokenExpired = 4001,
    /// The client sent more messages after `RATE_LIMITED`.
    RateLimitExceeded = 4002,
    /// The connection reached `gateway.max_connection_age`.
    ConnectionAge = 4003,
    /// The client sent nothing for `gateway.idle_timeout`, not even a Pong.
    HeartbeatLost = 4005,
    /// The token was revoked.
    TokenRevoked = 4006,
    /// An administrator closed this connection.
    ClosedOnRequest = 4007,
    /// There are too many handshakes or connections.
    TooManyConnections = 4008,
    /// The handshake's query cannot be read.
    BadRequest = 4500,
    /// The user is disabled.
    UserDisabled = 4503,
    /// The user may not connect.
    Forbidden = 4504,
}

impl CloseCode {
    /// Describes when the gateway closes with this code, for the documents.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Normal => "the client closed the connection",
            Self::GoingAway => "the gateway stops",
            Self::ProtocolError => "the client broke RFC 6455",
            Self::InvalidPayload => "the client sent a text that is not UTF-8",
            Self::MessageTooBig => {
                "the client sent a message of more than 64 times `gateway.max_frame_bytes`, or eight too long ones \
                 in a row"
            }
            Self::InternalError => "the gateway failed",
            Self::TryAgainLater => {
                "the gateway cannot serve the client now, or cannot verify that the user may stay connected"
            }
            Self::TokenExpired => {
                "the token expired, or the handshake has none that is accepted: fetch a fresh one first"
            }
            Self::RateLimitExceeded => "the client went on after `RATE_LIMITED`",
            Self::ConnectionAge => "the connection reached `gateway.max_connection_age`",
            Self::HeartbeatLost => "the client sent nothing for `gateway.idle_timeout`, not even a Pong",
            Self::TokenRevoked => "the token was revoked: fetch a fresh one first",
            Self::ClosedOnRequest => "an administrator closed the connection",
            Self::TooManyConnections => "the handshake is refused: too many attempts or connections",
            Self::BadRequest => "the handshake is refused: its query cannot be read",
            Self::UserDisabled => "the user is disabled",
            Self::Forbidden => "the handshake is refused: the user may not connect, or not like this",
        }
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code as Self
    }
}

/// What a client does after its connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// Reconnect, with a growing delay after each failure.
    WithBackoff,
    /// Do not reconnect automatically: it would fail in the same way.
    No,
}

/// Returns what a client does after a close with this code. `None` is a connection that ended without a code (1005) or
/// without a Close frame (1006).
#[must_use]
pub fn reconnect(code: Option<u16>) -> Reconnect {
    match code {
        None | Some(1001 | 1005 | 1006 | 1011..=1014) => Reconnect::WithBackoff,
        Some(code) if RECONNECT_BAND.contains(&code) => Reconnect::WithBackoff,
        Some(_) => Reconnect::No,
    }
}

/// Returns whether a peer may send this code in a Close frame. RFC 6455, section 7.4, reserves 1005, 1006 and 1015 for
/// local use and leaves 1004 undefined; 1012 to 1014 were registered later.
pub(crate) fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_band_says_whether_to_reconnect() {
        let yes = [1001, 1011, 1012, 1013, 4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007, 4499];
        let no = [1000, 1002, 1003, 1007, 1009, 3000, 3999, 4500, 4503, 4999, 5000];
        for code in yes {
            assert_eq!(reconnect(Some(code)), Reconnect::WithBackoff, "{code}");
        }
        for code in no {
            assert_eq!(reconnect(Some(code)), Reconnect::No, "{code}");
        }
        assert_eq!(reconnect(None), Reconnect::WithBackoff);
    }

    #[test]
    fn codes_lie_in_the_band_that_their_meaning_asks_for() {
        assert_eq!(reconnect(Some(CloseCode::TokenExpired.into())), Reconnect::WithBackoff);
        assert_eq!(reconnect(Some(CloseCode::HeartbeatLost.into())), Reconnect::WithBackoff);
        assert_eq!(reconnect(Some(CloseCode::TokenRevoked.into())), Reconnect::WithBackoff);
        assert_eq!(reconnect(Some(CloseCode::ClosedOnRequest.into())), Reconnect::WithBackoff);
        assert_eq!(reconnect(Some(CloseCode::TooManyConnections.into())), Reconnect::WithBackoff);
        assert_eq!(reconnect(Some(CloseCode::InternalError.into())), Reconnect::WithBackoff);
        assert_eq!(reconnect(Some(CloseCode::UserDisabled.into())), Reconnect::No);
        assert_eq!(reconnect(Some(CloseCode::Forbidden.into())), Reconnect::No);
        assert_eq!(reconnect(Some(CloseCode::BadRequest.into())), Reconnect::No);
    }
}
