//! Addresses by name, each with its list of envelopes.
//!
//! Addresses are compared by their whole text, never by a hash alone: a collision would deliver one user's envelopes to
//! another. The text is stored once, in a slot. The slot's number (a [`PlaceId`]) refers to the address elsewhere. The
//! index over the slots holds eight bytes per address.
//!
//! Invariant: the list of an occupied slot is not empty, except between [`Directory::intern`] and the first push. So an
//! address without envelopes takes only a slot, which is reused.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::list::List;

/// The slot of an address. It is reused after the address lost its last envelope.
pub(crate) type PlaceId = u32;

/// A tenant with an envelope, now or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tenant(usize);

#[derive(Debug)]
struct Place {
    tenant: Tenant,
    address: Box<str>,
    list: List,
}

/// An index entry. It stores the hash so that the index can grow without reading addresses.
#[derive(Debug)]
struct Indexed {
    hash: u32,
    id: PlaceId,
}

#[derive(Debug, Default)]
pub(crate) struct Directory {
    hasher: RandomState,
    tenants: HashMap<Box<str>, Tenant>,
    index: HashTable<Indexed>,
    places: Vec<Option<Place>>,
    vacant: Vec<PlaceId>,
    next_swept: PlaceId,
    entries: usize,
    /// The bytes of address texts, and of lists outside of their slots.
    heap_bytes: usize,
}

impl Directory {
    pub(crate) fn tenant(&self, tenant: &str) -> Option<Tenant> {
        self.tenants.get(tenant).copied()
    }

    pub(crate) fn find(&self, tenant: Tenant, address: &str) -> Option<PlaceId> {
        self.find_hashed(tenant, address, self.hash(tenant, address))
    }

    pub(crate) fn list(&self, id: PlaceId) -> Option<&List> {
        Some(&self.places.get(id as usize)?.as_ref()?.list)
    }

    /// Returns the slot of an address, and creates it if it is new. Returns `None` if all slot numbers are in use.
    pub(crate) fn intern(&mut self, tenant: &str, address: &str) -> Option<PlaceId> {
        let tenant = self.tenant(tenant).unwrap_or_else(|| {
            let new = Tenant(self.tenants.len());
            self.tenants.insert(tenant.into(), new);
            new
        });
        let hash = self.hash(tenant, address);
        if let Some(id) = self.find_hashed(tenant, address, hash) {
            return Some(id);
        }
        let place = Place { tenant, address: address.into(), list: List::new() };
        let id = self.occupy(place)?;
        self.heap_bytes += address.len();
        self.index.insert_unique(spread(hash), Indexed { hash, id }, |indexed| spread(indexed.hash));
        Some(id)
    }

    pub(crate) fn push(&mut self, id: PlaceId, offset: u32) {
        self.edit(id, |list| list.push(offset));
    }

    /// Removes one envelope. Returns whether it was there.
    pub(crate) fn remove(&mut self, id: PlaceId, offset: u32) -> bool {
        self.edit(id, |list| list.remove(offset)).unwrap_or(false)
    }

    /// Removes all envelopes of one address.
    pub(crate) fn clear(&mut self, id: PlaceId) {
        self.edit(id, |list| *list = List::new());
    }

    /// Visits the next `steps` slots, each at most once, and removes their envelopes at or below `floor`.
    ///
    /// The caller makes at least as many steps as sequences are dropped. So each slot is visited again before as many
    /// sequences as there are slots have been dropped. This bounds the entries that wait for removal by the number of
    /// slots.
    pub(crate) fn sweep(&mut self, steps: u64, floor: u32) {
        let steps = usize::try_from(steps).unwrap_or(usize::MAX).min(self.places.len());
        for _ in 0..steps {
            if self.next_swept as usize >= self.places.len() {
                self.next_swept = 0;
            }
            self.edit(self.next_swept, |list| list.drop_through(floor));
            self.next_swept += 1;
        }
    }

    /// Removes all envelopes at or below `floor` and counts offsets from `floor` on.
    pub(crate) fn rebase(&mut self, floor: u32) {
        self.next_swept = 0;
        for id in 0..PlaceId::try_from(self.places.len()).unwrap_or(PlaceId::MAX) {
            self.edit(id, |list| {
                list.drop_through(floor);
                list.shift_down(floor);
            });
        }
    }

    pub(crate) const fn entries(&self) -> usize {
        self.entries
    }

    pub(crate) fn addresses(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn footprint(&self) -> usize {
        self.heap_bytes
            + self.index.allocation_size()
            + self.places.capacity() * size_of::<Option<Place>>()
            + self.vacant.capacity() * size_of::<PlaceId>()
    }

    fn hash(&self, tenant: Tenant, address: &str) -> u32 {
        let hash = self.hasher.hash_one((tenant, address));
        // Either half of a keyed hash will do.
        u32::try_from(hash >> 32).unwrap_or(u32::MAX)
    }

    fn find_hashed(&self, tenant: Tenant, address: &str, hash: u32) -> Option<PlaceId> {
        let here = |id: PlaceId| {
            let place = self.places.get(id as usize).and_then(Option::as_ref);
            place.is_some_and(|place| place.tenant == tenant && *place.address == *address)
        };
        let found = self.index.find(spread(hash), |indexed| indexed.hash == hash && here(indexed.id))?;
        Some(found.id)
    }

    fn occupy(&mut self, place: Place) -> Option<PlaceId> {
        if let Some(id) = self.vacant.pop() {
            self.places[id as usize] = Some(place);
            return Some(id);
        }
        let id = PlaceId::try_from(self.places.len()).ok()?;
        if self.places.len() == self.places.capacity() {
            // Doubling would leave half of a large table empty.
            self.places.reserve_exact(self.places.len() / 4 + 16);
        }
        self.places.push(Some(place));
        Some(id)
    }

    /// Changes a list: updates the counts, and frees the slot if the address has no envelopes left.
    fn edit<R>(&mut self, id: PlaceId, change: impl FnOnce(&mut List) -> R) -> Option<R> {
        let list = &mut self.places.get_mut(id as usize)?.as_mut()?.list;
        self.entries -= list.len();
        self.heap_bytes -= list.heap_bytes();
        let result = change(list);
        self.entries += list.len();
        self.heap_bytes += list.heap_bytes();
        if list.is_empty() {
            self.vacate(id);
        }
        Some(result)
    }

    fn vacate(&mut self, id: PlaceId) {
        let Some(place) = self.places.get_mut(id as usize).and_then(Option::take) else {
            return;
        };
        self.heap_bytes -= place.address.len() + place.list.heap_bytes();
        self.vacant.push(id);
        let hash = self.hash(place.tenant, &place.address);
        if let Ok(indexed) = self.index.find_entry(spread(hash), |indexed| indexed.id == id) {
            indexed.remove();
        }
    }
}

/// A table selects the bucket by the low bits of a hash and the tag by the high bits.
const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}

#[cfg(test)]
mod tests {
    use super::Directory;

    #[test]
    fn addresses_of_the_same_hash_stay_apart() {
        let mut directory = Directory::default();
        let places = [("t", "user:ada"), ("t", "user:eve"), ("u", "user:ada")]
            .map(|(tenant, address)| directory.intern(tenant, address).unwrap());
        let (t, u) = (directory.tenant("t").unwrap(), directory.tenant("u").unwrap());
        let hash = directory.hash(t, "user:ada");
        assert_eq!(directory.find_hashed(t, "user:ada", hash), Some(places[0]));
        assert_eq!(directory.find_hashed(t, "user:eve", hash), None);
        assert_eq!(directory.find_hashed(u, "user:ada", hash), None);
    }
}
