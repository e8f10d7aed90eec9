//! The epoch of a stream and its end, which is read again if it lies before a known sequence.
//!
//! A leader that has just started or was just elected may answer before it has applied its whole log. Taking that answer
//! for a rollback would restart reading at the stream's beginning and send clients a gap that does not exist.

use std::time::Duration;

use async_nats::jetstream::stream::{Info, InfoError, Stream};
use tidings_model::Epoch;

use super::restored;

/// The maximum difference between the clocks of two servers.
pub(crate) const SKEW: time::Duration = time::Duration::SECOND;

/// How often the leader is asked again.
pub(super) const LOOKS: u32 = 3;
/// How long to wait before that.
pub(super) const PAUSE: Duration = Duration::from_millis(400);

/// The stream as its leader says, which is asked again if the stream ends before this sequence.
pub(crate) async fn reaching(stream: &Stream, sequence: u64) -> Result<Info, InfoError> {
    let mut info = stream.get_info().await?;
    for _ in 0..LOOKS {
        if info.state.last_sequence >= sequence {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        info = stream.get_info().await?;
    }
    Ok(info)
}

/// The epoch of a stream: its creation time, which differs for a recreated stream, unless it has kept one when it was
/// restored. Microseconds keep the number short.
pub(crate) fn epoch_of(info: &Info) -> Epoch {
    let created = || Epoch(u64::try_from(info.created.unix_timestamp_nanos() / 1_000).unwrap_or_default());
    restored::epoch(&info.config.metadata).unwrap_or_else(created)
}
