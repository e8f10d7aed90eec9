//! Authentication: from the token of a request to the user that it names and the addresses that it grants.
//!
//! A token counts only where the rules allow it, after its address' limit, its signature and claims, and the state of its
//! user were checked.
//!
//! Which users are disabled and which tokens are revoked is in the bucket `USERS`. The gateway holds a copy of it, so a
//! handshake needs no I/O. While NATS is away, the last known state counts. Until the bucket was read for the first time,
//! every user is refused.

mod keys;
mod producer;

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Display;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::http::request::Parts;
use tidings_access::{Asking, Claims, Refusal, Rules, Token, TokenPlace, Transport, Verifier};
use tidings_catalog::Catalogs;
use tidings_model::Tenant;
use tidings_net::ClientIp;
use tidings_session::Principal;
use tidings_streams::consumers::ConsumerName;
use tidings_streams::keys::{ApiKeys, KeyWatch};
use tidings_streams::may_pass;
use tidings_streams::users::{
    KnownState, Mark, Revocation, UserName, UserNameError, UserNews, UserState, UserWatch, Users, UsersError,
};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::keys::KnownKeys;
pub(crate) use self::producer::PublishRights;
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
        &self.users.store
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
        self.users.version.load(Ordering::Acquire)
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

/// A copy of the bucket `USERS`.
struct DisabledUsers {
    store: Users,
    /// `None` until all of the bucket was read. Has no entry for a user that is neither disabled nor has a revoked token.
    known: RwLock<Option<Known>>,
    /// In which life of the bucket it was read; 0 before it was read.
    life: AtomicU64,
    /// Changes with every change of the copy.
    version: AtomicU64,
}

type Known = HashMap<Tenant, HashMap<String, KnownState>>;

/// Why a user may not connect, or may not stay connected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UserBlock {
    /// The bucket was not read yet.
    #[error("the gateway does not know yet who may connect; try again")]
    Unknown,
    /// The administrator's reason is not shown to the user.
    #[error("this user is disabled; ask the operators of the application")]
    Disabled(Mark),
    /// The user's record was written by another program or by a newer Tidings.
    #[error("what is stored about this user cannot be read; ask the operators of the application")]
    Unreadable,
    #[error("the token is revoked; get a fresh one")]
    Revoked(Revocation),
}

impl From<UserBlock> for ApiError {
    fn from(block: UserBlock) -> Self {
        let code = match block {
            UserBlock::Unknown => ApiCode::Starting,
            UserBlock::Unreadable => ApiCode::UserUnreadable,
            UserBlock::Disabled(_) => ApiCode::UserDisabled,
            UserBlock::Revoked(_) => ApiCode::TokenRevoked,
        };
        Self::new(code, block.to_string())
    }
}

impl DisabledUsers {
    fn new(store: Users) -> Self {
        Self { store, known: RwLock::default(), life: AtomicU64::new(0), version: AtomicU64::new(0) }
    }

    /// Whether the user may connect with a token that was issued in this second.
    fn check(&self, tenant: &Tenant, user: &str, issued_at: Option<u64>) -> Result<(), UserBlock> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let Some(tenants) = &*known else { return Err(UserBlock::Unknown) };
        let Some(state) = tenants.get(tenant).and_then(|users| users.get(user)) else { return Ok(()) };
        let Some(state) = state else { return Err(UserBlock::Unreadable) };
        if let Some(mark) = &state.disabled {
            return Err(UserBlock::Disabled(mark.clone()));
        }
        state
            .revocation_of(issued_at)
            .map_or(Ok(()), |revocation| Err(UserBlock::Revoked(revocation.clone())))
    }

    /// Reads all of the bucket; what is returned has its later changes.
    async fn load(&self) -> UserWatch {
        let mut watch = self.store.watch();
        self.learn(watch.next().await);
        watch
    }

    /// Applies a change of the bucket. Entries are never removed from the bucket; those that another life of it lacks were
    /// lost: they still count, and are returned.
    fn learn(&self, news: UserNews) -> Vec<(UserName, UserState)> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let (mut entries, mut lost) = (Vec::new(), Vec::new());
        match news {
            UserNews::All(life, all) => {
                let before = self.life.swap(life.0, Ordering::AcqRel);
                if before != 0 && before != life.0 {
                    lost = missing(known.take(), &all);
                }
                *known = None;
                let kept = lost.iter().map(|(name, state)| (name.clone(), Some(state.clone())));
                entries.extend(all.into_iter().chain(kept));
            }
            UserNews::One(name, state) => entries.push((name, state)),
        }
        let tenants = known.get_or_insert_default();
        for (name, state) in entries {
            let users = tenants.entry(name.tenant().clone()).or_default();
            if state.as_ref().is_some_and(UserState::is_empty) {
                users.remove(name.user());
            } else {
                users.insert(name.user().to_owned(), state);
            }
        }
        drop(known);
        self.version.fetch_add(1, Ordering::Release);
        lost
    }

    /// Follows the bucket until cancelled.
    async fn run(&self, mut watch: UserWatch, cancelled: &CancellationToken) {
        let mut lost = Vec::new();
        while let Some(news) = cancelled.run_until_cancelled(Box::pin(watch.next())).await {
            lost.extend(self.learn(news));
            restore(&self.store, &mut lost).await;
        }
    }
}

/// A bucket whose lost entries are written again.
trait Restore {
    const BUCKET: &'static str;
    type Name: Display;
    type State;
    type Failure: Error + 'static;

    /// Writes an entry, unless the bucket has it by now.
    fn restore(
        &self,
        name: &Self::Name,
        state: &Self::State,
    ) -> impl Future<Output = Result<(), Self::Failure>> + Send;
}

impl Restore for Users {
    const BUCKET: &'static str = "USERS";
    type Name = UserName;
    type State = UserState;
    type Failure = UsersError;

    async fn restore(&self, name: &UserName, state: &UserState) -> Result<(), UsersError> {
        Self::restore(self, name, state).await
    }
}

/// Writes lost entries again. A write that fails is repeated with the next change; one follows every fault of NATS. An entry
/// that JetStream refuses does not hold up the rest.
async fn restore<B: Restore>(bucket: &B, lost: &mut Vec<(B::Name, B::State)>) {
    let (mut kept, mut last) = (Vec::new(), None);
    while let Some((name, state)) = lost.pop() {
        let Err(error) = bucket.restore(&name, &state).await else {
            tracing::warn!(bucket = B::BUCKET, %name, "wrote again what a bucket had lost");
            continue;
        };
        kept.push((name, state));
        let is_away = may_pass(&error);
        last = Some(error);
        if is_away {
            break;
        }
    }
    lost.append(&mut kept);
    if let Some(error) = last {
        let (error, entries) = (&error as &dyn Error, lost.len());
        tracing::warn!(error, bucket = B::BUCKET, entries, "what a bucket lost is written later");
    }
}

/// The known entries that the bucket lacks.
fn missing(known: Option<Known>, all: &HashMap<UserName, KnownState>) -> Vec<(UserName, UserState)> {
    let tenants = known.unwrap_or_default().into_iter();
    let entries = tenants.flat_map(|(tenant, users)| {
        users
            .into_iter()
            .filter_map(move |(user, state)| Some((UserName::new(tenant.clone(), user).ok()?, state?)))
    });
    entries.filter(|(name, _)| !all.contains_key(name)).collect()
}
