//! Reading from the stream itself, for those who stand further back than the mailbox reaches.
//!
//! A task reads through a JetStream consumer that is filtered to the connection's addresses; what
//! it finds waits in a small channel until the connection's window has room. JetStream finds it by
//! scanning, so few do this at a time, and each only up to where the mailbox begins. Whoever takes
//! nothing for a while makes room for others, and begins again where it stands.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidings_model::{Address, Class, Position, Tenant};
use tidings_streams::{Backoff, EnvelopeFollower, FollowError, Followed, Topology};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::Shard;
use super::catch_up::Given;
use super::connection::Connection;
use crate::framed::FramedEnvelope;

/// Envelopes that wait for room in the window.
const AHEAD: usize = 16;
/// How long to wait for a client that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is being read for a connection.
pub(super) struct Fallback {
    found: mpsc::Receiver<Found>,
    /// Read, and waiting for room.
    held: Option<Arc<FramedEnvelope>>,
}

/// What a task finds. If it ends without [`Found::Through`], there may be more.
enum Found {
    Envelope(Arc<FramedEnvelope>),
    /// Nothing more is left up to here.
    Through(u64),
}

impl Fallback {
    async fn next(&mut self) -> Option<Found> {
        match self.held.take() {
            Some(framed) => Some(Found::Envelope(framed)),
            None => self.found.recv().await,
        }
    }
}

impl Shard {
    /// Gives the connection what lies between its position and the mailbox's floor.
    pub(super) async fn give_from_stream(
        &self,
        connection: &Rc<Connection>,
        mut after: u64,
        floor: u64,
    ) -> Given {
        let epoch = self.epoch.get();
        // Taken out of the connection while it is awaited; put back if it is not used up.
        let taken = connection.state().take_fallback();
        let mut fallback =
            taken.map_or_else(|| self.start_fallback(connection, after, floor), |taken| *taken);
        while let Some(found) = fallback.next().await {
            let removed_through = self.lane.retained.removed_through();
            let sequence = match &found {
                Found::Envelope(framed) => framed.sequence(),
                Found::Through(sequence) => *sequence,
            };
            if self.epoch.get() != epoch || connection.state().phase.behind().is_none() {
                return Given::All;
            }
            if after < removed_through {
                // What should have been found in between may be gone.
                self.pass_over(connection, removed_through.min(sequence.saturating_sub(1)).max(after));
            }
            match found {
                Found::Envelope(framed) => {
                    if self.give(connection, epoch, &framed).await == Given::Full {
                        fallback.held = Some(framed);
                        connection.state().keep_fallback(Some(Box::new(fallback)));
                        return Given::Full;
                    }
                }
                Found::Through(sequence) => self.move_on(connection, epoch, sequence),
            }
            after = sequence;
        }
        Given::All
    }

    fn start_fallback(&self, connection: &Connection, after: u64, floor: u64) -> Fallback {
        let (sender, found) = mpsc::channel(AHEAD);
        let state = connection.state();
        let (generation, until) = self.generation(&state, after);
        let reading = Reading {
            topology: self.lane.topology.clone(),
            generation,
            tenant: state.session.passport().tenant().clone(),
            addresses: state.session.open_addresses().map(|(address, _)| address.clone()).collect(),
            floor: floor.min(until),
            clock: self.shared.clock,
            found: sender,
        };
        let (permits, shared) = (Arc::clone(&self.fallbacks), Arc::clone(&self.shared));
        let mut from = Position { epoch: self.epoch.get(), sequence: after };
        self.tasks.spawn_local(async move {
            let mut backoff = Backoff::new();
            loop {
                let permit = tokio::select! {
                    () = reading.found.closed() => return,
                    permit = permits.acquire() => permit,
                };
                let Ok(permit) = permit else { return };
                let Err(error) = reading.read(&mut from).await else { return };
                // What this one cannot read, because JetStream refuses it, others may.
                drop(permit);
                if let Some(attempts) = shared.complaints.reads.count(1) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, attempts, "reading for clients goes on later");
                }
                backoff.failed();
                tokio::select! {
                    () = reading.found.closed() => return,
                    () = backoff.wait() => {}
                }
            }
        });
        Fallback { found, held: None }
    }
}

/// What a task reads, for whom.
struct Reading {
    topology: Topology,
    generation: u32,
    tenant: Tenant,
    addresses: Vec<Address>,
    floor: u64,
    clock: fn() -> OffsetDateTime,
    found: mpsc::Sender<Found>,
}

impl Reading {
    /// Reads until nothing is left up to the floor, or nobody wants it any more.
    async fn read(&self, from: &mut Position) -> Result<(), FollowError> {
        let mut follower = EnvelopeFollower::at_addresses(
            &self.topology,
            *from,
            (&self.tenant, self.generation),
            &self.addresses,
        )
        .await?;
        loop {
            let followed = tokio::select! {
                () = self.found.closed() => return Ok(()),
                followed = follower.next_pending() => followed?,
            };
            let envelopes = match followed {
                Some(Followed::Envelopes(envelopes)) => envelopes,
                Some(Followed::Purged(..) | Followed::Placed { .. } | Followed::Fenced { .. }) => continue,
                // A new life of the stream is told to the connection by its shard.
                Some(Followed::Renewed(_)) => return Ok(()),
                None => {
                    self.tell(Found::Through(self.floor)).await;
                    return Ok(());
                }
            };
            for stored in envelopes {
                from.sequence = stored.sequence;
                if stored.sequence > self.floor {
                    self.tell(Found::Through(self.floor)).await;
                    return Ok(());
                }
                // Whoever returns was not present, and the stream removes what has expired a little later.
                let envelope = &stored.envelope;
                let is_stale = envelope.subject.class == Class::Ephemeral
                    || envelope.expires_at.is_some_and(|at| at <= (self.clock)());
                if !is_stale && !self.tell(Found::Envelope(Arc::new(FramedEnvelope::new(stored)))).await {
                    return Ok(());
                }
            }
        }
    }

    /// `false` if nobody wants it, or wants it now.
    async fn tell(&self, found: Found) -> bool {
        self.found.send_timeout(found, PATIENCE).await.is_ok()
    }
}
