//! The index: (tenant, address) → ascending sequences of the envelopes that lie there, for one stream.
//!
//! Invariant: for every position in `floor..=head` a read gives exactly the envelopes that the
//! stream still holds, as far as the mailbox was told. Sequences are kept as four-byte offsets from a base
//! that moves up with the floor, about once in two thousand million sequences. What retention drops is out of sight at once
//! (reads begin at the floor) and out of memory a little later, in steps that follow the floor.

use crate::directory::{Directory, PlaceId};
use crate::expiry::Expiry;
use crate::held::Held;
use crate::latest::Latest;
use crate::list::List;
use crate::merge::{Found, NotCovered, Page, Query, merge};

/// How far back a mailbox reaches at most, in sequences: the floor follows the head at this distance.
pub const REACH: u64 = 1 << 31;

/// Which envelopes lie at which address.
#[derive(Debug, Default)]
pub struct Mailbox {
    directory: Directory,
    latest: Latest,
    expiry: Expiry,
    held: Held,
    /// The sequence whose offset is zero; never above the floor.
    base: u64,
    floor: u64,
    /// The last sequence that was told; below the floor when retention has overtaken the follower.
    told: u64,
}

/// An envelope to be put into the mailbox.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The tenant of the address.
    pub tenant: &'a str,
    /// The address, in whichever form readers will name it.
    pub address: &'a str,
    /// The stream sequence, greater than all before it.
    pub sequence: u64,
    /// Whether it replaces an older one.
    pub delivery: Delivery<'a>,
    /// From this second on it is not delivered; on whichever clock readers give as [`Query::now`]. Values from
    /// 2³²−1 on (the year 2106 of the Unix epoch) mean never.
    pub expires_at: Option<u64>,
}

/// How long an envelope is kept for those who are away. Ephemeral ones are not kept: [`Mailbox::advance_to`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery<'a> {
    /// Until retention removes it.
    Durable,
    /// Until a newer one with the same key arrives at the same address.
    Latest {
        /// What tells it apart from others at its address: the rest of its subject, or the whole of it.
        key: &'a str,
    },
}

/// An envelope that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The stream was not followed in order, or an envelope came twice.
    #[error(
        "sequence {sequence} came after {last}; the mailbox takes each sequence once, in ascending order"
    )]
    NotAscending {
        /// The sequence that was refused.
        sequence: u64,
        /// The last sequence that was taken.
        last: u64,
    },
    /// There are 2³² addresses with envelopes.
    #[error(
        "no address can be added to {addresses}; raise the floor or spread the tenants over more streams"
    )]
    TooManyAddresses {
        /// How many there are.
        addresses: usize,
    },
}

impl Mailbox {
    /// An empty mailbox for the envelopes after `floor`, the sequence before the first that will be told.
    #[must_use]
    pub fn new(floor: u64) -> Self {
        Self { base: floor, floor, told: floor, ..Self::default() }
    }

    /// The lowest position that can be read from: the mailbox answers for what lies above it.
    #[must_use]
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    /// The highest sequence that the mailbox answers for.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.told.max(self.floor)
    }

    /// How many envelopes are held, with those that retention has dropped but not yet cleared away
    /// (at most as many as there ever were addresses at one time).
    #[must_use]
    pub const fn len(&self) -> usize {
        self.directory.entries()
    }

    /// Whether nothing is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many addresses hold envelopes, counted as in [`Self::len`].
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.directory.addresses()
    }

    /// Bytes of memory in use, without what the allocator adds.
    #[must_use]
    pub fn footprint(&self) -> usize {
        self.directory.footprint() + self.latest.footprint() + self.expiry.footprint() + self.held.footprint()
    }

    /// Puts an envelope at its address. One below the floor counts as told, and is gone already.
    pub fn append(&mut self, entry: Entry<'_>) -> Result<(), AppendError> {
        let Entry { tenant, address, sequence, delivery, expires_at } = entry;
        if sequence <= self.told {
            return Err(AppendError::NotAscending { sequence, last: self.told });
        }
        self.make_room(sequence);
        if sequence > self.floor {
            let place = self.directory.intern(tenant, address);
            let addresses = self.directory.addresses();
            let place = place.ok_or(AppendError::TooManyAddresses { addresses })?;
            let offset = self.offset(sequence);
            self.directory.push(place, offset);
            self.held.insert(sequence);
            if let Delivery::Latest { key } = delivery
                && let Some(older) = self.latest.replace((tenant, address, key), offset)
            {
                self.take_out(place, older);
            }
            if let Some(at) = expires_at {
                self.expiry.insert(at, offset, place);
            }
        }
        self.told = sequence;
        Ok(())
    }

    /// Takes note that the stream up to `sequence` holds nothing more to be put here: the rest was ephemeral, or deleted.
    pub fn advance_to(&mut self, sequence: u64) {
        if sequence > self.told {
            self.make_room(sequence);
            self.told = sequence;
        }
    }

    /// Removes an envelope that the stream no longer holds; says whether it was here.
    pub fn remove(&mut self, tenant: &str, address: &str, sequence: u64) -> bool {
        if sequence <= self.floor || sequence > self.told {
            return false;
        }
        let offset = self.offset(sequence);
        self.place(tenant, address).is_some_and(|place| self.take_out(place, offset))
    }

    /// Removes all envelopes of one address and returns how many they were.
    pub fn purge(&mut self, tenant: &str, address: &str) -> usize {
        let Some(place) = self.place(tenant, address) else {
            return 0;
        };
        let floor = self.offset(self.floor);
        let purged: Vec<u32> =
            self.directory.list(place).into_iter().flat_map(|list| list.after(floor)).collect();
        for offset in &purged {
            self.held.remove(self.base + u64::from(*offset));
        }
        self.directory.clear(place);
        purged.len()
    }

    /// Raises the floor to just below `first`, the first sequence that the stream holds, and returns the last
    /// envelope that was held below, if there was one. A lower one changes nothing.
    ///
    /// The work follows the number of sequences that are dropped, and is at most one pass over all addresses.
    pub fn retain_from(&mut self, first: u64) -> Option<u64> {
        let dropped = first.saturating_sub(1).saturating_sub(self.floor);
        if dropped == 0 {
            return None;
        }
        self.floor += dropped;
        let floor = self.offset(self.floor);
        self.directory.sweep(dropped, floor);
        self.latest.drop_through(floor, dropped);
        self.expiry.drop_through(floor, dropped);
        self.held.drop_through(self.floor)
    }

    /// Removes what has expired by `now`. Reads skip it in any case, at a cost that
    /// grows with what has expired since the last call: once a second is a good measure. A removal from
    /// the middle of a list moves up to half of it, four bytes for each envelope there.
    pub fn expire(&mut self, now: u64) {
        while let Some((place, offset)) = self.expiry.pop(now) {
            self.take_out(place, offset);
        }
    }

    /// The envelopes that a query opens, up to and including `through`, at most `limit` of them. A `through` beyond
    /// the head ends at the head.
    pub fn merge<A: AsRef<str>>(
        &self,
        query: &Query<'_, A>,
        through: u64,
        limit: usize,
    ) -> Result<Page, NotCovered> {
        let opened = self.open(query)?;
        let after = self.offset(query.after);
        let mut stale: Vec<u32> = self.stale(query, &opened).map(|(_, offset)| offset).collect();
        stale.sort_unstable();
        let runs = opened.iter().map(|opened| (opened.address, opened.list.after(after))).collect();
        let through = through.min(self.head());
        let found: Vec<Found> = merge(runs, &stale, self.offset(through), limit)
            .into_iter()
            .map(|(offset, address)| Found { sequence: self.base + u64::from(offset), address })
            .collect();
        let full = found.len() >= limit;
        let reached = if full { found.last().map_or(query.after, |last| last.sequence) } else { through };
        Ok(Page { found, read_through: reached.max(query.after) })
    }

    /// How many envelopes a query opens, before any filter on their attributes.
    pub fn pending<A: AsRef<str>>(&self, query: &Query<'_, A>) -> Result<usize, NotCovered> {
        let opened = self.open(query)?;
        let after = self.offset(query.after);
        let held: usize = opened.iter().map(|opened| opened.list.after(after).len()).sum();
        let stale =
            self.stale(query, &opened).filter(|(list, offset)| *offset > after && list.contains(*offset));
        Ok(held - stale.count())
    }

    /// The lists of a query's addresses, each once, ascending by slot.
    fn open<A: AsRef<str>>(&self, query: &Query<'_, A>) -> Result<Vec<Opened<'_>>, NotCovered> {
        if query.after < self.floor {
            return Err(NotCovered { after: query.after, floor: self.floor });
        }
        let Some(tenant) = self.directory.tenant(query.tenant) else {
            return Ok(Vec::new());
        };
        let open = |(address, name): (usize, &A)| {
            let place = self.directory.find(tenant, name.as_ref())?;
            Some(Opened { place, address, list: self.directory.list(place)? })
        };
        let mut opened: Vec<_> = query.addresses.iter().enumerate().filter_map(open).collect();
        opened.sort_unstable_by_key(|opened| (opened.place, opened.address));
        opened.dedup_by_key(|opened| opened.place);
        Ok(opened)
    }

    /// What has expired in the opened lists, each with its list; some of it may have been removed since.
    fn stale<'a, A>(
        &'a self,
        query: &Query<'_, A>,
        opened: &'a [Opened<'a>],
    ) -> impl Iterator<Item = (&'a List, u32)> + 'a {
        self.expiry.stale(query.now).filter_map(|(place, offset)| {
            let index = opened.binary_search_by_key(&place, |opened| opened.place).ok()?;
            Some((opened[index].list, offset))
        })
    }

    fn take_out(&mut self, place: PlaceId, offset: u32) -> bool {
        let was_here = self.directory.remove(place, offset);
        if was_here {
            self.held.remove(self.base + u64::from(offset));
        }
        was_here
    }

    fn place(&self, tenant: &str, address: &str) -> Option<PlaceId> {
        self.directory.find(self.directory.tenant(tenant)?, address)
    }

    /// The offset of a sequence; one below the base or beyond the reach of offsets is taken for the nearest that has one.
    fn offset(&self, sequence: u64) -> u32 {
        u32::try_from(sequence.saturating_sub(self.base)).unwrap_or(u32::MAX)
    }

    /// Sees to it that `sequence` lies within reach of the floor and has an offset of its own.
    fn make_room(&mut self, sequence: u64) {
        self.retain_from(sequence.saturating_sub(REACH).saturating_add(1));
        if sequence > self.floor && sequence - self.base > u64::from(u32::MAX) {
            let floor = self.offset(self.floor);
            self.directory.rebase(floor);
            self.latest.rebase(floor);
            self.expiry.rebase(floor);
            self.base = self.floor;
        }
    }
}

/// One of a query's addresses that holds envelopes.
#[derive(Debug)]
struct Opened<'a> {
    place: PlaceId,
    /// Its index in the query.
    address: usize,
    list: &'a List,
}
