//! Distinguishes notices among envelopes from other messages on their subjects.
//!
//! Notices change what every gateway delivers: after a purge it forgets envelopes, after a place it delivers from
//! elsewhere. An account with a permission to publish can have JetStream answer on any subject, and an answer has a
//! body and no headers. Therefore a notice has a header with its version, and no body. All other messages on these
//! subjects are ignored.

use async_nats::HeaderMap;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageError, Stream};
use tidings_model::headers;

use crate::nats::{leader_get, set};

/// The version that is written and read.
const VERSION: &str = "1";

/// Marks a message as a notice.
pub(crate) fn mark(map: &mut HeaderMap) {
    set(map, headers::NOTICE, VERSION);
}

/// Whether a message is a notice of the supported version.
pub(crate) fn is_marked(map: Option<&HeaderMap>, body: &[u8]) -> bool {
    let version = map.and_then(|map| map.get(headers::NOTICE)).map(async_nats::HeaderValue::as_str);
    version == Some(VERSION) && body.is_empty()
}

/// The last notice on a subject, which may have wildcards, from the stream's leader.
pub(crate) async fn last(stream: &Stream, subject: &str) -> Result<Option<StreamMessage>, RawMessageError> {
    let is_notice = |message: &StreamMessage| is_marked(Some(&message.headers), &message.payload);
    let Some(newest) = leader_get::last(stream, subject).await? else { return Ok(None) };
    if is_notice(&newest) {
        return Ok(Some(newest));
    }
    // The newest message is not a notice. Notices are few, and so are messages that imitate them.
    let (mut found, mut after) = (None, 0_u64);
    while let Some(message) = leader_get::next(stream, subject, after.saturating_add(1)).await? {
        after = message.sequence;
        if is_notice(&message) {
            found = Some(message);
        }
        if after >= newest.sequence {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_marked_and_empty_is_a_notice() {
        let mut marked = HeaderMap::new();
        mark(&mut marked);
        let mut newer = HeaderMap::new();
        newer.insert(headers::NOTICE, "2");
        for (map, body, expected) in [
            (Some(&marked), "", true),
            (Some(&marked), r#"{"stream":"EVENTS","seq":5}"#, false),
            (Some(&newer), "", false),
            (Some(&HeaderMap::new()), "", false),
            (None, "", false),
            (None, r#"{"stream":"EVENTS","seq":5}"#, false),
        ] {
            assert_eq!(is_marked(map, body.as_bytes()), expected, "{map:?} {body}");
        }
    }
}
