//! Who lives in this shard, and in which generation.
//!
//! A tenant changes over at its notice. From where that stands in line, its events are taken for the new place; from
//! where it is sent, its envelopes are written there; and when it is stored, the bucket follows. Whoever opens or
//! recovers asks the stream first and the bucket second, so that at no point two projectors could mean different places.
//!
//! Where the bucket holds something that cannot be read, what was known before counts: nobody can request or finish a
//! change meanwhile. A projector that starts knows nothing; it keeps the tenant's events as rejected and serves the others.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tidings_model::{Place, Placement, Position, Rebuild, ShardNumber, Tenant};
use tidings_streams::{AllPlacements, PlacementError, Placements, Topology, last_notice};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

/// How often the bucket is looked at.
const POLL: Duration = Duration::from_secs(1);

/// Where tenants' envelopes are, as the bucket says.
pub(crate) type All = Arc<AllPlacements>;

/// What the bucket says, whenever that changes; for as long as the handle is kept.
pub(crate) fn watch_placements(placements: Placements) -> (watch::Receiver<All>, AbortOnDropHandle<()>) {
    let (sender, receiver) = watch::channel(All::default());
    let watching = async move {
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = None;
        loop {
            poll.tick().await;
            let read = async {
                let revision = placements.revision().await?;
                if known != Some(revision) {
                    let mut all = placements.all().await?;
                    if known.is_some_and(|known: Position| known.epoch != revision.epoch) {
                        let before = All::clone(&sender.borrow());
                        restore(&placements, &before, &mut all).await?;
                    }
                    sender.send_replace(all.into());
                    known = Some(revision);
                }
                Ok::<_, PlacementError>(())
            };
            // That NATS is away is said once for all that need it.
            if let Err(error) = read.await {
                tracing::debug!(error = &error as &dyn std::error::Error, "looking again later");
            }
        }
    };
    (receiver, AbortOnDropHandle::new(tokio::spawn(watching)))
}

/// Writes what the bucket has lost when it was created again.
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
    /// Where tenants are who were never placed; in the first shard, if nothing is said.
    configured: BTreeMap<Tenant, ShardNumber>,
    known: HashMap<Tenant, Resident>,
    /// Tenants whose place is not known, as their record cannot be read.
    lost: HashSet<Tenant>,
    /// Whether somebody has left, or is to be made anew.
    has_work: bool,
}

struct Resident {
    placement: Placement,
    /// What the newest notice in this shard's stream says.
    notice: Option<Place>,
    /// A notice that is about to become it.
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

    /// Where its events belong that are read now.
    fn place_in_line(&self) -> Place {
        self.coming.map_or(self.placement.current.place, |coming| coming.place)
    }

    /// Where its envelopes belong that are sent now.
    fn place_as_sent(&self) -> Place {
        self.coming
            .filter(|coming| coming.is_sent)
            .map_or(self.placement.current.place, |coming| coming.place)
    }

    /// The generations in a shard that were current, newest first.
    fn stays(&self, shard: ShardNumber) -> impl Iterator<Item = u32> {
        let former = self.placement.former.iter().rev().map(|stay| stay.place);
        let all = [self.placement.current.place].into_iter().chain(former);
        all.filter(move |place| place.shard == shard).map(|place| place.generation)
    }

    /// What the stream says, the bucket does not yet.
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

    /// Asks stream and bucket, about these tenants and all that were ever placed.
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
                // The stream has said more than what was known, and nobody can be asked what became of it.
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

    /// Whether it is not known where the envelopes of this tenant belong.
    pub(crate) fn is_lost(&self, tenant: &str) -> bool {
        !self.lost.is_empty() && self.lost.iter().any(|lost| lost.as_str() == tenant)
    }

    /// Takes over what the bucket says now, unless the stream has said more.
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
        // That a record cannot be read was logged when it was read.
        let failed = settled.into_iter().filter_map(Result::err);
        failed
            .filter(|error| !matches!(error, PlacementError::Damaged { .. }))
            .map(Err)
            .next()
            .unwrap_or(Ok(()))
    }

    /// Takes those out of the lost whose record can be read now, or is gone; nobody whose place is known gets lost.
    fn take_found(&mut self, all: &AllPlacements) -> HashSet<Tenant> {
        let mut lost = std::mem::take(&mut self.lost);
        let found = lost.extract_if(|tenant| !all.unreadable.contains(tenant)).collect();
        lost.extend(all.unreadable.iter().filter(|tenant| !self.known.contains_key(*tenant)).cloned());
        self.lost = lost;
        found
    }

    /// Reads the newest notice; if it is ahead of the bucket, the bucket follows.
    async fn settle(&self, tenant: &Tenant, resident: &mut Resident) -> Result<(), PlacementError> {
        let notice = last_notice(&self.topology, tenant).await?;
        resident.notice = notice.map(|(place, _)| place);
        if let Some((place, since)) = notice.filter(|_| resident.is_ahead(self.topology.shard())) {
            let first = self.configured_shard(tenant.as_str());
            let switch = |placement: &mut Placement| placement.switch(place, since);
            resident.placement = self.topology.placements().change(tenant, first, switch).await?;
            resident.coming = None;
            tracing::info!(%tenant, %place, "the tenant's envelopes are in their new place");
        }
        Ok(())
    }

    fn configured_shard(&self, tenant: &str) -> ShardNumber {
        self.configured.get(tenant).copied().unwrap_or_default()
    }

    /// Whether events of this tenant that are read now are for this shard.
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

    /// The generations of a tenant's envelopes that were written as it happened: the current one, and the one before.
    pub(crate) fn live_generations(&self, tenant: &Tenant) -> Vec<u32> {
        let stays = |resident: &Resident| resident.stays(self.topology.shard()).take(2).collect();
        self.known.get(tenant).map_or_else(|| vec![0], stays)
    }

    /// What is to be made in this shard first of all.
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

    /// Whether this is still to be made.
    pub(crate) fn wants(&self, tenant: &Tenant, wanted: &Rebuild) -> bool {
        let next = self.known.get(tenant).and_then(|resident| resident.placement.next.as_ref());
        next.is_some_and(|next| is_same(next, wanted))
    }

    /// Whether a place is, was, or is to become a tenant's current one, as stream and bucket say now.
    pub(crate) async fn is_in_use(&mut self, tenant: &Tenant, place: Place) -> Result<bool, PlacementError> {
        if let Some(mut resident) = self.known.remove(tenant) {
            let settled = self.settle(tenant, &mut resident).await;
            self.known.insert(tenant.clone(), resident);
            settled?;
        }
        let placement = self.topology.placements().load(tenant).await?;
        Ok(placement.places().any(|used| used == place))
    }

    /// Whether the bucket does not say yet what the stream says.
    pub(crate) fn is_ahead(&self) -> bool {
        self.known.values().any(|resident| resident.is_ahead(self.topology.shard()))
    }

    /// Somebody who has left, and whose new place this shard's stream does not say yet.
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

    /// A notice stands in line: what is read from now on belongs to that place.
    pub(crate) fn put_in_line(&mut self, tenant: &Tenant, place: Place) {
        self.come(tenant, place, false);
    }

    /// A notice was sent: what is sent from now on belongs to that place.
    pub(crate) fn sent(&mut self, tenant: &Tenant, place: Place) {
        self.come(tenant, place, true);
    }

    fn come(&mut self, tenant: &Tenant, place: Place, is_sent: bool) {
        if let Some(resident) = self.known.get_mut(tenant) {
            resident.coming = Some(Coming { place, is_sent });
        }
        self.reckon();
    }

    /// A notice was stored; the bucket is to follow.
    pub(crate) async fn stored(&mut self, tenant: &Tenant, place: Place) -> Result<(), PlacementError> {
        let Some(mut resident) = self.known.remove(tenant) else { return Ok(()) };
        resident.notice = Some(place);
        let settled = self.settle(tenant, &mut resident).await;
        self.known.insert(tenant.clone(), resident);
        self.reckon();
        settled
    }

    /// Whether somebody has left, or is to be made anew; asked before every event.
    pub(crate) fn has_work(&self) -> bool {
        self.has_work
    }

    fn reckon(&mut self) {
        self.has_work = self.rebuild().is_some() || self.has_left().is_some();
    }
}

/// Whether two requests are the same one, however far it is.
pub(crate) fn is_same(one: &Rebuild, other: &Rebuild) -> bool {
    (one.place, one.requested_at, one.since) == (other.place, other.requested_at, other.since)
}
