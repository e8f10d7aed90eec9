//! Replaying what a connection missed, until it is live.
//!
//! The same for a slow reader and for a returning user. The seam: a connection becomes live in the same step, without an
//! await, in which it is seen to have everything up to the worker's cursor, and the worker moves its cursor in the same
//! step in which it delivers. So nothing is missed in between, and nothing comes twice.
//!
//! What the mailbox does not cover is read from the stream itself. A task reads through a JetStream consumer that is
//! filtered to the connection's addresses; what it finds waits in a small channel until the connection's queue has room.
//! JetStream finds it by scanning, so only a few of a gateway do this at a time, and each only up to where the mailbox
//! begins. A replay whose client takes nothing for a while makes room for others, and begins again later.
//!
//! After every await the stream may have been recreated, and no sequence that was read before means anything; so
//! whatever is given is given together with the epoch that it is from.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tidings_catalog::Digest;
use tidings_mailbox::Query;
use tidings_model::{Address, Class, Epoch, Place, Position, Tenant};
use tidings_replica::{FramedEnvelope, ReadError, ReplicaPage};
use tidings_streams::{Backoff, EnvelopeFollower, FollowError, Followed, Topology};
use tokio::sync::mpsc;

use super::connection::{Connection, Found, Given, State, StreamReplay};
use super::figures::{Counted, Ongoing, WorkerFigures};
use super::shard_progress::ShardProgress;
use super::{Shared, Worker};
use crate::clock::Clock;

/// Envelopes that are read from NATS at once for one connection, ahead of what its socket takes.
const READ_AHEAD: usize = 16;
/// How long to wait before the next attempt.
const RETRY: Duration = Duration::from_millis(250);
/// Envelopes that are read from the stream and wait for room in the queue.
const AHEAD: usize = 16;
/// How long to wait for a client that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

impl Worker {
    /// Gives the connection what it missed, as far as its queue allows.
    pub(super) async fn replay(&self, connection: &Rc<Connection>) {
        let _running = self.figures.begin(Ongoing::Replay);
        while let Some(after) = connection.still_behind(self.now()) {
            connection.collect_for(self.digest(connection));
            let page = self.read_page(connection, after);
            if !page.as_ref().is_some_and(is_at_hand) {
                // This may take a while, in which the client has what there is.
                connection.flush();
            }
            let given = match page {
                Some(Ok(page)) => self.give_page(connection, page).await,
                Some(Err(ReadError::NotCovered { floor })) => {
                    self.give_from_stream(connection, after, floor).await
                }
                Some(Err(ReadError::Removed { floor })) => {
                    connection.skip_removed(floor, self.now());
                    Given::All
                }
                // The worker is about to receive the new generation, the new life of the stream, or what was routed before
                // it was known to have the connection.
                None | Some(Err(ReadError::Renewed)) => {
                    let shard = Rc::clone(connection.state().shard());
                    let _ = tokio::time::timeout(RETRY, shard.place().advanced()).await;
                    continue;
                }
            };
            connection.collect_for(None);
            // That the client has caught up comes in the same write.
            let is_over = given == Given::Full || connection.still_behind(self.now()).is_none();
            connection.flush();
            self.want_ack(connection);
            if is_over {
                // Or continues when the socket has taken the queue.
                return;
            }
            tokio::task::yield_now().await;
        }
        connection.collect_for(None);
        // The tenant may have moved before the first page; no step follows while the welcome is unsent.
        connection.flush();
    }

    fn digest(&self, connection: &Connection) -> Option<Arc<Digest>> {
        let catalogs = self.catalogs.borrow();
        catalogs.get(connection.state().principal().tenant())?.digest().cloned()
    }

    /// `None` if nothing lies between the position and the cursor.
    fn read_page(&self, connection: &Connection, after: u64) -> Option<Result<ReplicaPage, ReadError>> {
        let state = &mut *connection.state();
        // Up to the notice of a newer generation, what was missed is of the one before.
        let (generation, until) = generation_at(state, after);
        let token = Place { generation, ..Place::default() }.token(state.principal().tenant()).to_string();
        let (cursor, epoch) = (state.shard().cursor(), state.shard().epoch());
        if after >= cursor {
            return None;
        }
        let addresses = addresses(state);
        let addresses: Vec<&str> = addresses.iter().map(Address::as_str).collect();
        let query =
            Query { tenant: &token, addresses: &addresses, after, now: self.context.clock.unix_seconds() };
        let limit = self.context.settings.window_messages.get();
        Some(state.shard().replica().read(&query, epoch, cursor.min(until), limit))
    }

    async fn give_page(&self, connection: &Rc<Connection>, page: ReplicaPage) -> Given {
        let shard = Rc::clone(connection.state().shard());
        let epoch = shard.epoch();
        let reads = stream::iter(page.found).map(async |(found, held)| {
            self.figures.count(if held.is_some() { Counted::Hit } else { Counted::Miss }, 1);
            if held.is_some() {
                return (found.sequence, held, Counted::Memory);
            }
            (found.sequence, self.fetch(connection, &shard, found.sequence).await, Counted::Stream)
        });
        let mut reads = pin!(reads.buffered(READ_AHEAD));
        while let Some((sequence, framed, from)) = reads.next().await {
            let Some(framed) = framed else {
                if connection.state().behind().is_none() {
                    return Given::All;
                }
                if let Some(floor) = self.removed_through(&shard, sequence).await
                    && shard.epoch() == epoch
                {
                    connection.skip_removed(floor, self.now());
                    return Given::All;
                }
                // Replaced by a newer one, expired, or purged.
                continue;
            };
            let is_repeated = self.has_received(connection, &shard, &framed).await;
            if connection.give(epoch, (&framed, from), is_repeated) == Given::Full {
                return Given::Full;
            }
        }
        move_on(connection, epoch, page.read_through);
        Given::All
    }

    /// What the stream begins after, if that is behind a sequence which it does not hold.
    async fn removed_through(&self, shard: &ShardProgress, sequence: u64) -> Option<u64> {
        // If NATS does not answer, the next look at the stream tells.
        let extent = shard.replica().topology().extent().await.ok()?;
        shard.replica().upkeep(&extent, self.now());
        (extent.epoch == shard.epoch() && sequence <= extent.floor).then_some(extent.floor)
    }

    /// Gives the connection what lies between its position and the mailbox's floor.
    async fn give_from_stream(&self, connection: &Rc<Connection>, mut after: u64, floor: u64) -> Given {
        let shard = Rc::clone(connection.state().shard());
        let epoch = shard.epoch();
        // Taken out of the connection while it is awaited; put back if it is not used up.
        let taken = connection.state().take_stream_replay();
        let mut replay =
            taken.map_or_else(|| self.start_stream_replay(connection, after, floor), |taken| *taken);
        while let Some(found) = replay.next().await {
            let removed_through = shard.replica().removed_through();
            let sequence = match &found {
                Found::Envelope(framed) => framed.sequence(),
                Found::Through(sequence) => *sequence,
            };
            if shard.epoch() != epoch || connection.state().behind().is_none() {
                return Given::All;
            }
            if after < removed_through {
                // What should have been found in between may be gone.
                let through = removed_through.min(sequence.saturating_sub(1)).max(after);
                connection.skip_removed(through, self.now());
            }
            match found {
                Found::Envelope(framed) => {
                    let is_repeated = self.has_received(connection, &shard, &framed).await;
                    if connection.give(epoch, (&framed, Counted::Scan), is_repeated) == Given::Full {
                        replay.put_back(framed);
                        connection.state().keep_stream_replay(Some(Box::new(replay)));
                        return Given::Full;
                    }
                }
                Found::Through(sequence) => move_on(connection, epoch, sequence),
            }
            after = sequence;
        }
        Given::All
    }

    fn start_stream_replay(&self, connection: &Connection, after: u64, floor: u64) -> StreamReplay {
        let state = &mut *connection.state();
        let (generation, until) = generation_at(state, after);
        let (sender, found) = mpsc::channel(AHEAD);
        let reading = StreamReading {
            topology: state.shard().replica().topology().clone(),
            generation,
            tenant: state.principal().tenant().clone(),
            addresses: addresses(state),
            from: Position { epoch: state.shard().epoch(), sequence: after },
            floor: floor.min(until),
            clock: self.context.clock,
            sender,
        };
        self.spawn(reading.run(Arc::clone(&self.shared), Arc::clone(&self.figures)));
        StreamReplay::new(found)
    }

    /// An envelope that is not in memory any more; `None` if the stream has removed it, or the connection is not catching up
    /// any more.
    async fn fetch(
        &self,
        connection: &Connection,
        shard: &ShardProgress,
        sequence: u64,
    ) -> Option<Arc<FramedEnvelope>> {
        loop {
            match tidings_streams::fetch(shard.replica().topology(), sequence).await {
                Ok(stored) => return stored.map(|stored| Arc::new(FramedEnvelope::new(stored))),
                Err(error) => {
                    if let Some(attempts) = self.shared.failed_reads.count(1) {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, attempts, "envelopes cannot be read for clients; trying again");
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
            connection.state().behind()?;
        }
    }

    /// Whether the connection's position covers another part of the same message: one of several addresses. Only for the first
    /// envelope on a connection; it knows what it has sent itself.
    async fn has_received(
        &self,
        connection: &Connection,
        shard: &ShardProgress,
        framed: &FramedEnvelope,
    ) -> bool {
        let begins_at = {
            let state = connection.state();
            if framed.envelope().origin.part == 0 || state.knows_last_message() {
                return false;
            }
            state.sent()
        };
        // The parts of an event follow each other.
        let first = framed.sequence().saturating_sub(framed.envelope().origin.part.into());
        for sequence in first..=begins_at.min(framed.sequence().saturating_sub(1)) {
            let part = match shard.replica().held(sequence) {
                Some(part) => Some(part),
                None => self.fetch(connection, shard, sequence).await,
            };
            let is_received = part.is_some_and(|part| {
                part.identity() == framed.identity()
                    && connection.state().session().receives(part.sequence(), part.envelope())
            });
            if is_received {
                return true;
            }
        }
        false
    }
}

/// Reads what a connection missed from the stream.
struct StreamReading {
    topology: Topology,
    generation: u32,
    tenant: Tenant,
    addresses: Vec<Address>,
    /// What was read.
    from: Position,
    /// The last sequence that is read.
    floor: u64,
    clock: Clock,
    sender: mpsc::Sender<Found>,
}

impl StreamReading {
    /// Reads, as soon as it is this reading's turn, until nothing is left up to the floor, or the connection does not want
    /// it any more.
    async fn run(mut self, shared: Arc<Shared>, figures: Arc<WorkerFigures>) {
        let mut backoff = Backoff::new();
        loop {
            let waiting = figures.begin(Ongoing::ScanWaiting);
            let permit = tokio::select! {
                () = self.sender.closed() => return,
                permit = shared.stream_replays.acquire() => permit,
            };
            let Ok(permit) = permit else { return };
            drop(waiting);
            let running = figures.begin(Ongoing::Scan);
            let Err(error) = self.read().await else { return };
            drop(running);
            // Others may be able to read, where JetStream refuses this one.
            drop(permit);
            if let Some(attempts) = shared.failed_reads.count(1) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, attempts, "replays for clients continue later");
            }
            backoff.failed();
            tokio::select! {
                () = self.sender.closed() => return,
                () = backoff.wait() => {}
            }
        }
    }

    /// Reads until nothing is left up to the floor, or the connection does not want it any more.
    async fn read(&mut self) -> Result<(), FollowError> {
        let mut follower = EnvelopeFollower::at_addresses(
            &self.topology,
            self.from,
            (&self.tenant, self.generation),
            &self.addresses,
        )
        .await?;
        loop {
            let followed = tokio::select! {
                () = self.sender.closed() => return Ok(()),
                followed = follower.next_pending() => followed?,
            };
            let envelopes = match followed {
                Some(Followed::Envelopes(envelopes)) => envelopes,
                Some(Followed::Purged(..) | Followed::Placed { .. }) => continue,
                // The worker tells the connection of a new life of the stream.
                Some(Followed::Renewed(_)) => return Ok(()),
                None => {
                    hand_over(&self.sender, Found::Through(self.floor)).await;
                    return Ok(());
                }
            };
            for stored in envelopes {
                self.from.sequence = stored.sequence;
                if stored.sequence > self.floor {
                    hand_over(&self.sender, Found::Through(self.floor)).await;
                    return Ok(());
                }
                // A returning client was not present, and the stream removes what has expired a little later.
                let envelope = &stored.envelope;
                let is_stale = envelope.subject.class == Class::Ephemeral
                    || envelope.expires_at.is_some_and(|at| at <= self.clock.now());
                let found = Found::Envelope(Arc::new(FramedEnvelope::new(stored)));
                if !is_stale && !hand_over(&self.sender, found).await {
                    return Ok(());
                }
            }
        }
    }
}

/// `false` if the connection does not want it, or not now.
async fn hand_over(sender: &mpsc::Sender<Found>, found: Found) -> bool {
    sender.send_timeout(found, PATIENCE).await.is_ok()
}

/// Whether all of a page is in memory.
fn is_at_hand(page: &Result<ReplicaPage, ReadError>) -> bool {
    page.as_ref().is_ok_and(|page| page.found.iter().all(|(_, held)| held.is_some()))
}

/// The generation that a sequence belongs to for the connection, and up to which sequence that is so.
fn generation_at(state: &State, sequence: u64) -> (u32, u64) {
    state.shard().generation_at(state.principal().tenant(), state.generation(), sequence)
}

fn addresses(state: &mut State) -> Vec<Address> {
    state.session().open_addresses().map(|(address, _)| address.clone()).collect()
}

/// Everything up to `after` has been read for a connection that is catching up.
fn move_on(connection: &Connection, epoch: Epoch, after: u64) {
    let mut state = connection.state();
    if state.shard().epoch() == epoch {
        state.move_on(after);
    }
}

#[cfg(test)]
mod tests;
