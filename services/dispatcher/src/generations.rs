//! Tells envelopes that are new from those that a rebuild has written again. Pure.
//!
//! A rebuild, or a move into this shard, writes envelopes of earlier events once more, before the notice that makes their
//! generation current. Those were dispatched when they were new. So an envelope counts if its generation is the tenant's
//! first one, or if the notice of its generation lies before it.

use std::collections::{BTreeMap, HashMap};

use tidings_model::{Epoch, Place, Placement, ShardNumber, Tenant};
use tidings_streams::StoredEnvelope;

/// The generations of tenants in a shard.
pub(crate) struct Generations {
    shard: ShardNumber,
    /// The epoch of the shard's stream.
    epoch: Epoch,
    /// For each tenant, the sequences after which the envelopes of its generations count; `None` for a tenant whose record
    /// cannot be read.
    known: HashMap<Tenant, Option<BTreeMap<u32, u64>>>,
    /// The notices that were read: the bucket is brought up to date after them.
    notices: HashMap<Tenant, BTreeMap<u32, u64>>,
}

impl Generations {
    pub(crate) fn new(shard: ShardNumber, epoch: Epoch) -> Self {
        Self { shard, epoch, known: HashMap::new(), notices: HashMap::new() }
    }

    pub(crate) fn knows(&self, tenant: &Tenant) -> bool {
        self.known.contains_key(tenant)
    }

    /// Learns a tenant's placement; `None` if its record cannot be read.
    pub(crate) fn learn(&mut self, tenant: &Tenant, placement: Option<&Placement>) {
        let since = placement.map(|placement| {
            let stays = placement.stays().filter(|stay| stay.place.shard == self.shard);
            let since = stays.map(|stay| {
                // A notice of another life of the stream lies before all of this one.
                let here = stay.since.filter(|since| since.epoch == stay.place.epoch(self.epoch));
                (stay.place.generation, here.map_or(0, |since| since.sequence))
            });
            since.collect()
        });
        self.known.insert(tenant.clone(), since);
    }

    /// Notes a notice in the stream: the tenant's envelopes are in this place from there on.
    pub(crate) fn placed(&mut self, tenant: &Tenant, place: Place, sequence: u64) {
        if place.shard == self.shard {
            let notices = self.notices.entry(tenant.clone()).or_default();
            notices.entry(place.generation).or_insert(sequence);
        }
    }

    /// Whether an envelope is new. What cannot be told of a tenant's record its headers tell, as far as they do.
    pub(crate) fn is_new(&self, stored: &StoredEnvelope) -> bool {
        let tenant = &stored.envelope.subject.tenant;
        match self.known.get(tenant) {
            Some(Some(since)) => {
                let noticed = || self.notices.get(tenant)?.get(&stored.generation);
                let since = since.get(&stored.generation).or_else(noticed);
                since.is_some_and(|since| stored.sequence > *since)
            }
            Some(None) | None => !stored.is_late,
        }
    }
}

#[cfg(test)]
mod tests {
    use tidings_model::{Attributes, Envelope, EnvelopeSubject, Position};
    use time::OffsetDateTime;

    use super::*;

    fn envelope(generation: u32, sequence: u64, is_late: bool) -> StoredEnvelope {
        let (subject, _) = EnvelopeSubject::parse("envelopes.ops.durable.all.-.note.-").unwrap();
        let envelope = Envelope {
            subject,
            event_id: "e".to_owned(),
            event_source: None,
            origin: "1-1/0/0".parse().unwrap(),
            attributes: Attributes::new(),
            expires_at: None,
            trace_parent: None,
            body: (&b"{}"[..]).into(),
        };
        StoredEnvelope { sequence, stored_at: OffsetDateTime::UNIX_EPOCH, generation, is_late, envelope }
    }

    #[test]
    fn what_a_rebuild_writes_again_is_not_new() {
        let (tenant, stream) = (Tenant::parse("ops").unwrap(), Epoch(1_000));
        let shard = ShardNumber(0);
        let mut placement = Placement::first(shard);
        let mut generations = Generations::new(shard, stream);
        generations.learn(&tenant, Some(&placement));
        assert!(generations.is_new(&envelope(0, 5, false)));
        assert!(!generations.is_new(&envelope(1, 6, true)), "before the notice");
        generations.placed(&tenant, Place { shard, generation: 1 }, 10);
        assert!(!generations.is_new(&envelope(1, 9, true)));
        assert!(generations.is_new(&envelope(1, 11, false)));
        assert!(generations.is_new(&envelope(0, 9, false)));

        assert!(placement.request(shard, None, 0));
        placement.switch(Place { shard, generation: 1 }, Position { epoch: Epoch(1_001), sequence: 10 });
        let mut later = Generations::new(shard, stream);
        assert!(!later.knows(&tenant));
        later.learn(&tenant, Some(&placement));
        for (generation, sequence, is_new) in [(0, 5, true), (1, 9, false), (1, 11, true), (2, 12, false)] {
            assert_eq!(
                later.is_new(&envelope(generation, sequence, true)),
                is_new,
                "{generation} {sequence}"
            );
        }
        // The notice was read before the tenant was asked for, and the bucket lags behind it.
        let mut early = Generations::new(shard, stream);
        early.placed(&tenant, Place { shard, generation: 1 }, 10);
        early.learn(&tenant, Some(&Placement::first(shard)));
        assert!(early.is_new(&envelope(1, 11, false)) && !early.is_new(&envelope(1, 9, true)));

        let mut recreated = Generations::new(shard, Epoch(5_000));
        recreated.learn(&tenant, Some(&placement));
        assert!(recreated.is_new(&envelope(1, 1, false)));
        recreated.learn(&tenant, None);
        assert!(recreated.is_new(&envelope(7, 1, false)) && !recreated.is_new(&envelope(7, 1, true)));
    }
}
