//! The end of a stream, believed at the second look if it lies before what is known.
//!
//! A leader that has just started or was just elected may answer before it has applied all that its log holds. Whoever
//! took that for a stream that came back with less than it had would begin again at its beginning, and have clients told
//! of a gap that there is not.

use std::time::Duration;

use async_nats::jetstream::stream::{Info, InfoError, Stream};

use crate::topology::{Extent, ExtentError, Topology, epoch_of};

/// How often the leader is asked again.
const LOOKS: u32 = 3;
/// How long to wait before that.
const PAUSE: Duration = Duration::from_millis(400);

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

impl Topology {
    /// What the shard's stream of envelopes holds now.
    pub async fn extent(&self) -> Result<Extent, ExtentError> {
        self.extent_reaching(0).await
    }

    /// As [`Self::extent`]; the leader is asked again before it is believed that the stream ends before this sequence.
    pub async fn extent_reaching(&self, sequence: u64) -> Result<Extent, ExtentError> {
        let info = reaching(&self.envelopes, sequence).await.map_err(ExtentError)?;
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        Ok(Extent {
            epoch: epoch_of(&info),
            floor: first.saturating_sub(1).min(last),
            last,
            messages: info.state.messages,
            bytes: info.state.bytes,
        })
    }
}
