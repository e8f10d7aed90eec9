//! Disabled users and revoked tokens: a copy of the bucket `USERS`, so that a handshake needs no I/O.
//!
//! While NATS is away, the last known state counts. Until the bucket was read for the first time, every user is refused.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use tidings_model::Tenant;
use tidings_streams::users::{
    KnownState, Mark, Revocation, UserName, UserNews, UserState, UserWatch, Users, UsersError,
};
use tokio_util::sync::CancellationToken;

use super::restore::{Restore, restore};
use crate::error::{ApiCode, ApiError};

/// A copy of the bucket `USERS`.
pub(super) struct DisabledUsers {
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
    pub(super) fn new(store: Users) -> Self {
        Self { store, known: RwLock::default(), life: AtomicU64::new(0), version: AtomicU64::new(0) }
    }

    /// The bucket itself, for administration.
    pub(super) fn store(&self) -> &Users {
        &self.store
    }

    /// Changes with every change of the copy.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether the user may connect with a token that was issued in this second.
    pub(super) fn check(&self, tenant: &Tenant, user: &str, issued_at: Option<u64>) -> Result<(), UserBlock> {
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
    pub(super) async fn load(&self) -> UserWatch {
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
    pub(super) async fn run(&self, mut watch: UserWatch, cancelled: &CancellationToken) {
        let mut lost = Vec::new();
        while let Some(news) = cancelled.run_until_cancelled(Box::pin(watch.next())).await {
            lost.extend(self.learn(news));
            restore(&self.store, &mut lost).await;
        }
    }
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
