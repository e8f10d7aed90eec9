//! The tenants of this shard and their generations.
//!
//! A tenant switches at its notice. From the notice's place in the queue on, the tenant's events are projected for
//! the new place; once it is sent, envelopes are written there; once it is stored, the bucket is updated. A projector
//! that opens or recovers reads the stream first and the bucket second, so two projectors never assume different
//! places at one point.
//!
//! Where a record in the bucket cannot be read, the last known one counts: no change can be requested or finished
//! meanwhile. A projector that starts has no such record; it rejects that tenant's events and serves the other
//! tenants.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;
use tidings_model::{Place, Placement, Rebuild, ShardNumber, Tenant};
use tidings_streams::{AllPlacements, PlacementError, Placements, Retry, Topology, last_notice};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// All placements in the bucket.
pub(crate) type All = Arc<AllPlacements>;

/// Watches the bucket and sends all placements whenever they change, as long as the handle lives.
pub(crate) fn watch_placements(placements: Placements) -> (watch::Receiver<All>, AbortOnDropHandle<()>) {
    let (sender, receiver) = watch::channel(All::default());
    let watching = async move {
        let mut watch = placements.watch();
        let mut known = None;
        loop {
            let (epoch, all) = watch.next().await;
            let mut all = all.clone();
            if known.replace(epoch).is_some_and(|known| known != epoch) {
                let before = All::clone(&sender.borrow());
                let mut retry = Retry::to("restore placements");
                while retry.done(restore(&placements, &before, &mut all).await).await.is_none() {}
            }
            sender.send_replace(all.into());
        }
    };
    (receiver, AbortOnDropHandle::new(tokio::spawn(watching)))
}

/// Writes the placements that the bucket lost when it was created again.
async fn restore(
    placements: &Placements,
    known: &AllPlacements,
    all: &mut AllPlacements,
) -> Result<(), PlacementError> {
    for (tenant, placement) in &known.placements {
        if !all.placements.contains_key(tenant) && !all.unreadable.contains(tenant) {
            placements.restore(tenant, placement).await?;
            all.placements.insert(tenant.clone(), placement.clone());
        }
    }
    Ok(())
}

pub(crate) struct ShardPlacements {
    topology: Topology,
    /// The configured shards of tenants without a record; others are in shard 0.
    configured: BTreeMap<Tenant, ShardNumber>,
    known: HashMap<Tenant, Resident>,
    /// Tenants whose place is unknown, because their record cannot be read.
    lost: HashSet<Tenant>,
    /// Whether a tenant has left, or a rebuild is requested.
    has_work: bool,
}

struct Resident {
    placement: Placement,
    /// The place in the newest notice of this shard's stream.
    notice: Option<Place>,
    /// A notice that is queued or sent and not yet stored.
    coming: Option<Coming>,
}

#[derive(Clone, Copy)]
struct Coming {
    place: Place,
    is_sent: bool,
}

impl Resident {
    fn new(placement: Placement) -> Self {
        Self { placement, notice: None, coming: None }
    }

    /// The place of events that are read now.
    fn place_in_line(&self) -> Place {
        self.coming.map_or(self.placement.current.place, |coming| coming.place)
    }

    /// The place of envelopes that are sent now.
    fn place_as_sent(&self) -> Place {
        self.coming
            .filter(|coming| coming.is_sent)
            .map_or(self.placement.current.place, |coming| coming.place)
    }

    /// The generations in a shard that are or were current, newest first.
    fn stays(&self, shard: ShardNumber) -> impl Iterator<Item = u32> {
        let former = self.placement.former.iter().rev().map(|stay| stay.place);
        let all = [self.placement.current.place].into_iter().chain(former);
        all.filter(move |place| place.shard == shard).map(|place| place.generation)
    }

    /// Whether the stream has a newer place than the bucket.
    fn is_ahead(&self, shard: ShardNumber) -> bool {
        let current = self.placement.current.place;
        self.notice.is_some_and(|notice| notice.shard == shard && notice.generation > current.generation)
    }
}

impl ShardPlacements {
    pub(crate) fn new(topology: &Topology, configured: BTreeMap<Tenant, ShardNumber>) -> Self {
        Self {
            topology: topology.clone(),
            configured,
            known: HashMap::new(),
            lost: HashSet::new(),
            has_work: false,
        }
    }

    /// Reads stream and bucket for these tenants and for all with a record.
    pub(crate) async fn learn(
        &mut self,
        tenants: impl Iterator<Item = &Tenant>,
    ) -> Result<(), PlacementError> {
        let AllPlacements { mut placements, mut unreadable } = self.topology.placements().all().await?;
        unreadable.retain(|tenant| match self.known.get(tenant) {
            Some(known) => placements.insert(tenant.clone(), known.placement.clone()).is_some(),
            None => true,
        });
        for tenant in tenants.filter(|tenant| !unreadable.contains(*tenant)) {
            let first = || self.first(tenant);
            placements.entry(tenant.clone()).or_insert_with(first);
        }
        let learning = placements.into_iter().map(async |(tenant, placement)| {
            let mut resident = Resident::new(placement);
            let settled = self.settle(&tenant, &mut resident).await;
            (tenant, resident, settled)
        });
        let (mut known, mut lost) = (HashMap::new(), HashSet::from_iter(unreadable));
        for (tenant, resident, settled) in join_all(learning).await {
            match settled {
                Ok(()) => _ = known.insert(tenant, resident),
                // The stream has a newer place than the last known record, and the record cannot be read.
                Err(PlacementError::Damaged { .. }) => _ = lost.insert(tenant),
                Err(error) => return Err(error),
            }
        }
        (self.known, self.lost) = (known, lost);
        self.reckon();
        Ok(())
    }

    fn first(&self, tenant: &Tenant) -> Placement {
        Placement::first(self.configured_shard(tenant.as_str()))
    }

    /// Whether the place of this tenant's envelopes is unknown.
    pub(crate) fn is_lost(&self, tenant: &str) -> bool {
        !self.lost.is_empty() && self.lost.iter().any(|lost| lost.as_str() == tenant)
    }

    /// Applies the placements of the bucket, unless the stream has newer ones.
    pub(crate) async fn update(&mut self, all: &AllPlacements) -> Result<(), PlacementError> {
        let found = self.take_found(all);
        let mut known = std::mem::take(&mut self.known);
        for tenant in &found {
            known.insert(tenant.clone(), Resident::new(self.first(tenant)));
        }
        for (tenant, placement) in &all.placements {
            let first = || Resident::new(placement.clone());
            let resident = known.entry(tenant.clone()).or_insert_with(first);
            if placement.current.place.generation >= resident.placement.current.place.generation {
                resident.placement = placement.clone();
                let current = placement.current.place.generation;
                resident.coming = resident.coming.filter(|coming| coming.place.generation > current);
            }
        }
        let unsettled = known.iter_mut().filter(|(tenant, resident)| {
            let has_left = self.owes_notice(resident).is_some();
            has_left || resident.is_ahead(self.topology.shard()) || found.contains(*tenant)
        });
        let settled = join_all(unsettled.map(|(tenant, resident)| self.settle(tenant, resident))).await;
        self.known = known;
        self.reckon();
        // An unreadable record was logged when it was read.
        let failed = settled.into_iter().filter_map(Result::err);
        failed
            .filter(|error| !matches!(error, PlacementError::Damaged { .. }))
            .map(Err)
            .next()
            .unwrap_or(Ok(()))
    }

    /// Removes from the lost tenants those whose record is readable again, or gone. A tenant whose place is known
    /// does not become lost.
    fn take_found(&mut self, all: &AllPlacements) -> HashSet<Tenant> {
        let mut lost = std::mem::take(&mut self.lost);
        let found = lost.extract_if(|tenant| !all.unreadable.contains(tenant)).collect();
        lost.extend(all.unreadable.iter().filter(|tenant| !self.known.contains_key(*tenant)).cloned());
        self.lost = lost;
        found
    }

    /// Reads the newest notice; if it is ahead of the bucket, updates the bucket.
    async fn settle(&self, tenant: &Tenant, resident: &mut Resident) -> Result<(), PlacementError> {
        let notice = last_notice(&self.topology, tenant).await?;
        resident.notice = notice.map(|(place, _)| place);
        if let Some((place, since)) = notice.filter(|_| resident.is_ahead(self.topology.shard())) {
            let first = self.configured_shard(tenant.as_str());
            let switch = |placement: &mut Placement| placement.switch(place, since);
            resident.placement = self.topology.placements().change(tenant, first, switch).await?;
            resident.coming = None;
            tracing::info!(%tenant, %place, "the tenant has switched to its new place");
        }
        Ok(())
    }

    fn configured_shard(&self, tenant: &str) -> ShardNumber {
        self.configured.get(tenant).copied().unwrap_or_default()
    }

    /// Whether events of this tenant that are read now belong to this shard.
    pub(crate) fn is_here(&self, tenant: &str) -> bool {
        let known = self.known.get(tenant).map(|resident| resident.place_in_line().shard);
        !self.is_lost(tenant)
            && known.unwrap_or_else(|| self.configured_shard(tenant)) == self.topology.shard()
    }

    /// The generation of a tenant's envelopes that are sent now.
    pub(crate) fn generation(&self, tenant: &Tenant) -> u32 {
        let Some(resident) = self.known.get(tenant) else { return 0 };
        let (own, place) = (self.topology.shard(), resident.place_as_sent());
        if place.shard == own { place.generation } else { resident.stays(own).next().unwrap_or_default() }
    }

    /// The generations of a tenant's envelopes that were written live: the current one, and the one before.
    pub(crate) fn live_generations(&self, tenant: &Tenant) -> Vec<u32> {
        let stays = |resident: &Resident| resident.stays(self.topology.shard()).take(2).collect();
        self.known.get(tenant).map_or_else(|| vec![0], stays)
    }

    /// The oldest rebuild that is requested for this shard.
    pub(crate) fn rebuild(&self) -> Option<(&Tenant, &Placement, &Rebuild)> {
        let requests = self.known.iter().filter_map(|(tenant, resident)| {
            let next = resident.placement.next.as_ref()?;
            let said = resident.notice.into_iter().chain(resident.coming.map(|coming| coming.place));
            let is_said = said.map(|place| place.generation).max() >= Some(next.place.generation);
            let is_here = next.place.shard == self.topology.shard();
            (is_here && !is_said).then_some((tenant, &resident.placement, next))
        });
        requests.min_by_key(|(tenant, _, rebuild)| (rebuild.requested_at, *tenant))
    }

    /// Whether this rebuild is still requested.
    pub(crate) fn wants(&self, tenant: &Tenant, wanted: &Rebuild) -> bool {
        let next = self.known.get(tenant).and_then(|resident| resident.placement.next.as_ref());
        next.is_some_and(|next| is_same(next, wanted))
    }

    /// Whether a place is, was, or will be a tenant's current one, according to stream and bucket.
    pub(crate) async fn is_in_use(&mut self, tenant: &Tenant, place: Place) -> Result<bool, PlacementError> {
        if let Some(mut resident) = self.known.remove(tenant) {
            let settled = self.settle(tenant, &mut resident).await;
            self.known.insert(tenant.clone(), resident);
            settled?;
        }
        let placement = self.topology.placements().load(tenant).await?;
        Ok(placement.places().any(|used| used == place))
    }

    /// Whether the stream has a newer place than the bucket for any tenant.
    pub(crate) fn is_ahead(&self) -> bool {
        self.known.values().any(|resident| resident.is_ahead(self.topology.shard()))
    }

    /// A tenant that has left and whose new place is not yet announced in this shard's stream.
    pub(crate) fn has_left(&self) -> Option<(Tenant, Place)> {
        let mut left = self.known.iter();
        left.find_map(|(tenant, resident)| Some((tenant.clone(), self.owes_notice(resident)?)))
    }

    fn owes_notice(&self, resident: &Resident) -> Option<Place> {
        let (own, place) = (self.topology.shard(), resident.placement.current.place);
        let is_said = |said: Option<Place>| said.is_some_and(|said| said.generation >= place.generation);
        let was_here = place.shard != own && resident.stays(own).next().is_some();
        let is_coming = is_said(resident.coming.map(|coming| coming.place));
        (was_here && !is_said(resident.notice) && !is_coming).then_some(place)
    }

    /// Notes that a notice was queued: events read from now on belong to that place.
    pub(crate) fn put_in_line(&mut self, tenant: &Tenant, place: Place) {
        self.come(tenant, place, false);
    }

    /// Notes that a notice was sent: envelopes sent from now on belong to that place.
    pub(crate) fn sent(&mut self, tenant: &Tenant, place: Place) {
        self.come(tenant, place, true);
    }

    fn come(&mut self, tenant: &Tenant, place: Place, is_sent: bool) {
        if let Some(resident) = self.known.get_mut(tenant) {
            resident.coming = Some(Coming { place, is_sent });
        }
        self.reckon();
    }

    /// Notes that a notice was stored, and updates the bucket.
    pub(crate) async fn stored(&mut self, tenant: &Tenant, place: Place) -> Result<(), PlacementError> {
        let Some(mut resident) = self.known.remove(tenant) else { return Ok(()) };
        resident.notice = Some(place);
        let settled = self.settle(tenant, &mut resident).await;
        self.known.insert(tenant.clone(), resident);
        self.reckon();
        settled
    }

    /// Whether a tenant has left, or a rebuild is requested; asked before every event.
    pub(crate) fn has_work(&self) -> bool {
        self.has_work
    }

    fn reckon(&mut self) {
        self.has_work = self.rebuild().is_some() || self.has_left().is_some();
    }
}

/// Whether two requests are the same one, regardless of progress.
pub(crate) fn is_same(one: &Rebuild, other: &Rebuild) -> bool {
    (one.place, one.requested_at, one.since) == (other.place, other.requested_at, other.since)
}
