//! What all parts of a running gateway share.

use std::sync::Arc;
use std::time::Duration;

use tidings_access::{Rules, Verifier};
use tidings_catalog::{Catalog, Catalogs, StartPolicy};
use tidings_model::{Position, Tenant};
use tidings_runtime::config::GatewayConfig;
use tidings_streams::Topology;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::audit::Audit;
use crate::auth::disabled_users::KnownUsers;
use crate::consumers::Positions;
use crate::limits::Limits;
use crate::readiness::Readiness;
use crate::replica::resume::View;
use crate::shards::shard::Lane;

/// What all parts of a running gateway share.
pub(crate) struct Shared {
    /// The name of this gateway.
    pub(crate) name: String,
    pub(crate) settings: GatewayConfig,
    pub(crate) leeway: Duration,
    pub(crate) rules: Rules,
    /// Where an administrator's token may be: in the header alone, which no page of another site and no link can set.
    pub(crate) admin_rules: Rules,
    pub(crate) verifier: Verifier,
    pub(crate) catalogs: watch::Receiver<Arc<Catalogs>>,
    pub(crate) topology: Topology,
    pub(crate) max_event_bytes: usize,
    pub(crate) clock: fn() -> OffsetDateTime,
    /// A number from 0 to below 1.
    pub(crate) random: fn() -> f64,
    pub(crate) limits: Limits,
    pub(crate) positions: Positions,
    pub(crate) users: KnownUsers,
    pub(crate) audit: Audit,
    pub(crate) readiness: Readiness,
}

impl Shared {
    /// The catalogs as they are now.
    pub(crate) fn catalogs(&self) -> Arc<Catalogs> {
        Arc::clone(&self.catalogs.borrow())
    }

    /// Where a consumer of this tenant starts that has never been here.
    pub(crate) fn first_position(&self, tenant: &Tenant, lane: &Lane, view: View) -> Position {
        let policy = self.catalogs().get(tenant).map_or(StartPolicy::New, Catalog::start_policy);
        let sequence = match policy {
            StartPolicy::New => view.head,
            StartPolicy::All => view.floor,
            StartPolicy::Since(span) => lane.retained.before((self.clock)() - span),
        };
        Position { epoch: view.epoch, sequence }
    }
}
