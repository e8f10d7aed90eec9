//! Faults of the servers, chosen by a seed.

use std::time::Duration;

use tidings_model::Address;
use tidings_streams::{Topology, purge_address};

use crate::lab::{Lab, tenant};

/// Pseudo-random numbers from a seed (`SplitMix64`).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A server freezes for a while.
    Freeze,
    /// Another server becomes the leader of the shard's stream.
    StepDown,
    /// The leader freezes, together with the messages sent to it.
    FreezeLeader,
    /// A follower misses a change of the leader, and catches up by the stream's catch-up.
    CatchUp,
    /// A server is killed and restarted.
    Kill,
    /// The envelopes of an address are purged, which interrupts the writer.
    Purge,
}

impl Fault {
    pub(crate) fn of(dice: &mut Dice) -> Self {
        match dice.below(12) {
            0..=1 => Self::Freeze,
            2..=4 => Self::StepDown,
            5..=6 => Self::FreezeLeader,
            7 => Self::CatchUp,
            8 => Self::Kill,
            _ => Self::Purge,
        }
    }

    pub(crate) async fn happen(self, lab: &mut Lab, topology: &Topology, dice: &mut Dice) {
        let (client, shard) = (topology.client(), topology.shard());
        let any = usize::try_from(dice.below(3)).unwrap();
        match self {
            Self::Freeze => freeze(lab, any, dice.millis(100, 2_500)).await,
            Self::StepDown => lab.step_down(&client, shard, None).await,
            Self::FreezeLeader => {
                let leader = lab.leader(&client, shard).await.unwrap_or(any);
                freeze(lab, leader, dice.millis(100, 6_000)).await;
            }
            Self::CatchUp => {
                let leader = lab.leader(&client, shard).await.unwrap_or(any);
                let follower = (leader + 1 + any % 2) % 3;
                lab.cluster.servers()[follower].pause().unwrap();
                tokio::time::sleep(dice.millis(500, 1_500)).await;
                lab.step_down(&client, shard, None).await;
                tokio::time::sleep(dice.millis(4_000, 6_000)).await;
                lab.cluster.servers()[follower].resume().unwrap();
                lab.settle().await;
            }
            Self::Kill => {
                let server = &mut lab.cluster.servers_mut()[any];
                server.kill().await.unwrap();
                tokio::time::sleep(dice.millis(10, 1_000)).await;
                server.restart().await.unwrap();
                lab.settle().await;
            }
            Self::Purge => {
                let address = Address::new("user", "nobody").unwrap();
                // Without a leader the purge may fail; a caller would repeat it.
                if let Err(error) = purge_address(topology, &tenant(), &address).await {
                    eprintln!("not purged: {error}");
                }
            }
        }
    }
}

async fn freeze(lab: &Lab, server: usize, time: Duration) {
    lab.cluster.servers()[server].pause().unwrap();
    tokio::time::sleep(time).await;
    lab.cluster.servers()[server].resume().unwrap();
}
