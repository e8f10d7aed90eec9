//! Why the gateway closes a connection, as a code in a band that tells the client what to do next.
//!
//! A client needs no list of codes: [`reconnect`] decides from the number alone, so that a code
//! added later in a documented band is understood by clients written before it.
//!
//! | code | variant | when | reconnect |
//! | --- | --- | --- | --- |
//! | 1000 | [`CloseCode::Normal`] | the client said goodbye | no |
//! | 1001 | [`CloseCode::GoingAway`] | the gateway shuts down | with backoff |
//! | 1002 | [`CloseCode::ProtocolError`] | the client broke RFC 6455 | no |
//! | 1007 | [`CloseCode::InvalidPayload`] | a text that is not UTF-8 | no |
//! | 1009 | [`CloseCode::MessageTooBig`] | a message longer than 64 times the limit | no |
//! | 1013 | [`CloseCode::TryAgainLater`] | the gateway does not know for now who may stay | with backoff |
//! | 4000–4499 | | **something that passes** | with backoff |
//! | 4001 | [`CloseCode::TokenExpired`] | the token expired; get a fresh one first | with backoff |
//! | 4002 | [`CloseCode::RateLimitExceeded`] | the client ignored `RATE_LIMITED` | with backoff |
//! | 4003 | [`CloseCode::ConnectionAge`] | the connection reached the greatest age | with backoff |
//! | 4005 | [`CloseCode::HeartbeatLost`] | a Ping was not answered in time | with backoff |
//! | 4006 | [`CloseCode::TokenRevoked`] | the token was revoked; get a fresh one first | with backoff |
//! | 4007 | [`CloseCode::ClosedOnRequest`] | an administrator closed this connection | with backoff |
//! | 4500–4999 | | **something that another attempt does not change** | no |
//! | 4503 | [`CloseCode::UserDisabled`] | the user was switched off | no |
//!
//! Codes below 3000 are RFC 6455, section 7.4.1, and the IANA registry of WebSocket close codes;
//! 4000–4999 are for private use (section 7.4.2).

use std::ops::RangeInclusive;

/// Application codes after which a client connects again, waiting longer each time.
const RECONNECT_BAND: RangeInclusive<u16> = 4000..=4499;

/// Why the gateway closes a connection; the module's table says when each occurs.
#[expect(missing_docs, reason = "the table at the head of the module describes every variant")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    Normal = 1000,
    GoingAway = 1001,
    ProtocolError = 1002,
    InvalidPayload = 1007,
    MessageTooBig = 1009,
    TryAgainLater = 1013,
    TokenExpired = 4001,
    RateLimitExceeded = 4002,
    ConnectionAge = 4003,
    HeartbeatLost = 4005,
    TokenRevoked = 4006,
    ClosedOnRequest = 4007,
    UserDisabled = 4503,
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code as Self
    }
}

/// What a client does after a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// Connect again, waiting longer after each failure.
    WithBackoff,
    /// Do not connect again by itself: the same would happen.
    No,
}

/// What a client does after a close with this code; `None` is a connection that ended without a
/// code (1005) or without a Close frame at all (1006).
#[must_use]
pub fn reconnect(code: Option<u16>) -> Reconnect {
    match code {
        None | Some(1001 | 1005 | 1006 | 1011..=1014) => Reconnect::WithBackoff,
        Some(code) if RECONNECT_BAND.contains(&code) => Reconnect::WithBackoff,
        Some(_) => Reconnect::No,
    }
}

/// Whether a peer may send this code in a Close frame: RFC 6455, section 7.4, keeps 1005, 1006
/// and 1015 for local use and leaves 1004 undefined; 1012 to 1014 were registered later.
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
        assert_eq!(reconnect(Some(CloseCode::UserDisabled.into())), Reconnect::No);
    }
}
