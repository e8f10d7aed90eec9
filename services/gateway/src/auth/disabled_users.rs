//! Disabled users and revoked tokens, as the bucket `USERS` says.
//!
//! The gateway holds a copy of the bucket, so a handshake needs no I/O. While NATS is away, the last known state counts.
//! Until the bucket was read for the first time, every user is refused.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use tidings_model::Tenant;
use tidings_streams::may_pass;
use tidings_streams::users::{KnownState, Mark, Revocation, UserName, UserNews, UserState, UserWatch, Users};
use tokio_util::sync::CancellationToken;

use crate::error::{ApiCode, ApiError};

/// A copy of the bucket `USERS`.
pub(crate) struct DisabledUsers {
    store: Users,
    /// `None` until all of the bucket was read. Has no entry for a user that is neither disabled nor has a revoked token.
    known: RwLock<Option<Known>>,
    /// In which life of the bucket it was read; 0 before it was read.
    life: AtomicU64,
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
    pub(crate) fn new(store: Users) -> Self {
        Self { store, known: RwLock::default(), life: AtomicU64::new(0), version: AtomicU64::new(0) }
    }

    /// The bucket itself, for administration.
    pub(crate) fn store(&self) -> &Users {
        &self.store
    }

    /// Whether the user may connect with a token that was issued in this second.
    pub(crate) fn check(&self, tenant: &Tenant, user: &str, issued_at: Option<u64>) -> Result<(), UserBlock> {
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

    /// Changes with every change of the copy.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Applies a change of the bucket. Entries are never removed from the bucket; those that another life of it lacks were
    /// lost: they still count, and are returned.
    pub(crate) fn learn(&self, news: UserNews) -> Vec<(UserName, UserState)> {
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
    pub(crate) async fn run(&self, mut watch: UserWatch, cancelled: &CancellationToken) {
        let mut lost = Vec::new();
        while let Some(news) = cancelled.run_until_cancelled(watch.next()).await {
            lost.extend(self.learn(news));
            self.restore(&mut lost).await;
        }
    }

    /// Writes the lost entries again. A write that fails is repeated with the next change; one follows every fault of NATS.
    /// An entry that JetStream refuses does not hold up the rest.
    async fn restore(&self, lost: &mut Vec<(UserName, UserState)>) {
        let (mut kept, mut last) = (Vec::new(), None);
        while let Some((name, state)) = lost.pop() {
            let Err(error) = self.store.restore(&name, &state).await else {
                tracing::warn!(user = %name, "wrote again what the bucket USERS had lost of a user");
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
            let (error, users) = (&error as &dyn std::error::Error, lost.len());
            tracing::warn!(error, users, "what the bucket USERS lost is written later");
        }
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
