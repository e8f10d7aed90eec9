//! Reading from the stream itself, for those who stand further back than the mailbox reaches.
//!
//! A task reads through a JetStream consumer that is filtered to the connection's addresses; what
//! it finds waits in a small channel until the connection's window has room. JetStream finds it by
//! scanning, so few do this at a time, and each only up to where the mailbox begins.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidings_model::{Address, Class, Position, Tenant};
use tidings_streams::{EnvelopeFollower, FollowError, Followed, Topology};
use tokio::sync::mpsc;

use super::Shard;
use super::catch_up::{Given, give};
use super::connection::Connection;
use crate::framed::FramedEnvelope;

/// Envelopes that wait for room in the window.
const AHEAD: usize = 16;
/// How long to wait before NATS is asked again.
const RETRY: Duration = Duration::from_millis(250);

/// What is being read for a connection.
pub(super) struct Fallback {
    envelopes: mpsc::Receiver<Arc<FramedEnvelope>>,
    /// Read, and waiting for room.
    held: Option<Arc<FramedEnvelope>>,
}

impl Fallback {
    async fn next(&mut self) -> Option<Arc<FramedEnvelope>> {
        match self.held.take() {
            Some(framed) => Some(framed),
            None => self.envelopes.recv().await,
        }
    }
}

impl Shard {
    /// Gives the connection what lies between its position and the mailbox's floor.
    pub(super) async fn give_from_stream(
        &self,
        connection: &Rc<Connection>,
        after: u64,
        floor: u64,
    ) -> Given {
        // Taken out of the connection while it is awaited; put back if it is not used up.
        let taken = connection.state().fallback.take();
        let mut fallback = taken.unwrap_or_else(|| self.start_fallback(connection, after, floor));
        while let Some(framed) = fallback.next().await {
            if give(connection, framed.sequence(), Some(&framed)) == Given::Full {
                fallback.held = Some(framed);
                connection.state().fallback = Some(fallback);
                return Given::Full;
            }
        }
        connection.state().move_on(floor);
        Given::All
    }

    fn start_fallback(&self, connection: &Connection, after: u64, floor: u64) -> Fallback {
        let (found, envelopes) = mpsc::channel(AHEAD);
        let state = connection.state();
        let reading = Reading {
            topology: self.shared.topology.clone(),
            tenant: state.session.passport().tenant().clone(),
            addresses: state.session.open_addresses().map(|(address, _)| address.clone()).collect(),
            floor,
            found,
        };
        let (permits, mut from) = (Arc::clone(&self.fallbacks), self.position(after));
        self.tasks.spawn_local(async move {
            let Ok(_permit) = permits.acquire().await else { return };
            while let Err(error) = reading.read(&mut from).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "reading for a client goes on later"
                );
                tokio::time::sleep(RETRY).await;
            }
        });
        Fallback { envelopes, held: None }
    }
}

/// What a task reads, for whom.
struct Reading {
    topology: Topology,
    tenant: Tenant,
    addresses: Vec<Address>,
    floor: u64,
    found: mpsc::Sender<Arc<FramedEnvelope>>,
}

impl Reading {
    /// Reads until nothing is left up to the floor, or nobody wants it any more.
    async fn read(&self, from: &mut Position) -> Result<(), FollowError> {
        let mut follower =
            EnvelopeFollower::at_addresses(&self.topology, *from, &self.tenant, &self.addresses).await?;
        loop {
            let followed = tokio::select! {
                () = self.found.closed() => return Ok(()),
                followed = follower.next_pending() => followed?,
            };
            // A new life of the stream is told to the connection by its shard.
            let Some(Followed::Envelopes(envelopes)) = followed else { return Ok(()) };
            for stored in envelopes {
                from.sequence = stored.sequence;
                if stored.sequence > self.floor {
                    return Ok(());
                }
                // Whoever returns was not present.
                if stored.envelope.subject.class != Class::Ephemeral
                    && self.found.send(Arc::new(FramedEnvelope::new(stored))).await.is_err()
                {
                    return Ok(());
                }
            }
        }
    }
}
