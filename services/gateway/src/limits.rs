//! Rate limits and connection limits of addresses, users and tenants.
//!
//! Everything is counted on this gateway alone and decided at once, without I/O. Three invariants: the memory for counts
//! is bounded however many addresses and users there are; a count is held by a guard, so it ends with the thing that it
//! counts; one client never uses up the limit of another.

mod budget;
mod figures;
mod producers;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidings_catalog::Catalogs;
use tidings_metrics::{Snapshot, Source};
use tidings_model::Tenant;
use tidings_net::AddressBlock;
use tidings_rate::{Budget, Rate, RateByKey, RateByOwner};
use tidings_runtime::config::{GatewayConfig, TenantConfig};

pub(crate) use self::budget::{MessageBudget, Verdict};
use self::figures::{Counted, Limit, Usage};
use self::producers::ProducerLimits;
use crate::error::{ApiCode, ApiError};

/// When to try again after a limit on connections; it is not known when one ends.
const WHEN_FULL: Duration = Duration::from_secs(5);

/// All limits of a gateway.
pub(crate) struct Limits {
    attempts: RateByKey<AddressBlock>,
    producer_requests: RateByKey<AddressBlock>,
    connections: Option<usize>,
    usage: Usage,
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
        let rate = Rate::new(settings.attempts_per_minute_per_address, settings.attempt_burst_per_address);
        let of_producers = Rate::new(
            settings.producer_requests_per_minute_per_address,
            settings.producer_request_burst_per_address,
        );
        Self {
            attempts: RateByKey::new(rate),
            producer_requests: RateByKey::new(of_producers),
            connections: settings.max_connections.map(Into::into),
            usage: Usage::default(),
            tenants: Mutex::default(),
        }
    }

    /// Counts a request to publish events from this address; called before the request costs any work.
    pub(crate) fn producer_request(&self, address: IpAddr) -> Result<(), ApiError> {
        self.producer_requests.check(&address.into()).map_err(|wait| {
            self.usage.count(Counted::Refused(Limit::ProducerRequests));
            let text = "too many requests to publish events from your address; try again after `Retry-After`";
            ApiError::new(ApiCode::TooManyEvents, text).retry_after(wait)
        })
    }

    /// Counts a request with a token from this address; called before the token costs any work.
    pub(crate) fn attempt(&self, address: IpAddr) -> Result<(), ApiError> {
        let text = "too many requests with a token from your address; try again after `Retry-After`";
        let denied = |wait| {
            self.usage.count(Counted::Refused(Limit::AddressAttempts));
            ApiError::new(ApiCode::TooManyAttempts, text).retry_after(wait)
        };
        self.attempts.check(&address.into()).map_err(denied)
    }

    /// Whether the gateway, which has so many connections, takes another one.
    pub(crate) fn check_room(&self, connections: usize) -> Result<(), ApiError> {
        if self.connections.is_none_or(|most| connections < most) {
            return Ok(());
        }
        self.usage.count(Counted::Refused(Limit::Connections));
        let text = "the gateway has as many connections as it may; try another one, or later";
        Err(ApiError::new(ApiCode::TooManyConnections, text))
    }

    /// Admits a connection of a user of a served tenant, whose token is verified; it counts as long as its budget is held.
    pub(crate) fn admit(
        &self,
        tenant: &Tenant,
        user: &str,
        settings: &GatewayConfig,
    ) -> Result<MessageBudget, ApiError> {
        Ok(MessageBudget::new(self.of(tenant, settings).admit(user)?))
    }

    /// The same for a request that is answered with a page. There may be as many of these as of messages from the user.
    pub(crate) fn admit_page(
        &self,
        tenant: &Tenant,
        user: &str,
        settings: &GatewayConfig,
    ) -> Result<MessageBudget, ApiError> {
        Ok(MessageBudget::new(self.of(tenant, settings).admit_page(user)?))
    }

    /// The limits of a tenant's producers.
    pub(crate) fn producers(&self, tenant: &Tenant, settings: &GatewayConfig) -> Arc<ProducerLimits> {
        Arc::clone(&self.of(tenant, settings).producers)
    }

    fn of(&self, tenant: &Tenant, settings: &GatewayConfig) -> Arc<TenantLimits> {
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

impl Source for Limits {
    fn collect(&self, snapshot: &mut Snapshot) {
        self.usage.show(None, snapshot);
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (tenant, limits) in &tenants {
            let connections = limits.permits().all;
            limits.usage.show(Some((tenant.as_str(), connections)), snapshot);
        }
    }
}

/// A user of a tenant: a hash of the name, which can be long. Its secret is the process's own, so no client can choose
/// a name that shares another's; by chance two of a million do with a probability of 1 in 30 million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct UserKey(u64);

/// The limits of one tenant, and what of them is used up.
struct TenantLimits {
    max_frame_bytes: usize,
    max_message_bytes: usize,
    connections: Option<usize>,
    connections_of_user: usize,
    message_rate: Rate,
    user_message_rate: Rate,
    frame_rate: Rate,
    byte_rate: Rate,
    messages: RateByOwner,
    frames: Budget,
    bytes: Budget,
    attempts: RateByKey<UserKey>,
    user_messages: RateByKey<UserKey>,
    user_requests: RateByKey<UserKey>,
    publications: RateByKey<()>,
    producers: Arc<ProducerLimits>,
    permits: Mutex<Permits>,
    usage: Arc<Usage>,
    hasher: RandomState,
}

#[derive(Default)]
struct Permits {
    all: usize,
    /// Only users with a connection.
    by_user: HashMap<UserKey, usize>,
}

impl TenantLimits {
    /// As a tenant's own table says, and else as all tenants have it.
    fn new(all: &GatewayConfig, own: &TenantConfig) -> Arc<Self> {
        let message_rate = Rate::new(
            own.messages_per_minute.unwrap_or(all.messages_per_minute),
            own.message_burst.unwrap_or(all.message_burst),
        );
        let user_message_rate = Rate::new(
            own.user_messages_per_minute.unwrap_or(all.user_messages_per_minute),
            own.user_message_burst.unwrap_or(all.user_message_burst),
        );
        let attempts = Rate::new(
            own.attempts_per_minute_per_user.unwrap_or(all.attempts_per_minute_per_user),
            own.attempt_burst_per_user.unwrap_or(all.attempt_burst_per_user),
        );
        let publications = Rate::new(
            own.publish_per_minute.unwrap_or(all.publish_per_minute),
            own.publish_burst.unwrap_or(all.publish_burst),
        );
        let frame_rate = Rate::new(
            own.frames_per_minute.unwrap_or(all.frames_per_minute),
            own.frame_burst.unwrap_or(all.frame_burst),
        );
        let byte_rate = Rate::new(
            amount(own.bytes_per_minute.unwrap_or(all.bytes_per_minute)),
            amount(own.byte_burst.unwrap_or(all.byte_burst)),
        );
        let usage = Arc::<Usage>::default();
        Arc::new(Self {
            max_frame_bytes: own.max_frame_bytes.unwrap_or(all.max_frame_bytes),
            max_message_bytes: own.max_message_bytes.unwrap_or(all.max_message_bytes),
            connections: own.connections_per_tenant.or(all.connections_per_tenant).map(Into::into),
            connections_of_user: own.connections_per_user.unwrap_or(all.connections_per_user).get(),
            message_rate,
            user_message_rate,
            frame_rate,
            byte_rate,
            messages: RateByOwner::new(message_rate),
            frames: Budget::new(frame_rate),
            bytes: Budget::new(byte_rate),
            attempts: RateByKey::new(attempts),
            user_messages: RateByKey::new(user_message_rate),
            user_requests: RateByKey::new(user_message_rate),
            publications: RateByKey::new(publications),
            producers: Arc::new(ProducerLimits::new(all, own, Arc::clone(&usage))),
            permits: Mutex::default(),
            usage,
            hasher: RandomState::new(),
        })
    }

    /// Permits a connection of a user whose token is verified. The connection counts while the permit is held.
    fn admit(self: &Arc<Self>, user: &str) -> Result<ConnectionPermit, ApiError> {
        let user = UserKey(self.hasher.hash_one(user));
        let text = "too many attempts to connect of this user; try again after `Retry-After`";
        self.check(&self.attempts, user, (Limit::UserAttempts, text))?;
        self.permit(user)
    }

    /// The same for one of the requests that are answered with a page.
    fn admit_page(self: &Arc<Self>, user: &str) -> Result<ConnectionPermit, ApiError> {
        let user = UserKey(self.hasher.hash_one(user));
        let text = "too many requests of this user; try again after `Retry-After`, and more comes at once";
        self.check(&self.user_requests, user, (Limit::UserMessages, text))?;
        self.permit(user)
    }

    fn check(
        &self,
        rate: &RateByKey<UserKey>,
        user: UserKey,
        (limit, text): (Limit, &str),
    ) -> Result<(), ApiError> {
        rate.check(&user).map_err(|wait| {
            self.usage.count(Counted::Refused(limit));
            ApiError::new(ApiCode::TooManyAttempts, text).retry_after(wait)
        })
    }

    fn permit(self: &Arc<Self>, user: UserKey) -> Result<ConnectionPermit, ApiError> {
        let mut permits = self.permits();
        if let Some(most) = self.connections.filter(|most| permits.all >= *most) {
            self.usage.count(Counted::Refused(Limit::TenantConnections));
            let text = format!(
                "this tenant's users have {most} connections here, which is as many as may be; try again later"
            );
            return Err(ApiError::new(ApiCode::TooManyConnectionsOfTenant, text).retry_after(WHEN_FULL));
        }
        let taken = permits.by_user.entry(user).or_default();
        if *taken >= self.connections_of_user {
            self.usage.count(Counted::Refused(Limit::UserConnections));
            let most = self.connections_of_user;
            let text =
                format!("this user has {most} connections here, which is as many as may be; close one");
            return Err(ApiError::new(ApiCode::TooManyConnectionsOfUser, text).retry_after(WHEN_FULL));
        }
        *taken += 1;
        permits.all += 1;
        Ok(ConnectionPermit { tenant: Arc::clone(self), user })
    }

    fn permits(&self) -> MutexGuard<'_, Permits> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number of bytes as a rate counts them; 4 GB a minute are no limit.
fn amount(bytes: usize) -> NonZeroU32 {
    NonZeroU32::new(u32::try_from(bytes).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
}

/// One of the connections that a user and a tenant may have at once; dropping it makes room for another.
struct ConnectionPermit {
    tenant: Arc<TenantLimits>,
    user: UserKey,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut permits = self.tenant.permits();
        permits.all = permits.all.saturating_sub(1);
        if let Some(taken) = permits.by_user.get_mut(&self.user) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                permits.by_user.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests;
