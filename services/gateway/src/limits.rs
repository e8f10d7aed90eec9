//! Rate limits and connection limits of addresses, users and tenants.
//!
//! Everything is counted on this gateway alone and decided at once, without I/O. Three invariants: the memory for counts
//! is bounded however many addresses and users there are; a count is held by a guard, so it ends with the thing that it
//! counts; one client never uses up the limit of another.

mod rate;
mod tenant;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tidings_catalog::Catalogs;
use tidings_model::Tenant;
use tidings_net::AddressBlock;
use tidings_runtime::config::{GatewayConfig, TenantConfig};

use self::rate::{Rate, RateByKey};
pub(crate) use self::tenant::{ConnectionPermit, MessageBudget, TenantLimits, Verdict};
use crate::error::{ApiCode, ApiError};

/// All limits of a gateway.
pub(crate) struct Limits {
    attempts: RateByKey<AddressBlock>,
    /// Of the tenants that had a connection.
    tenants: Mutex<HashMap<Tenant, Arc<TenantLimits>>>,
}

impl Limits {
    /// The configured limits. Logs a warning for each tenant that has limits and no catalog.
    pub(crate) fn new(settings: &GatewayConfig, catalogs: &Catalogs) -> Self {
        for name in settings.tenants.keys() {
            if !catalogs.keys().any(|tenant| tenant.as_str() == name) {
                tracing::warn!(tenant = name, "gateway.tenants has limits of a tenant that is not served");
            }
        }
        let rate =
            Rate::per_minute(settings.attempts_per_minute_per_address, settings.attempt_burst_per_address);
        Self { attempts: RateByKey::new(rate), tenants: Mutex::default() }
    }

    /// Counts a request with a token from this address; called before the token costs any work.
    pub(crate) fn attempt(&self, address: IpAddr) -> Result<(), ApiError> {
        let text = "too many requests with a token from your address; try again after `Retry-After`";
        let denied = |wait| ApiError::new(ApiCode::TooManyAttempts, text).retry_after(wait);
        self.attempts.check(&address.into()).map_err(denied)
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
