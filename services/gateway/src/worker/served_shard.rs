//! A shard that a worker serves: from an address to the connections that may receive its envelopes. Pure.
//!
//! This lookup is all of authorization on the live path. Connections with the same filter are kept together, so a filter is
//! evaluated once per envelope and not per connection.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tidings_model::{Address, Envelope, Tenant};
use tidings_protocol::Filter;

use super::shard_progress::ShardProgress;

/// Identifies a connection within its worker; ascends with each new one.
pub(super) type ConnectionId = u64;

/// A shard whose tenants the worker serves, with connections of the type `C`.
pub(super) struct ServedShard<C> {
    progress: Rc<ShardProgress>,
    routes: RefCell<RoutingTable<C>>,
    /// Addresses at which the last connection has ended; they are given up at the next tick, so that a connection that is
    /// about to come back there changes nothing.
    vacated: RefCell<Vec<(Tenant, Address)>>,
}

impl<C> ServedShard<C> {
    pub(super) fn new(progress: ShardProgress) -> Self {
        Self { progress: Rc::new(progress), routes: RefCell::default(), vacated: RefCell::default() }
    }

    /// How far the worker has come in the shard.
    pub(super) fn progress(&self) -> &Rc<ShardProgress> {
        &self.progress
    }

    /// Delivers to the connection what comes to the address and passes the filter.
    pub(super) fn open(
        &self,
        tenant: &Tenant,
        (address, filter): (&Address, &Filter),
        (id, connection): (ConnectionId, C),
    ) {
        if self.routes.borrow_mut().open(tenant, address, filter, id, connection) {
            self.progress.place().add(tenant, address);
        }
    }

    /// The opposite of [`ServedShard::open`].
    pub(super) fn close(&self, tenant: &Tenant, (address, filter): (&Address, &Filter), id: ConnectionId) {
        if self.routes.borrow_mut().close(tenant, address, filter, id) {
            self.vacated.borrow_mut().push((tenant.clone(), address.clone()));
        }
    }

    /// Gives up the addresses at which there is still no connection.
    pub(super) fn release_addresses(&self) {
        let routes = self.routes.borrow();
        for (tenant, address) in self.vacated.take() {
            if !routes.is_open(&tenant, &address) {
                self.progress.place().remove(&tenant, &address);
            }
        }
    }

    /// Offers an envelope to each connection that may receive it and wants it.
    pub(super) fn offer(&self, envelope: &Envelope, offer: impl FnMut(&C)) {
        self.routes.borrow().recipients(envelope).for_each(offer);
    }
}

#[derive(Debug)]
struct RoutingTable<C> {
    tenants: HashMap<Tenant, HashMap<Address, Vec<Group<C>>>>,
}

/// Members at one address that share a filter; ascending by id.
#[derive(Debug)]
struct Group<C> {
    filter: Filter,
    members: Vec<(ConnectionId, C)>,
}

impl<C> Default for RoutingTable<C> {
    fn default() -> Self {
        Self { tenants: HashMap::new() }
    }
}

impl<C> RoutingTable<C> {
    /// Delivers to the connection what comes to the address and passes the filter. `true` if it is the first there.
    fn open(
        &mut self,
        tenant: &Tenant,
        address: &Address,
        filter: &Filter,
        id: ConnectionId,
        connection: C,
    ) -> bool {
        if !self.tenants.contains_key(tenant) {
            self.tenants.insert(tenant.clone(), HashMap::new());
        }
        let Some(addresses) = self.tenants.get_mut(tenant) else { return false };
        // Most addresses are one user's: no room for others that never come.
        let groups = addresses.entry(address.clone()).or_insert_with(|| Vec::with_capacity(1));
        let is_first = groups.is_empty();
        let found = groups.binary_search_by(|group| group.filter.cmp(filter));
        let place = found.unwrap_or_else(|place| {
            groups.insert(place, Group { filter: filter.clone(), members: Vec::with_capacity(1) });
            place
        });
        if let Some(Group { members, .. }) = groups.get_mut(place)
            && let Err(place) = members.binary_search_by_key(&id, |(id, _)| *id)
        {
            members.insert(place, (id, connection));
        }
        is_first
    }

    /// The opposite of [`RoutingTable::open`]; leaves nothing behind. `true` if it was the last there.
    fn close(&mut self, tenant: &Tenant, address: &Address, filter: &Filter, id: ConnectionId) -> bool {
        let Some(addresses) = self.tenants.get_mut(tenant) else { return false };
        let Some(groups) = addresses.get_mut(address) else { return false };
        if let Ok(place) = groups.binary_search_by(|group| group.filter.cmp(filter))
            && let Some(group) = groups.get_mut(place)
        {
            if let Ok(member) = group.members.binary_search_by_key(&id, |(id, _)| *id) {
                group.members.remove(member);
            }
            if group.members.is_empty() {
                groups.remove(place);
            }
        }
        let is_last = groups.is_empty();
        if is_last {
            addresses.remove(address);
        }
        is_last
    }

    /// Whether there is a connection at the address.
    fn is_open(&self, tenant: &Tenant, address: &Address) -> bool {
        self.tenants.get(tenant).is_some_and(|addresses| addresses.contains_key(address))
    }

    /// The connections that may receive the envelope and want it.
    fn recipients<'d>(&'d self, envelope: &'d Envelope) -> impl Iterator<Item = &'d C> {
        let addresses = self.tenants.get(&envelope.subject.tenant);
        let groups = addresses.and_then(|addresses| addresses.get(&envelope.subject.address));
        let passing = groups.into_iter().flatten().filter(|group| group.filter.matches(&envelope.attributes));
        passing.flat_map(|group| group.members.iter().map(|(_, connection)| connection))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use proptest::prelude::*;
    use tidings_model::{Attributes, Class, EnvelopeSubject, Epoch, Origin, Position};

    use super::*;

    fn envelope(tenant: &str, address: &str, squad: Option<&str>) -> Envelope {
        Envelope {
            subject: EnvelopeSubject {
                tenant: Tenant::parse(tenant).unwrap(),
                class: Class::Durable,
                address: Address::parse(address).unwrap(),
                slot: "x".to_owned(),
                key: None,
            },
            event_id: "e".to_owned(),
            event_source: None,
            origin: Origin { event: Position { epoch: Epoch(1), sequence: 1 }, message: 0, part: 0 },
            attributes: squad
                .map(|squad| ("squad".to_owned(), squad.to_owned().into()))
                .into_iter()
                .collect::<Attributes>(),
            expires_at: None,
            trace_parent: None,
            body: Bytes::from_static(b"{}"),
        }
    }

    fn filter(squad: Option<&str>) -> Filter {
        squad.map(|squad| ("squad".to_owned(), BTreeSet::from([squad.to_owned()]))).into_iter().collect()
    }

    fn one_of(values: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
        prop::sample::select(values)
    }

    fn membership() -> impl Strategy<Value = (bool, &'static str, &'static str, Option<&'static str>, u64)> {
        let squad = prop::option::of(one_of(&["red", "blue"]));
        (any::<bool>(), one_of(&["a", "b"]), one_of(&["all", "user:x", "topic:t"]), squad, 0..4u64)
    }

    proptest! {
        /// The table finds what a look at every membership finds, and forgets what is shut.
        #[test]
        fn like_looking_at_everybody(changes in prop::collection::vec(membership(), 0..60)) {
            let mut routing_table = RoutingTable::default();
            let mut members = BTreeSet::new();
            for (open, tenant, address, squad, id) in changes {
                let (name, at) = (Tenant::parse(tenant).unwrap(), Address::parse(address).unwrap());
                if open {
                    routing_table.open(&name, &at, &filter(squad), id, id);
                    members.insert((tenant, address, squad, id));
                } else {
                    routing_table.close(&name, &at, &filter(squad), id);
                    members.remove(&(tenant, address, squad, id));
                }
            }
            for tenant in ["a", "b"] {
                for address in ["all", "user:x", "topic:t"] {
                    for squad in [None, Some("red"), Some("blue")] {
                        let envelope = envelope(tenant, address, squad);
                        let mut found: Vec<u64> = routing_table.recipients(&envelope).copied().collect();
                        found.sort_unstable();
                        let passes = |wanted: Option<&str>| wanted.is_none() || squad.is_none() || wanted == squad;
                        let mut expected: Vec<u64> = members.iter()
                            .filter(|(t, a, wanted, _)| *t == tenant && *a == address && passes(*wanted))
                            .map(|(.., id)| *id)
                            .collect();
                        expected.sort_unstable();
                        prop_assert_eq!(found, expected);
                    }
                }
            }
            let left: usize = routing_table.tenants.values().flat_map(HashMap::values).flatten()
                .map(|group| group.members.len()).sum();
            prop_assert_eq!(left, members.len());
            let empty = routing_table.tenants.values().flat_map(HashMap::values).any(Vec::is_empty);
            prop_assert!(!empty);
        }
    }
}
