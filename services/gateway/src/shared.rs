//! What all parts of a running gateway share.

use std::sync::Arc;
use std::time::Duration;

use tidings_access::{Rules, Verifier};
use tidings_catalog::{Catalog, Catalogs, StartPolicy};
use tidings_model::{Position, Tenant};
use tidings_runtime::config::GatewayConfig;
use tidings_streams::{ExtentError, Topology};
use time::OffsetDateTime;

use crate::audit::Audit;
use crate::limits::Limits;
use crate::positions::Positions;
use crate::retained::Retained;
use crate::standing::View;
use crate::users::KnownUsers;

/// What all parts of a running gateway share.
pub(crate) struct Shared {
    /// The name of this gateway.
    pub(crate) name: String,
    pub(crate) settings: GatewayConfig,
    pub(crate) leeway: Duration,
    pub(crate) rules: Rules,
    pub(crate) verifier: Verifier,
    pub(crate) catalogs: Arc<Catalogs>,
    pub(crate) topology: Topology,
    pub(crate) max_event_bytes: usize,
    pub(crate) clock: fn() -> OffsetDateTime,
    /// A number from 0 to below 1.
    pub(crate) random: fn() -> f64,
    pub(crate) retained: Arc<Retained>,
    pub(crate) limits: Limits,
    pub(crate) positions: Positions,
    pub(crate) users: KnownUsers,
    pub(crate) audit: Audit,
}

impl Shared {
    /// Where a consumer of this tenant starts that has never been here.
    pub(crate) fn first_position(&self, tenant: &Tenant) -> Position {
        let view = self.retained.view();
        let policy = self.catalogs.get(tenant).map_or(StartPolicy::New, Catalog::start_policy);
        let sequence = match policy {
            StartPolicy::New => view.head,
            StartPolicy::All => view.floor,
            StartPolicy::Since(span) => self.retained.before((self.clock)() - span),
        };
        Position { epoch: view.epoch, sequence }
    }

    /// What can be answered for to somebody who stands at `position`: if that is ahead of this
    /// gateway, as another one may be, the stream is asked how far it goes.
    pub(crate) async fn view_for(&self, position: Position) -> Result<View, ExtentError> {
        let mut view = self.retained.view();
        if position.epoch == view.epoch && position.sequence > view.head {
            let extent = self.topology.extent().await?;
            if extent.epoch == view.epoch {
                view.head = view.head.max(extent.last);
            }
        }
        Ok(view)
    }
}
