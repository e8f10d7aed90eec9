//! The index of one stream: (tenant, address) → ascending sequences of the envelopes there.
//!
//! Invariant: for every position in `floor..=head`, a read returns exactly the envelopes that the stream still holds,
//! as far as the mailbox has received them. Sequences are stored as four-byte offsets from a base. The base moves up
//! with the floor, about once in two thousand million sequences. Envelopes that retention drops are hidden at once
//! (reads begin at the floor). Their memory is freed a little later, in steps that follow the floor.

use crate::directory::{Directory, PlaceId};
use crate::expiry::Expiry;
use crate::held::Held;
use crate::latest::Latest;
use crate::list::List;
use crate::merge::{Found, NotCovered, Page, Query, merge};

/// The maximum distance between floor and head, in sequences. The floor follows the head at this distance.
pub const REACH: u64 = 1 << 31;

/// The index of envelopes by address.
#[derive(Debug, Default)]
pub struct Mailbox {
    directory: Directory,
    latest: Latest,
    expiry: Expiry,
    held: Held,
    /// The sequence whose offset is zero; never above the floor.
    base: u64,
    floor: u64,
    /// The last sequence received; below the floor when retention has overtaken the follower.
    told: u64,
}

/// An envelope for the mailbox.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The tenant of the address.
    pub tenant: &'a str,
    /// The address, in the form that readers use.
    pub address: &'a str,
    /// The stream sequence, greater than all earlier ones.
    pub sequence: u64,
    /// Whether it replaces an older one.
    pub delivery: Delivery<'a>,
    /// The second from which on it is not delivered, on the same clock as [`Query::now`]. Values from 2³²−1 on (the
    /// year 2106 of the Unix epoch) mean never.
    pub expires_at: Option<u64>,
}

/// How long an envelope is kept for devices that are not connected. Ephemeral envelopes are not stored; see
/// [`Mailbox::advance_to`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery<'a> {
    /// Until retention removes it.
    Durable,
    /// Until a newer one with the same key arrives at the same address.
    Latest {
        /// Distinguishes it from other envelopes at its address: the rest of its subject, or the whole subject.
        key: &'a str,
    },
}

/// Why an envelope is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The stream was not followed in order, or an envelope was appended twice.
    #[error(
        "sequence {sequence} came after {last}; the mailbox takes each sequence once, in ascending order"
    )]
    NotAscending {
        /// The refused sequence.
        sequence: u64,
        /// The last accepted sequence.
        last: u64,
    },
    /// There are 2³² addresses with envelopes.
    #[error(
        "no address can be added to {addresses}; raise the floor or spread the tenants over more streams"
    )]
    TooManyAddresses {
        /// The number of addresses.
        addresses: usize,
    },
}

impl Mailbox {
    /// Creates an empty mailbox for the envelopes after the sequence `floor`.
    #[must_use]
    pub fn new(floor: u64) -> Self {
        Self { base: floor, floor, told: floor, ..Self::default() }
    }

    /// The lowest position that can be read from. The mailbox is complete above it.
    #[must_use]
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    /// The highest sequence that the mailbox knows.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.told.max(self.floor)
    }

    /// The number of envelopes held, including those that retention has dropped and that are not yet freed (at most as
    /// many as there were addresses at one time).
    #[must_use]
    pub const fn len(&self) -> usize {
        self.directory.entries()
    }

    /// Returns whether the mailbox is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of addresses with envelopes, counted like [`Self::len`].
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.directory.addresses()
    }

    /// The memory in use, in bytes, without the allocator's overhead.
    #[must_use]
    pub fn footprint(&self) -> usize {
        self.directory.footprint() + self.latest.footprint() + self.expiry.footprint() + self.held.footprint()
    }

    /// Adds an envelope at its address. One below the floor only advances the head.
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

    /// Advances the head to `sequence`: the other sequences up to there were ephemeral or deleted.
    pub fn advance_to(&mut self, sequence: u64) {
        if sequence > self.told {
            self.make_room(sequence);
            self.told = sequence;
        }
    }

    /// Removes an envelope that the stream no longer holds. Returns whether it was here.
    pub fn remove(&mut self, tenant: &str, address: &str, sequence: u64) -> bool {
        if sequence <= self.floor || sequence > self.told {
            return false;
        }
        let offset = self.offset(sequence);
        self.place(tenant, address).is_some_and(|place| self.take_out(place, offset))
    }

    /// Removes all envelopes of one address and returns their number.
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

    /// Raises the floor to just below `first`, the first sequence in the stream. Returns the last envelope that was
    /// held below, if there was one. A lower `first` changes nothing.
    ///
    /// The work is proportional to the number of dropped sequences, and is at most one pass over all addresses.
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

    /// Removes the envelopes that have expired by `now`. Reads skip them in any case, at a cost that grows with the
    /// number expired since the last call: call it about once a second. A removal from the middle of a list moves up to
    /// half of the list, four bytes for each envelope.
    pub fn expire(&mut self, now: u64) {
        while let Some((place, offset)) = self.expiry.pop(now) {
            self.take_out(place, offset);
        }
    }

    /// Returns the envelopes of a query up to and including `through`, at most `limit` of them. A `through` beyond the
    /// head ends at the head.
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

    /// Returns the number of envelopes of a query, before filters on attributes.
    pub fn pending<A: AsRef<str>>(&self, query: &Query<'_, A>) -> Result<usize, NotCovered> {
        let opened = self.open(query)?;
        let after = self.offset(query.after);
        let held: usize = opened.iter().map(|opened| opened.list.after(after).len()).sum();
        let stale =
            self.stale(query, &opened).filter(|(list, offset)| *offset > after && list.contains(*offset));
        Ok(held - stale.count())
    }

    /// Returns the lists of a query's addresses without duplicates, ascending by slot.
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

    /// Returns the expired envelopes in the opened lists, each with its list. Some may have been removed since.
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

    /// Returns the offset of a sequence. A sequence without an offset gets the nearest one.
    fn offset(&self, sequence: u64) -> u32 {
        u32::try_from(sequence.saturating_sub(self.base)).unwrap_or(u32::MAX)
    }

    /// Ensures that `sequence` is within reach of the floor and has a unique offset.
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

/// An address of a query that holds envelopes.
#[derive(Debug)]
struct Opened<'a> {
    place: PlaceId,
    /// Its index in the query.
    address: usize,
    list: &'a List,
}
