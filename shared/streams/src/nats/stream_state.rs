//! The epoch of a stream and its end, which is read again if it lies before a known sequence.
//!
//! A leader that has just started or was just elected may answer before it has applied its whole log, and a server that was
//! cut off from the others or was paused answers as the leader that it no longer is, for ten seconds and more. Taking such an
//! answer for a rollback would restart reading at the stream's beginning and send clients a gap that does not exist. So what
//! is missing is believed of a leader only that hears a majority, and only after several looks.

use std::time::Duration;

use async_nats::jetstream::context::RequestErrorKind;
use async_nats::jetstream::stream::{ClusterInfo, Info, InfoError, Stream};
use tidings_model::Epoch;

use super::restored;

/// The maximum difference between the clocks of two servers.
pub(crate) const SKEW: time::Duration = time::Duration::SECOND;

/// How often the leader is asked again.
pub(super) const LOOKS: u32 = 3;
/// How long to wait before that.
pub(super) const PAUSE: Duration = Duration::from_millis(400);

/// A leader that has heard a majority since then has no successor: followers wait for at least four seconds before they
/// elect one (`minElectionTimeout` of nats-server).
const ELECTION: Duration = Duration::from_secs(4);

/// The server that answers as the stream's leader may have a successor that knows more.
#[derive(Debug, thiserror::Error)]
#[error("server {leader:?} leads stream {stream:?} and has not heard most of the others for {ELECTION:?}")]
pub(super) struct NotHeard {
    stream: String,
    leader: String,
}

/// The stream as its leader says, which is asked again if the stream ends before this sequence. Fails if it does and another
/// server may know more.
pub(crate) async fn reaching(stream: &Stream, sequence: u64) -> Result<Info, InfoError> {
    let mut info = stream.get_info().await?;
    for _ in 0..LOOKS {
        if info.state.last_sequence >= sequence {
            return Ok(info);
        }
        tokio::time::sleep(PAUSE).await;
        info = stream.get_info().await?;
    }
    if info.state.last_sequence < sequence {
        is_led(&info).map_err(|error| InfoError::with_source(RequestErrorKind::Other, error))?;
    }
    Ok(info)
}

/// Fails if another server may have become the stream's leader.
pub(super) fn is_led(info: &Info) -> Result<(), NotHeard> {
    match &info.cluster {
        Some(cluster) if !hears_majority(cluster) => Err(NotHeard {
            stream: info.config.name.clone(),
            leader: cluster.leader.clone().unwrap_or_default(),
        }),
        _ => Ok(()),
    }
}

/// Whether the leader has heard so many others lately that it and they are a majority. Nothing was heard yet of one that was
/// active 0 seconds ago.
fn hears_majority(cluster: &ClusterInfo) -> bool {
    let is_heard = |active: Duration| !active.is_zero() && active < ELECTION;
    let heard = cluster.replicas.iter().filter(|peer| is_heard(peer.active)).count();
    2 * (1 + heard) > 1 + cluster.replicas.len()
}

/// The epoch of a stream: its creation time, which differs for a recreated stream, unless it has kept one when it was
/// restored. Microseconds keep the number short.
pub(crate) fn epoch_of(info: &Info) -> Epoch {
    let created = || Epoch(u64::try_from(info.created.unix_timestamp_nanos() / 1_000).unwrap_or_default());
    restored::epoch(&info.config.metadata).unwrap_or_else(created)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_leader_has_no_successor_while_it_hears_a_majority() {
        let hears = |active: &[u64]| {
            let replicas = active
                .iter()
                .map(|active| json!({ "name": "n", "current": true, "active": active * 1_000_000 }));
            hears_majority(
                &serde_json::from_value(json!({ "replicas": replicas.collect::<Vec<_>>() })).unwrap(),
            )
        };
        assert!(hears(&[]), "nobody else has the stream");
        assert!(hears(&[900, 60_000]));
        assert!(hears(&[3_999, 0]));
        assert!(!hears(&[4_000, 60_000]), "the other two may have elected one of them");
        assert!(!hears(&[0, 0]), "it has heard nobody yet");
        assert!(hears(&[1, 1, 9_000, 9_000]));
        assert!(!hears(&[1, 9_000, 9_000, 9_000]));
        assert!(!hears(&[9_000]));
    }
}
