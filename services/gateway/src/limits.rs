//! How often and how many: what one address, user or tenant may take of a gateway.
//!
//! Everything here is counted on this gateway alone, decided at once and without I/O. Three invariants: what is remembered
//! is bounded, whoever comes; a count is held by a guard, so that it ends with what it counts, whatever way that ends; and
//! nobody's limit is used up by somebody else.

mod block;
mod body;
mod exceeded;
mod pending;
mod rate;
mod tenant;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tidings_catalog::Catalogs;
use tidings_model::Tenant;
use tidings_runtime::config::{GatewayConfig, TenantConfig};

pub(crate) use self::block::Block;
pub(crate) use self::body::{Late, TimedBody};
pub(crate) use self::exceeded::Exceeded;
pub(crate) use self::pending::{Pending, PendingConnection};
use self::rate::{Rate, RateByKey};
pub(crate) use self::tenant::{Allowance, Seat, TenantLimits, Verdict};

/// All limits of a gateway.
pub(crate) struct Limits {
    /// Connections that have not become WebSockets.
    pub(crate) pending: Arc<Pending>,
    attempts: RateByKey<Block>,
    /// Of those of whom somebody came.
    tenants: Mutex<HashMap<Tenant, Arc<TenantLimits>>>,
}

impl Limits {
    /// Warns of limits of tenants that have none of these catalogs.
    pub(crate) fn new(settings: &GatewayConfig, catalogs: &Catalogs) -> Self {
        for name in settings.tenants.keys() {
            if !catalogs.keys().any(|tenant| tenant.as_str() == name) {
                tracing::warn!(tenant = name, "gateway.tenants has limits of a tenant that is not served");
            }
        }
        let rate =
            Rate::per_minute(settings.attempts_per_minute_per_address, settings.attempt_burst_per_address);
        Self { pending: Pending::new(settings), attempts: RateByKey::new(rate), tenants: Mutex::default() }
    }

    /// Somebody at this address shows a token; before anything is computed for it.
    pub(crate) fn attempt(&self, address: IpAddr) -> Result<(), Exceeded> {
        self.attempts.check(&address.into()).map_err(Exceeded::AttemptsOfAddress)
    }

    /// The limits of a tenant that is served.
    pub(crate) fn of(&self, tenant: &Tenant, settings: &GatewayConfig) -> Arc<TenantLimits> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limits) = tenants.get(tenant) {
            return Arc::clone(limits);
        }
        let nothing_else = TenantConfig::default();
        let own = settings.tenants.get(tenant.as_str()).unwrap_or(&nothing_else);
        let limits = TenantLimits::new(settings, own);
        tenants.insert(tenant.clone(), Arc::clone(&limits));
        limits
    }
}
