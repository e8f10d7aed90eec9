//! From the token of a request to the user that it names.
//!
//! A token counts only where the rules allow it, after its address' limit, its signature and claims, and the state of its
//! user were checked.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use tidings_access::{Asking, Claims, Refusal, Rules, Token, TokenPlace, Transport, Verifier};
use tidings_catalog::Catalogs;
use tidings_net::ClientIp;
use tidings_streams::consumers::ConsumerName;
use tidings_streams::users::{UserName, UserNameError};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::disabled_users::{DisabledUsers, UserBlock};
use super::principal::{Administrator, Principal};
use crate::clock::Clock;
use crate::error::{ApiCode, ApiError};
use crate::limits::Limits;

/// The scope of administrators.
const ADMIN_SCOPE: &str = "tidings:admin";

/// Checks tokens.
pub(crate) struct Authenticator {
    rules: Rules,
    verifier: Verifier,
    /// How far clocks may differ.
    leeway: Duration,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    users: Arc<DisabledUsers>,
    limits: Arc<Limits>,
    clock: Clock,
}

impl Authenticator {
    pub(crate) fn new(
        (rules, verifier): (Rules, Verifier),
        leeway: Duration,
        catalogs: watch::Receiver<Arc<Catalogs>>,
        users: Arc<DisabledUsers>,
        limits: Arc<Limits>,
        clock: Clock,
    ) -> Self {
        Self { rules, verifier, leeway, catalogs, users, limits, clock }
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
        let (tenant, catalog) = served.ok_or_else(|| unknown_tenant(claims))?;
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
            return Err(unknown_tenant(&claims));
        }
        self.check_user(&claims)?;
        let from = ClientIp::of(&request.extensions);
        Ok(Administrator { tenant: claims.tenant, user: claims.subject, from })
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

fn asking(request: &Parts) -> Asking<'_> {
    let transport = request.extensions.get().copied().unwrap_or(Transport::Unknown);
    Asking { headers: &request.headers, query: request.uri.query(), transport }
}

fn unknown_tenant(claims: &Claims) -> ApiError {
    let text = format!("tenant {:?} is not served here", claims.tenant.to_string());
    ApiError::new(ApiCode::TenantUnknown, text)
}

fn user_name(claims: &Claims) -> Result<UserName, UserNameError> {
    UserName::new(claims.tenant.clone(), &claims.subject)
}
