//! Reading what a connection missed, until it is live.
//!
//! The same for a slow reader and for a returning user. The seam: a connection becomes live in the
//! same step, without an await, in which it is seen to have everything up to the shard's cursor,
//! and the shard moves its cursor in the same step in which it delivers. So nothing falls between,
//! and nothing comes twice.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidings_mailbox::{Found, NotCovered, Query};
use tidings_model::Address;

use super::Shard;
use super::connection::{Connection, Phase, State};
use crate::framed::FramedEnvelope;
use crate::retained::RetainedPage;

/// How long to wait before NATS is asked again.
const RETRY: Duration = Duration::from_millis(250);

impl Shard {
    /// Gives the connection what it missed, as far as its window allows.
    pub(super) async fn catch_up(&self, connection: &Rc<Connection>) {
        while let Some(after) = self.still_behind(connection) {
            let page = match self.read_page(connection, after) {
                Ok(page) => page,
                Err(NotCovered { floor, .. }) => {
                    connection.state().move_on(floor);
                    continue;
                }
            };
            let addresses = page.addresses;
            for (found, held) in page.content.found {
                let framed = match held {
                    Some(framed) => Some(framed),
                    None => self.fetch(found.sequence).await,
                };
                let mut state = connection.state();
                let Phase::Returning { .. } = state.phase else { return };
                if state.is_full() {
                    // Goes on when the socket has taken the window.
                    connection.flush_now(&mut state);
                    return;
                }
                state.phase = Phase::Returning { after: found.sequence };
                if let Some(framed) = framed
                    && is_for(&state, &addresses, found, &framed)
                    && !state.has(&framed)
                {
                    state.give(&framed, connection.form);
                }
            }
            connection.state().move_on(page.content.read_through);
            connection.flush();
            tokio::task::yield_now().await;
        }
    }

    /// Where the connection stands, or `None` if it is live now, or gone.
    fn still_behind(&self, connection: &Connection) -> Option<u64> {
        let mut state = connection.state();
        let Phase::Returning { after } = state.phase else { return None };
        if after < self.cursor.get() {
            return Some(after);
        }
        state.phase = Phase::Live;
        None
    }

    fn read_page(&self, connection: &Connection, after: u64) -> Result<AddressedPage, NotCovered> {
        let state = connection.state();
        let open = state.session.open_addresses();
        let addresses: Vec<Address> = open.map(|(address, _)| address.clone()).collect();
        let names: Vec<&str> = addresses.iter().map(Address::as_str).collect();
        let now = u64::try_from((self.shared.clock)().unix_timestamp()).unwrap_or_default();
        let tenant = state.session.passport().tenant.as_str();
        let query = Query { tenant, addresses: &names, after, now };
        let content = self.shared.retained.read(&query, self.cursor.get(), self.limits.messages)?;
        Ok(AddressedPage { addresses, content })
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

struct AddressedPage {
    /// What [`Found::address`] points into.
    addresses: Vec<Address>,
    content: RetainedPage,
}

/// Whether the envelope is for this connection, by the keys that it holds at this moment: they
/// may have changed since the page was read, and the index is not trusted with authorization.
fn is_for(state: &State, addresses: &[Address], found: Found, framed: &FramedEnvelope) -> bool {
    let envelope = framed.envelope();
    let subject = &envelope.subject;
    if subject.tenant != state.session.passport().tenant
        || addresses.get(found.address) != Some(&subject.address)
    {
        return false;
    }
    state.session.open_addresses().any(|(address, subscription)| {
        *address == subject.address
            && subscription.is_none_or(|subscription| {
                found.sequence > subscription.since && subscription.filter.matches(&envelope.attributes)
            })
    })
}
