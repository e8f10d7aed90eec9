//! Authentication: from the token of a request to the user that it names and the addresses that it grants.
//!
//! A token counts only where the rules allow it, after its address' limit, its signature and claims, and the state of its
//! user were checked.

mod keys;
mod producer;
mod restore;
mod users;

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::ORIGIN;
use axum::http::request::Parts;
use tidings_access::{ApiKey, Asking, Claims, Refusal, Rules, Token, TokenPlace, Transport, Verifier};
use tidings_catalog::Catalogs;
use tidings_model::Tenant;
use tidings_net::ClientIp;
use tidings_session::Principal;
use tidings_streams::consumers::ConsumerName;
use tidings_streams::keys::{ApiKeys, KeyWatch};
use tidings_streams::users::{UserName, UserNameError, UserWatch, Users};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::keys::KnownKeys;
pub(crate) use self::producer::{Producer, PublishRights};
use self::users::DisabledUsers;
pub(crate) use self::users::UserBlock;
use crate::clock::Clock;
use crate::error::{ApiCode, ApiError};
use crate::limits::Limits;

/// The scope of administrators.
const ADMIN_SCOPE: &str = "tidings:admin";
/// The scope of producers.
const PUBLISH_SCOPE: &str = "tidings:publish";

/// Checks tokens.
pub(crate) struct Authenticator {
    rules: Rules,
    verifier: Verifier,
    /// How far clocks may differ.
    leeway: Duration,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    users: DisabledUsers,
    keys: KnownKeys,
    limits: Arc<Limits>,
    clock: Clock,
}

impl Authenticator {
    pub(crate) fn new(
        (rules, verifier): (Rules, Verifier),
        leeway: Duration,
        catalogs: watch::Receiver<Arc<Catalogs>>,
        (users, keys): (Users, ApiKeys),
        limits: Arc<Limits>,
        clock: Clock,
    ) -> Self {
        let (users, keys) = (DisabledUsers::new(users), KnownKeys::new(keys));
        Self { rules, verifier, leeway, catalogs, users, keys, limits, clock }
    }

    /// The bucket of users itself, for administration.
    pub(crate) fn users(&self) -> &Users {
        self.users.store()
    }

    /// The bucket of API keys itself, for administration.
    pub(crate) fn keys(&self) -> &ApiKeys {
        self.keys.store()
    }

    /// Reads all of the buckets of users and of API keys; what is returned has their later changes.
    pub(crate) async fn load(&self) -> (UserWatch, KeyWatch) {
        tokio::join!(self.users.load(), self.keys.load())
    }

    /// Follows the buckets until cancelled.
    pub(crate) async fn follow(&self, (users, keys): (UserWatch, KeyWatch), cancelled: &CancellationToken) {
        tokio::join!(self.users.run(users, cancelled), self.keys.run(keys, cancelled));
    }

    /// Changes whenever another user is disabled or another token revoked, or no longer.
    pub(crate) fn users_version(&self) -> u64 {
        self.users.version()
    }

    /// Whether tokens may be sent as a subprotocol.
    pub(crate) fn takes_subprotocols(&self) -> bool {
        self.rules.places.contains(&TokenPlace::Subprotocol)
    }

    /// The token of a client's request, unless too many have come from the same address.
    pub(crate) fn client_token(&self, request: &Parts) -> Result<Token, ApiError> {
        let rules = &self.rules;
        let token = self.token(request, rules)?;
        if rules.requires_origin {
            tidings_access::check_origin(asking(request), rules)?;
        }
        Ok(token)
    }

    /// Whether a request comes from a page that may use cookies, or from none.
    pub(crate) fn is_own_page(&self, request: &Parts) -> bool {
        let origin = request.headers.get(ORIGIN);
        origin.is_none() || tidings_access::check_origin(asking(request), &self.rules).is_ok()
    }

    /// The token of a request with a client's message, unless too many have come from the same address.
    pub(crate) fn message_token(&self, request: &Parts) -> Result<Token, ApiError> {
        self.limits.producer_request(ClientIp::of(&request.extensions))?;
        if self.rules.requires_origin {
            tidings_access::check_origin(asking(request), &self.rules)?;
        }
        Ok(tidings_access::find(asking(request), &self.rules)?)
    }

    fn token(&self, request: &Parts, rules: &Rules) -> Result<Token, ApiError> {
        self.limits.attempt(ClientIp::of(&request.extensions))?;
        Ok(tidings_access::find(asking(request), rules)?)
    }

    /// Verifies a token; fetches the issuer's newest keys if they are needed.
    pub(crate) async fn verify(&self, token: &Token) -> Result<Claims, Refusal> {
        self.verifier.verify(token, || self.clock.now().into()).await
    }

    /// Verifies a token with the keys that are known, without I/O.
    pub(crate) fn verify_known(&self, token: &Token) -> Result<Claims, Refusal> {
        self.verifier.verify_known(token, self.clock.now().into())
    }

    /// The user of verified claims, with this device.
    pub(crate) fn principal(&self, claims: &Claims, device: &str) -> Result<Principal, ApiError> {
        let catalogs = Arc::clone(&self.catalogs.borrow());
        let served = catalogs.get_key_value(&claims.tenant);
        // One piece of memory for the tenant's name, however many connections it has.
        let (tenant, catalog) = served.ok_or_else(|| unknown_tenant(&claims.tenant))?;
        self.check_user(claims)?;
        let expires_at = i64::try_from(claims.expires_at).ok();
        let expires_at = expires_at.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        let grants = catalog.grants(&claims.all);
        Ok(Principal {
            publish_claims: catalog.publish_claims(&claims.all, &grants),
            grants,
            consumer: ConsumerName::new(tenant.clone(), &claims.subject, device)?,
            // Beyond what a calendar holds, a token does not expire.
            expires_at: expires_at.unwrap_or(time::macros::datetime!(9999-12-31 23:59:59 UTC)),
            issued_at: claims.issued_at.and_then(NonZeroU64::new),
        })
    }

    /// The administrator that sends a request. Its token counts in the header alone, which no page of another site and no
    /// link can set.
    pub(crate) async fn administrator(&self, request: &Parts) -> Result<Administrator, ApiError> {
        let rules = Rules { places: vec![TokenPlace::Header], ..self.rules.clone() };
        let claims = self.verify(&self.token(request, &rules)?).await?;
        if !claims.scopes().any(|scope| scope == ADMIN_SCOPE) {
            let text = format!("the token's `scope` claim does not contain {ADMIN_SCOPE}");
            return Err(ApiError::new(ApiCode::ScopeMissing, text).of_user(Some(user_name(&claims)?)));
        }
        if !self.catalogs.borrow().contains_key(&claims.tenant) {
            return Err(unknown_tenant(&claims.tenant));
        }
        self.check_user(&claims)?;
        let from = ClientIp::of(&request.extensions);
        Ok(Administrator { tenant: claims.tenant, user: claims.subject, from })
    }

    /// The user that sends a request. The token counts in the header alone.
    pub(crate) async fn user(&self, request: &Parts) -> Result<UserName, ApiError> {
        let rules = Rules { places: vec![TokenPlace::Header], ..self.rules.clone() };
        let claims = self.verify(&self.token(request, &rules)?).await?;
        if !self.catalogs.borrow().contains_key(&claims.tenant) {
            return Err(unknown_tenant(&claims.tenant));
        }
        self.check_user(&claims)?;
        Ok(user_name(&claims)?)
    }

    /// The producer that sends a request. A token or a key counts in the header alone, which no page of another site and no
    /// link can set.
    pub(crate) async fn producer(&self, request: &Parts) -> Result<Producer, ApiError> {
        self.limits.producer_request(ClientIp::of(&request.extensions))?;
        let rules = Rules { places: vec![TokenPlace::Header], ..self.rules.clone() };
        let token = tidings_access::find(asking(request), &rules)?;
        if ApiKey::is_meant(&token) {
            let unknown = || ApiError::new(ApiCode::KeyUnknown, "there is no such API key");
            let producer =
                self.keys.check(&ApiKey::parse(&token).ok_or_else(unknown)?, self.clock.unix_seconds())?;
            let is_served = self.catalogs.borrow().contains_key(&producer.tenant);
            return if is_served { Ok(producer) } else { Err(unknown_tenant(&producer.tenant)) };
        }
        let claims = self.verify(&token).await?;
        let of_user = |error: ApiError| error.of_user(user_name(&claims).ok());
        if !claims.scopes().any(|scope| scope == PUBLISH_SCOPE) {
            let text = format!("the token's `scope` claim does not contain {PUBLISH_SCOPE}");
            return Err(of_user(ApiError::new(ApiCode::ScopeMissing, text)));
        }
        if !self.catalogs.borrow().contains_key(&claims.tenant) {
            return Err(unknown_tenant(&claims.tenant));
        }
        self.check_user(&claims)?;
        let rights = PublishRights::of_claims(&claims).map_err(of_user)?;
        Ok(Producer { name: format!("user {}", claims.subject), tenant: claims.tenant, rights })
    }

    fn check_user(&self, claims: &Claims) -> Result<(), ApiError> {
        let checked = self.users.check(&claims.tenant, &claims.subject, claims.issued_at);
        checked.or_else(|block| Err(ApiError::from(block).of_user(Some(user_name(claims)?))))
    }

    /// Whether a connected user may stay.
    pub(crate) fn check(&self, principal: &Principal) -> Result<(), UserBlock> {
        let issued_at = principal.issued_at.map(NonZeroU64::get);
        self.users.check(principal.tenant(), principal.consumer.user(), issued_at)
    }

    /// For how long the user's token is still valid, with what clocks may differ by.
    pub(crate) fn time_left(&self, principal: &Principal) -> Duration {
        let left = principal.expires_at - self.clock.now();
        let leeway = time::Duration::try_from(self.leeway).unwrap_or(time::Duration::MAX);
        Duration::try_from(left.saturating_add(leeway)).unwrap_or_default()
    }
}

/// An administrator of a tenant.
#[derive(Debug, Clone)]
pub(crate) struct Administrator {
    pub(crate) tenant: Tenant,
    /// The claim `sub`.
    pub(crate) user: String,
    pub(crate) from: IpAddr,
}

fn asking(request: &Parts) -> Asking<'_> {
    let transport = request.extensions.get().copied().unwrap_or(Transport::Unknown);
    Asking { headers: &request.headers, query: request.uri.query(), transport }
}

fn unknown_tenant(tenant: &Tenant) -> ApiError {
    let text = format!("tenant {:?} is not served here", tenant.to_string());
    ApiError::new(ApiCode::TenantUnknown, text)
}

fn user_name(claims: &Claims) -> Result<UserName, UserNameError> {
    UserName::new(claims.tenant.clone(), &claims.subject)
}
