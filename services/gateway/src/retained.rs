//! What a gateway keeps of the stream: the mailbox (what lies where) and the hot tail (the newest
//! envelopes themselves).
//!
//! One writer, the follower; read by every shard. Locks are held for a page at most, never across
//! an await.

use std::sync::{Arc, PoisonError, RwLock};

use tidings_mailbox::{Delivery, Entry, Found, HotTail, Mailbox, NotCovered, Page, Query};
use tidings_model::Class;

use crate::framed::FramedEnvelope;

pub(crate) struct Retained(RwLock<Inner>);

struct Inner {
    mailbox: Mailbox,
    hot_tail: HotTail<Arc<FramedEnvelope>>,
    hot_tail_bytes: usize,
}

impl Retained {
    /// Keeps what comes after `floor`, and the envelopes themselves up to so many bytes.
    pub(crate) fn new(floor: u64, hot_tail_bytes: usize) -> Self {
        Self(RwLock::new(Inner::new(floor, hot_tail_bytes)))
    }

    /// Takes the next envelopes, in order.
    pub(crate) fn append(&self, envelopes: &[Arc<FramedEnvelope>]) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for envelope in envelopes {
            inner.append(envelope);
        }
    }

    /// Forgets everything: the stream begins anew.
    pub(crate) fn restart(&self) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *inner = Inner::new(0, inner.hot_tail_bytes);
    }

    /// One page of what a query opens, and of each envelope found the frames, if they are still
    /// in memory.
    pub(crate) fn read<A: AsRef<str>>(
        &self,
        query: &Query<'_, A>,
        through: u64,
        limit: usize,
    ) -> Result<RetainedPage, NotCovered> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Page { found, read_through } = inner.mailbox.merge(query, through, limit)?;
        let held = |found: Found| (found, inner.hot_tail.get(found.sequence).cloned());
        Ok(RetainedPage { found: found.into_iter().map(held).collect(), read_through })
    }
}

/// Part of what lies at some addresses.
pub(crate) struct RetainedPage {
    /// Ascending; without the envelope where only its sequence is known.
    pub(crate) found: Vec<(Found, Option<Arc<FramedEnvelope>>)>,
    /// The page covers everything up to here.
    pub(crate) read_through: u64,
}

impl Inner {
    fn new(floor: u64, hot_tail_bytes: usize) -> Self {
        Self { mailbox: Mailbox::new(floor), hot_tail: HotTail::new(hot_tail_bytes, floor), hot_tail_bytes }
    }

    fn append(&mut self, framed: &Arc<FramedEnvelope>) {
        let (sequence, envelope) = (framed.sequence(), framed.envelope());
        let subject = &envelope.subject;
        let latest_key = subject.key.as_ref().map(|key| format!("{}\0{key}", subject.slot));
        let delivery = match (subject.class, &latest_key) {
            (Class::Ephemeral, _) => None,
            (Class::Latest, Some(key)) => Some(Delivery::Latest { key }),
            (Class::Latest | Class::Durable, _) => Some(Delivery::Durable),
        };
        let told = match delivery {
            None => {
                self.mailbox.advance_to(sequence);
                Ok(())
            }
            Some(delivery) => self.mailbox.append(Entry {
                tenant: subject.tenant.as_str(),
                address: subject.address.as_str(),
                sequence,
                delivery,
                expires_at: envelope.expires_at.and_then(|at| u64::try_from(at.unix_timestamp()).ok()),
            }),
        };
        if let Err(error) = told {
            tracing::error!(%error, sequence, "the mailbox refuses an envelope");
        }
        if let Err(error) = self.hot_tail.push(sequence, Arc::clone(framed), framed.weight()) {
            tracing::error!(%error, sequence, "the hot tail refuses an envelope");
        }
    }
}
