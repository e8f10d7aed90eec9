//! Reading what a connection missed, until it is live.
//!
//! The same for a slow reader and for a returning user. The seam: a connection becomes live in the
//! same step, without an await, in which it is seen to have everything up to the shard's cursor,
//! and the shard moves its cursor in the same step in which it delivers. So nothing falls between,
//! and nothing comes twice.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tidings_mailbox::{NotCovered, Query};
use tidings_model::Address;
use tidings_protocol::server::ServerMessage;

use super::Shard;
use super::connection::{Connection, Phase, State};
use crate::framed::{Form, FramedEnvelope};
use crate::retained::{RetainedPage, unix_seconds};
use crate::session::Subscription;

/// Envelopes that are read from NATS at once for one connection, ahead of what its socket takes.
const READ_AHEAD: usize = 16;
/// How long to wait before NATS is asked again.
const RETRY: Duration = Duration::from_millis(250);

impl Shard {
    /// Gives the connection what it missed, as far as its window allows.
    pub(super) async fn catch_up(&self, connection: &Rc<Connection>) {
        while let Some(after) = self.still_behind(connection) {
            let given = match self.read_page(connection, after) {
                Ok(page) => self.give_page(connection, page).await,
                Err(NotCovered { floor, .. }) => self.give_from_stream(connection, after, floor).await,
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
        let reads = stream::iter(page.found).map(async |(found, held)| match held {
            Some(framed) => (found.sequence, Some(framed)),
            None => (found.sequence, self.fetch(found.sequence).await),
        });
        let mut reads = pin!(reads.buffered(READ_AHEAD));
        while let Some((sequence, framed)) = reads.next().await {
            if give(connection, sequence, framed.as_deref()) == Given::Full {
                return Given::Full;
            }
        }
        connection.state().move_on(page.read_through);
        Given::All
    }

    /// Where the connection stands, or `None` if it is live now, or gone.
    fn still_behind(&self, connection: &Connection) -> Option<u64> {
        let mut state = connection.state();
        let Phase::Returning { after } = state.phase else { return None };
        if after < self.cursor.get() {
            return Some(after);
        }
        state.phase = Phase::Live;
        if std::mem::take(&mut state.catching_up) && connection.form == Form::Sequenced {
            let caught_up = ServerMessage::CaughtUp { position: self.position(after) };
            state.say_text(&caught_up.to_json((self.shared.clock)()));
            connection.flush_now(&mut state);
        }
        None
    }

    fn read_page(&self, connection: &Connection, after: u64) -> Result<RetainedPage, NotCovered> {
        let state = connection.state();
        let addresses: Vec<&str> =
            state.session.open_addresses().map(|(address, _)| address.as_str()).collect();
        let now = unix_seconds((self.shared.clock)());
        let tenant = state.session.passport().tenant().as_str();
        let query = Query { tenant, addresses: &addresses, after, now };
        self.shared.retained.read(&query, self.cursor.get(), self.limits.messages)
    }

    /// An envelope that is not in memory any more; `None` if the stream has removed it.
    async fn fetch(&self, sequence: u64) -> Option<Arc<FramedEnvelope>> {
        loop {
            match tidings_streams::fetch(&self.shared.topology, sequence).await {
                Ok(stored) => return stored.map(|stored| Arc::new(FramedEnvelope::new(stored))),
                Err(error) => {
                    tracing::warn!(%error, sequence, "cannot read an envelope for a client; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// Whether a connection took what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    All,
    /// Its window was full before.
    Full,
}

/// Gives the connection what lies at a sequence, if anything still does and it is for it.
pub(super) fn give(connection: &Connection, sequence: u64, framed: Option<&FramedEnvelope>) -> Given {
    let mut state = connection.state();
    if state.is_full() {
        connection.flush_now(&mut state);
    }
    if state.is_full() {
        return Given::Full;
    }
    state.move_on(sequence);
    if let Some(framed) = framed
        && matches!(state.phase, Phase::Returning { .. })
        && is_for(&state, framed)
        && !state.has(framed)
    {
        state.give(framed, connection.form);
    }
    Given::All
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
