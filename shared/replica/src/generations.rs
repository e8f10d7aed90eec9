//! Which generation of a tenant's envelopes was current, from which sequence of the stream on. Pure.
//!
//! A rebuild writes a new generation beside the live one; the notice behind it makes it the current one. A connection that
//! is open then has received everything before the notice in the old generation and receives what follows in the new one.
//! Only the meaning of its sequences changes: up to the notice they belong to the generation in which it began, behind it
//! to the new one.

use std::collections::HashMap;

use tidings_model::{Epoch, Place, PlacedPosition, Position, Tenant};

/// The generations of one stream.
#[derive(Debug, Clone, Default)]
pub struct Generations {
    tenants: HashMap<Tenant, Stays>,
    /// Whether tenants without an entry are in this shard.
    holds_others: bool,
}

/// What is known of one tenant.
#[derive(Debug, Clone, Default)]
struct Stays {
    /// Ascending.
    began: Vec<Began>,
    /// Its envelopes are in another shard now. Connections that are still here receive what comes in the last generation that
    /// was here, so that nothing is missed: a projector that does not know yet of the move continues to write there.
    has_left: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Began {
    generation: u32,
    /// The sequence of the notice.
    since: u64,
    /// Whether the tenant was in another shard before. What was new there lies before the notice, so connections that have
    /// been here since before have not received it.
    is_return: bool,
}

impl Generations {
    /// None known yet.
    #[must_use]
    pub fn new(holds_others: bool) -> Self {
        Self { holds_others, ..Self::default() }
    }

    /// The generation that new connections receive; `None` of a tenant whose envelopes are in another shard.
    #[must_use]
    pub fn current(&self, tenant: &Tenant) -> Option<u32> {
        match self.tenants.get(tenant) {
            Some(stays) if stays.has_left => None,
            Some(stays) => stays.began.last().map(|began| began.generation),
            None => self.holds_others.then_some(0),
        }
    }

    /// Whether connections that are here receive envelopes of this generation.
    pub(crate) fn delivers(&self, tenant: &Tenant, generation: u32) -> bool {
        match self.tenants.get(tenant) {
            Some(stays) => stays.began.last().is_some_and(|began| began.generation == generation),
            None => self.holds_others && generation == 0,
        }
    }

    /// Whether this generation begins further on than what is known. Its first envelopes lie before its notice and are given
    /// to no connection as they come, so a connection that begins in it is not live before that.
    #[must_use]
    pub fn is_to_come(&self, tenant: &Tenant, generation: u32) -> bool {
        match self.tenants.get(tenant) {
            Some(stays) => stays.began.last().is_none_or(|began| began.generation < generation),
            None => generation > 0 || !self.holds_others,
        }
    }

    /// A generation is the current one from this sequence on.
    pub fn begin(&mut self, tenant: &Tenant, generation: u32, since: u64) {
        let stays = self.stays(tenant);
        if stays.began.last().is_none_or(|last| last.generation < generation) {
            let is_return = std::mem::take(&mut stays.has_left);
            stays.began.push(Began { generation, since, is_return });
        }
    }

    /// The tenant's envelopes are in another shard from now on, in this generation. Stream and bucket both say so, and one of
    /// them may be late: a tenant that is back already does not leave because of it. No tenant comes back in generation 0.
    pub fn leave(&mut self, tenant: &Tenant, generation: u32) {
        let stays = self.stays(tenant);
        let is_back =
            stays.began.last().is_some_and(|last| last.generation > 0 && last.generation >= generation);
        stays.has_left |= !is_back;
    }

    /// Whether the tenant was in another shard and came back since this generation. A connection that began in it has not
    /// received what was new there, so what it would receive here now lies behind a hole.
    #[must_use]
    pub fn has_come_back(&self, tenant: &Tenant, first: u32) -> bool {
        let mut began = self.tenants.get(tenant).into_iter().flat_map(|stays| &stays.began);
        began.any(|began| began.generation > first && began.is_return)
    }

    fn stays(&mut self, tenant: &Tenant) -> &mut Stays {
        let first = self.holds_others.then_some(Began { generation: 0, since: 0, is_return: false });
        let stays = || Stays { began: first.into_iter().collect(), has_left: false };
        self.tenants.entry(tenant.clone()).or_insert_with(stays)
    }

    /// The stream was recreated: what was current still is, from its beginning on.
    pub fn renew(&mut self) {
        for Stays { began, .. } in self.tenants.values_mut() {
            began.drain(..began.len().saturating_sub(1));
            if let Some(current) = began.first_mut() {
                current.since = 0;
            }
        }
    }

    /// The generation of a sequence for a connection that began in `first`, and up to which sequence that is so. A connection
    /// that was here when the tenant left stays in the generation that it left, whatever comes behind.
    #[must_use]
    pub fn at(&self, tenant: &Tenant, first: u32, sequence: u64) -> (u32, u64) {
        let mut found = (first, u64::MAX);
        let stays = self.tenants.get(tenant).map(|stays| &stays.began);
        for began in stays.into_iter().flatten().filter(|began| began.generation > first) {
            if began.since > sequence || began.is_return {
                found.1 = began.since;
                break;
            }
            found.0 = began.generation;
        }
        found
    }

    /// The same as a position, in a stream that was made at `stream`.
    #[must_use]
    pub fn position(&self, tenant: &Tenant, first: u32, stream: Epoch, sequence: u64) -> PlacedPosition {
        let (generation, _) = self.at(tenant, first, sequence);
        let epoch = Place { generation, ..Place::default() }.epoch(stream);
        PlacedPosition { generation, position: Position { epoch, sequence } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant::parse(name).unwrap()
    }

    #[test]
    fn sequences_belong_to_the_generation_that_was_delivered() {
        let ops = tenant("ops");
        let mut generations = Generations::new(true);
        assert_eq!(generations.current(&ops), Some(0));
        assert_eq!(generations.at(&ops, 0, 5), (0, u64::MAX));
        generations.begin(&ops, 1, 50);
        generations.begin(&ops, 1, 50);
        generations.begin(&ops, 3, 90);
        assert_eq!(generations.current(&ops), Some(3));
        assert_eq!(generations.current(&tenant("cnc")), Some(0));
        for (first, sequence, expected) in [
            (0, 49, (0, 50)),
            (0, 50, (1, 90)),
            (0, 90, (3, u64::MAX)),
            (1, 7, (1, 90)),
            (1, 95, (3, u64::MAX)),
            (3, 7, (3, u64::MAX)),
        ] {
            assert_eq!(generations.at(&ops, first, sequence), expected, "{first} {sequence}");
        }
        let placed = generations.position(&ops, 0, Epoch(100), 60);
        assert_eq!((placed.generation, placed.position.to_string().as_str()), (1, "65-60"));
        generations.renew();
        assert_eq!((generations.current(&ops), generations.at(&ops, 3, 1)), (Some(3), (3, u64::MAX)));
    }

    #[test]
    fn a_tenant_is_here_or_elsewhere() {
        let ops = tenant("ops");
        let mut second = Generations::new(false);
        assert_eq!(second.current(&ops), None);
        second.begin(&ops, 2, 10);
        assert_eq!(second.current(&ops), Some(2));
        second.leave(&ops, 3);
        assert_eq!(second.current(&ops), None);
        second.begin(&ops, 4, 30);
        assert_eq!(second.current(&ops), Some(4));
        second.leave(&ops, 3);
        assert_eq!(second.current(&ops), Some(4), "it is back, however late the notice of its leaving");
        assert!(second.has_come_back(&ops, 2) && !second.has_come_back(&ops, 4));
        second.begin(&ops, 5, 50);
        assert!(second.has_come_back(&ops, 2) && !second.has_come_back(&ops, 4), "rebuilt where it is");
    }

    /// A projector that does not know yet of a move continues to write: connections that are still here receive that, and
    /// their positions are in the generation that they received.
    #[test]
    fn connections_that_are_still_here_receive_what_is_still_written_here() {
        let ops = tenant("ops");
        for holds_others in [false, true] {
            let mut generations = Generations::new(holds_others);
            generations.begin(&ops, 2, 10);
            generations.begin(&ops, 3, 20);
            generations.leave(&ops, 4);
            assert_eq!(generations.current(&ops), None, "no new connection");
            assert!(generations.delivers(&ops, 3) && !generations.delivers(&ops, 2));
            assert_eq!(generations.at(&ops, 2, 25), (3, u64::MAX));
            // It comes back while they are still here.
            generations.begin(&ops, 5, 40);
            assert!(generations.delivers(&ops, 5) && !generations.delivers(&ops, 3));
            assert_eq!(generations.at(&ops, 2, 45), (3, 40), "they were not here all the time");
            assert_eq!(generations.at(&ops, 5, 45), (5, u64::MAX));
            assert_eq!(generations.current(&ops), Some(5));
        }
    }

    #[test]
    fn a_generation_is_to_come_until_its_notice() {
        let ops = tenant("ops");
        let mut first = Generations::new(true);
        assert!(!first.is_to_come(&ops, 0) && first.is_to_come(&ops, 1));
        assert!(Generations::new(false).is_to_come(&ops, 0));
        first.leave(&ops, 1);
        assert!(!first.is_to_come(&ops, 0) && first.is_to_come(&ops, 2));
        first.begin(&ops, 2, 40);
        assert!(!first.is_to_come(&ops, 2) && first.is_to_come(&ops, 3));
    }

    #[test]
    fn a_tenant_without_an_entry_is_in_the_first_shard() {
        assert!(Generations::new(true).delivers(&tenant("ops"), 0));
        assert!(!Generations::new(true).delivers(&tenant("ops"), 1));
        assert!(!Generations::new(false).delivers(&tenant("ops"), 0));
        let mut left = Generations::new(true);
        left.leave(&tenant("ops"), 1);
        assert_eq!(left.current(&tenant("ops")), None);
        assert!(left.delivers(&tenant("ops"), 0));
        let mut elsewhere = Generations::new(true);
        elsewhere.leave(&tenant("ops"), 0);
        assert_eq!(elsewhere.current(&tenant("ops")), None, "it was placed elsewhere from the beginning");
    }
}
