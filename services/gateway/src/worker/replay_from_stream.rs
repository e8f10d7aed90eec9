//! Reading from the stream itself, for connections whose position lies before what the mailbox covers.
//!
//! A task reads through a JetStream consumer that is filtered to the connection's addresses; what it finds waits in a
//! small channel until the connection's queue has room. JetStream finds it by scanning, so only a few of a gateway do this
//! at a time, and each only up to where the mailbox begins. A replay whose client takes nothing for a while makes room for
//! others, and begins again later.

use std::sync::Arc;
use std::time::Duration;

use tidings_model::{Address, Class, Position, Tenant};
use tidings_replica::FramedEnvelope;
use tidings_streams::{Backoff, EnvelopeFollower, FollowError, Followed, Topology};
use tokio::sync::{Semaphore, mpsc};

use crate::context::Context;

/// Envelopes that wait for room in the queue.
const AHEAD: usize = 16;
/// How long to wait for a client that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// A replay of one connection.
pub(super) struct StreamReplay {
    found: mpsc::Receiver<Found>,
    /// Read, and waiting for room.
    held: Option<Arc<FramedEnvelope>>,
}

/// What a replay finds. If it ends without [`Found::Through`], there may be more.
pub(super) enum Found {
    Envelope(Arc<FramedEnvelope>),
    /// Nothing more is left up to here.
    Through(u64),
}

impl StreamReplay {
    pub(super) async fn next(&mut self) -> Option<Found> {
        match self.held.take() {
            Some(framed) => Some(Found::Envelope(framed)),
            None => self.found.recv().await,
        }
    }

    /// Has [`StreamReplay::next`] find this one again.
    pub(super) fn put_back(&mut self, framed: Arc<FramedEnvelope>) {
        self.held = Some(framed);
    }
}

/// What a replay reads.
pub(super) struct Reading {
    pub(super) topology: Topology,
    pub(super) generation: u32,
    pub(super) tenant: Tenant,
    pub(super) addresses: Vec<Address>,
    /// The last sequence that is read.
    pub(super) floor: u64,
    pub(super) context: Arc<Context>,
}

impl Reading {
    /// A replay after this position, and the task that reads for it once it has a permit.
    pub(super) fn start(
        self,
        mut from: Position,
        permits: Arc<Semaphore>,
    ) -> (StreamReplay, impl Future<Output = ()>) {
        let (sender, found) = mpsc::channel(AHEAD);
        let task = async move {
            let mut backoff = Backoff::new();
            loop {
                let permit = tokio::select! {
                    () = sender.closed() => return,
                    permit = permits.acquire() => permit,
                };
                let Ok(permit) = permit else { return };
                let Err(error) = self.read(&mut from, &sender).await else { return };
                // Others may be able to read, where JetStream refuses this one.
                drop(permit);
                if let Some(attempts) = self.context.faults.reads.count(1) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, attempts, "replays for clients continue later");
                }
                backoff.failed();
                tokio::select! {
                    () = sender.closed() => return,
                    () = backoff.wait() => {}
                }
            }
        };
        (StreamReplay { found, held: None }, task)
    }

    /// Reads until nothing is left up to the floor, or the connection does not want it any more.
    async fn read(&self, from: &mut Position, sender: &mpsc::Sender<Found>) -> Result<(), FollowError> {
        let mut follower = EnvelopeFollower::at_addresses(
            &self.topology,
            *from,
            (&self.tenant, self.generation),
            &self.addresses,
        )
        .await?;
        loop {
            let followed = tokio::select! {
                () = sender.closed() => return Ok(()),
                followed = follower.next_pending() => followed?,
            };
            let envelopes = match followed {
                Some(Followed::Envelopes(envelopes)) => envelopes,
                Some(Followed::Purged(..) | Followed::Placed { .. }) => continue,
                // The worker tells the connection of a new life of the stream.
                Some(Followed::Renewed(_)) => return Ok(()),
                None => {
                    send(sender, Found::Through(self.floor)).await;
                    return Ok(());
                }
            };
            for stored in envelopes {
                from.sequence = stored.sequence;
                if stored.sequence > self.floor {
                    send(sender, Found::Through(self.floor)).await;
                    return Ok(());
                }
                // A returning client was not present, and the stream removes what has expired a little later.
                let envelope = &stored.envelope;
                let is_stale = envelope.subject.class == Class::Ephemeral
                    || envelope.expires_at.is_some_and(|at| at <= self.context.clock.now());
                if !is_stale && !send(sender, Found::Envelope(Arc::new(FramedEnvelope::new(stored)))).await {
                    return Ok(());
                }
            }
        }
    }
}

/// `false` if the connection does not want it, or not now.
async fn send(sender: &mpsc::Sender<Found>, found: Found) -> bool {
    sender.send_timeout(found, PATIENCE).await.is_ok()
}
