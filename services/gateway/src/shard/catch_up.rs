//! Reading what a connection missed, until it is live.
//!
//! The same for a slow reader and for a returning user. The seam: a connection becomes live in the
//! same step, without an await, in which it is seen to have everything up to the shard's cursor,
//! and the shard moves its cursor in the same step in which it delivers. So nothing falls between,
//! and nothing comes twice.
//!
//! Every await may be followed by another life of the stream, in which no sequence that was read
//! before means anything; so whatever is given is given together with the epoch that it is from.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tidings_mailbox::Query;
use tidings_model::{Address, Epoch, Place};
use tidings_protocol::server::{GapReason, ServerMessage};

use super::Shard;
use super::connection::Connection;
use super::state::State;
use crate::framed::{Form, FramedEnvelope};
use crate::retained::{RetainedPage, Unreadable, unix_seconds};
use crate::session::Subscription;

/// Envelopes that are read from NATS at once for one connection, ahead of what its socket takes.
const READ_AHEAD: usize = 16;
/// How long to wait before NATS is asked again.
const RETRY: Duration = Duration::from_millis(250);

impl Shard {
    /// Gives the connection what it missed, as far as its window allows.
    pub(super) async fn catch_up(&self, connection: &Rc<Connection>) {
        while let Some(after) = self.still_behind(connection) {
            if after >= self.cursor.get() {
                // The shard is about to hear of the generation.
                tokio::time::sleep(RETRY).await;
                continue;
            }
            let given = match self.read_page(connection, after) {
                Ok(page) => self.give_page(connection, page).await,
                Err(Unreadable::NotCovered { floor }) => {
                    self.give_from_stream(connection, after, floor).await
                }
                Err(Unreadable::Removed { floor }) => {
                    self.pass_over(connection, floor);
                    Given::All
                }
                Err(Unreadable::Renewed) => {
                    // The shard is about to hear of it.
                    tokio::time::sleep(RETRY).await;
                    Given::All
                }
            };
            connection.flush();
            self.touch(connection);
            if given == Given::Full {
                // Goes on when the socket has taken the window.
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn give_page(&self, connection: &Rc<Connection>, page: RetainedPage) -> Given {
        let epoch = self.epoch.get();
        let reads = stream::iter(page.found).map(async |(found, held)| match held {
            Some(framed) => (found.sequence, Some(framed)),
            None => (found.sequence, self.fetch(connection, found.sequence).await),
        });
        let mut reads = pin!(reads.buffered(READ_AHEAD));
        while let Some((sequence, framed)) = reads.next().await {
            let Some(framed) = framed else {
                if connection.state().phase.behind().is_none() {
                    return Given::All;
                }
                if let Some(floor) = self.removed_through(sequence).await
                    && self.epoch.get() == epoch
                {
                    self.pass_over(connection, floor);
                    return Given::All;
                }
                // Replaced by a newer one, expired, or purged.
                continue;
            };
            if self.give(connection, epoch, &framed).await == Given::Full {
                return Given::Full;
            }
        }
        self.move_on(connection, epoch, page.read_through);
        Given::All
    }

    /// Where the connection stands, or `None` if it is live now, or gone.
    pub(super) fn still_behind(&self, connection: &Connection) -> Option<u64> {
        let mut state = connection.state();
        let after = state.phase.behind()?;
        let tenant = state.session.passport().tenant();
        if after < self.cursor.get() || self.generations.borrow().is_to_come(tenant, state.generation) {
            return Some(after);
        }
        state.phase.become_live();
        if std::mem::take(&mut state.catching_up) && connection.form() == Form::Sequenced {
            let caught_up = ServerMessage::CaughtUp { position: self.position(&state, after) };
            state.say_text(&caught_up.to_json((self.shared.clock)()));
            connection.flush_now(&mut state);
        }
        None
    }

    fn read_page(&self, connection: &Connection, after: u64) -> Result<RetainedPage, Unreadable> {
        let state = connection.state();
        let addresses: Vec<&str> =
            state.session.open_addresses().map(|(address, _)| address.as_str()).collect();
        let now = unix_seconds((self.shared.clock)());
        // Up to the notice of a newer generation, what was missed is of the one before.
        let (generation, until) = self.generation(&state, after);
        let token =
            Place { generation, ..Place::default() }.token(state.session.passport().tenant()).to_string();
        let query = Query { tenant: &token, addresses: &addresses, after, now };
        let through = self.cursor.get().min(until);
        self.lane.retained.read(&query, self.epoch.get(), through, self.common.limits.messages)
    }

    /// Goes on after what retention has removed, with a word to the client.
    pub(super) fn pass_over(&self, connection: &Connection, to: u64) {
        let mut state = connection.state();
        let Some(after) = state.phase.behind() else { return };
        if to <= after {
            return;
        }
        if connection.form() == Form::Sequenced {
            let (from, to) = (self.position(&state, after), self.position(&state, to));
            let gap = ServerMessage::Gap { from, to, reason: GapReason::Retention };
            state.say_text(&gap.to_json((self.shared.clock)()));
        }
        // The client has heard of it when it acknowledges what it goes on after.
        state.sent = state.sent.max(to);
        state.move_on(to);
    }

    /// An envelope that is not in memory any more; `None` if the stream has removed it, or nobody
    /// waits for it any more.
    async fn fetch(&self, connection: &Connection, sequence: u64) -> Option<Arc<FramedEnvelope>> {
        loop {
            match tidings_streams::fetch(&self.lane.topology, sequence).await {
                Ok(stored) => return stored.map(|stored| Arc::new(FramedEnvelope::new(stored))),
                Err(error) => {
                    if let Some(attempts) = self.shared.complaints.reads.count(1) {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, attempts, "envelopes cannot be read for clients; trying again");
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
            connection.state().phase.behind()?;
        }
    }

    /// What the stream begins after, if that is behind a sequence which it does not hold.
    async fn removed_through(&self, sequence: u64) -> Option<u64> {
        // If NATS does not answer, the next look at the stream tells.
        let extent = self.lane.topology.extent().await.ok()?;
        self.lane.retained.upkeep(&extent, (self.shared.clock)());
        (extent.epoch == self.epoch.get() && sequence <= extent.floor).then_some(extent.floor)
    }

    /// Everything up to `after` has been read for a connection that returns.
    pub(super) fn move_on(&self, connection: &Connection, epoch: Epoch, after: u64) {
        if self.epoch.get() == epoch {
            connection.state().move_on(after);
        }
    }

    /// Gives the connection an envelope, if it is for it.
    pub(super) async fn give(&self, connection: &Connection, epoch: Epoch, framed: &FramedEnvelope) -> Given {
        let repeated = self.has_received(connection, framed).await;
        let mut state = connection.state();
        if self.epoch.get() != epoch {
            return Given::All;
        }
        if state.is_full() {
            connection.flush_now(&mut state);
        }
        if state.is_full() {
            return Given::Full;
        }
        state.move_on(framed.sequence());
        let is_returning = state.phase.behind().is_some();
        if is_returning && !repeated && is_for(&state, framed) && !state.has(framed) {
            connection.give(&mut state, framed);
        }
        Given::All
    }

    /// Whether the connection's position covers another part of the same message: one of several
    /// addresses. Only for the first envelope on a connection; it knows what it has sent itself.
    async fn has_received(&self, connection: &Connection, framed: &FramedEnvelope) -> bool {
        let begins_at = {
            let state = connection.state();
            if framed.envelope().origin.part == 0 || state.knows_last_message() {
                return false;
            }
            state.sent
        };
        // The parts of an event follow each other.
        let first = framed.sequence().saturating_sub(framed.envelope().origin.part.into());
        for sequence in first..=begins_at.min(framed.sequence().saturating_sub(1)) {
            let part = match self.lane.retained.held(sequence) {
                Some(part) => Some(part),
                None => self.fetch(connection, sequence).await,
            };
            if part.is_some_and(|part| {
                part.identity() == framed.identity() && is_for(&connection.state(), &part)
            }) {
                return true;
            }
        }
        false
    }
}

/// Whether a connection took what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    All,
    /// Its window was full before.
    Full,
}

/// Whether the envelope is for this connection, by the keys that it holds at this moment: they
/// may have changed since the index was read, which is not trusted with authorization.
fn is_for(state: &State, framed: &FramedEnvelope) -> bool {
    let envelope = framed.envelope();
    let subject = &envelope.subject;
    let is_open = |(address, subscription): (&Address, Option<&Subscription>)| {
        *address == subject.address
            && subscription.is_none_or(|subscription| {
                framed.sequence() > subscription.since && subscription.filter.matches(&envelope.attributes)
            })
    };
    subject.tenant == *state.session.passport().tenant() && state.session.open_addresses().any(is_open)
}
