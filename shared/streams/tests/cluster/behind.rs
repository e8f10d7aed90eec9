//! A replica that is behind serves a reader: what it does not have yet is not what nobody has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use harness::{BOUND, eventually};
use tidings_model::{Position, ShardNumber};
use tidings_streams::{Content, EnvelopeFollower, EnvelopeWriter, Followed, Outgoing, Topology};
use time::OffsetDateTime;

use crate::lab::{Lab, envelope};

const READERS: usize = 8;
const WRITTEN: u64 = 2_000;

/// A server freezes, misses a change of the leader, and returns. Until it has everything again, whoever reads what there is
/// reads all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_what_there_is_reads_all_of_it() {
    let lab = Lab::start(1).await;
    let shard = ShardNumber::default();
    let topology = lab.topology_of(0, shard).await;
    let leader = lab.leader(&topology.client(), shard).await.unwrap();
    // The connection is one to n0.
    let follower = if leader == 1 { 2 } else { 1 };
    lab.cluster.servers()[follower].pause().unwrap();
    lab.step_down(&topology.client(), shard, None).await;
    write(&topology).await;
    lab.cluster.servers()[follower].resume().unwrap();

    let is_whole = AtomicBool::new(false);
    let settle = async {
        lab.settle().await;
        is_whole.store(true, Ordering::Relaxed);
    };
    let read_on = || async {
        while !is_whole.load(Ordering::Relaxed) {
            let count = eventually("the envelopes are read", 2 * BOUND, async || read(&topology).await).await;
            assert_eq!(count, WRITTEN);
        }
    };
    tokio::join!(settle, join_all((0..READERS).map(|_| read_on())));
}

/// A server that was the leader when the others froze answers as such for a while, although they may have another one by then.
/// What it does not have is not taken for lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_hears_nobody_is_not_believed() {
    let lab = Lab::start(1).await;
    let shard = ShardNumber::default();
    let leader = lab.leader(&lab.client_of(0).await, shard).await.unwrap();
    let topology = lab.topology_of(leader, shard).await;
    let wanted = topology.extent().await.unwrap().last + 1;
    let look = async || topology.extent_reaching(wanted).await.map_err(|error| format!("{error:?}"));
    eventually("it is believed", BOUND, look).await;

    let others: Vec<_> = (0..3).filter(|server| *server != leader).collect();
    for other in &others {
        lab.cluster.servers()[*other].pause().unwrap();
    }
    eventually("it is not believed", 2 * BOUND, async || {
        let is_alone = lab.hears_nobody(&topology.client(), shard).await;
        match look().await {
            Ok(extent) => {
                assert!(!is_alone, "{extent:?} was believed");
                Err("it has heard the others a moment ago")
            }
            Err(_) => Ok(()),
        }
    })
    .await;
    for other in &others {
        lab.cluster.servers()[*other].resume().unwrap();
    }
    eventually("it is believed again", 4 * BOUND, look).await;
}

/// Writes the envelopes while a third of the servers is away.
async fn write(topology: &Topology) {
    let (mut writer, _) = eventually("the stream has a leader", 2 * BOUND, async || {
        EnvelopeWriter::open(topology).await.map_err(|error| error.to_string())
    })
    .await;
    for n in 1..=WRITTEN {
        while !writer.has_room() {
            writer.stored().await.unwrap();
        }
        writer.send(Outgoing::from(&envelope(n)), OffsetDateTime::now_utc()).await.unwrap();
    }
    writer.confirm().await.unwrap();
}

/// How many envelopes there are.
async fn read(topology: &Topology) -> Result<u64, String> {
    let position =
        Position { epoch: topology.extent().await.map_err(|error| error.to_string())?.epoch, sequence: 0 };
    let opened = EnvelopeFollower::after(topology, position, Content::HeadersOnly);
    let opened =
        tokio::time::timeout(Duration::from_secs(5), opened).await.map_err(|error| error.to_string())?;
    let mut follower = opened.map_err(|error| error.to_string())?;
    let mut count = 0;
    while let Some(followed) = follower.next_pending().await.map_err(|error| error.to_string())? {
        if let Followed::Envelopes(envelopes) = followed {
            count += envelopes.len() as u64;
        }
    }
    Ok(count)
}
