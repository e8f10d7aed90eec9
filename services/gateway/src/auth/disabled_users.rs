//! Who may not come in although the token is good, as the bucket `USERS` says.
//!
//! All that matters of the bucket is known here, so that a handshake asks nobody. While NATS is away, what was
//! known last counts. Before the bucket was read for the first time nobody is let in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use axum::http::StatusCode;
use tidings_model::Tenant;
use tidings_streams::users::{KnownState, Mark, Revocation, UserName, UserNews, UserState, UserWatch, Users};
use tokio_util::sync::CancellationToken;

/// What is known of users.
pub(crate) struct KnownUsers {
    store: Users,
    /// `None` until all of the bucket was read. Users of whom there is nothing to say are not in it.
    known: RwLock<Option<Known>>,
    /// Which life of the bucket that is from; 0 before it was read.
    life: AtomicU64,
    version: AtomicU64,
}

type Known = HashMap<Tenant, HashMap<String, KnownState>>;

/// Why somebody may not come in, or stay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Barred {
    #[error("the gateway does not know yet who may come in; try again")]
    Unknown,
    /// What the administrator says is not for the user.
    #[error("this user is switched off; ask those who look after the application")]
    Disabled(Mark),
    /// Something else wrote into the user's record, or a newer Tidings.
    #[error("what is stored about this user cannot be read; ask those who look after the application")]
    Unreadable,
    #[error("the token is revoked; get a fresh one")]
    Revoked(Revocation),
}

impl Barred {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Unknown | Self::Unreadable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Disabled(_) => StatusCode::FORBIDDEN,
            Self::Revoked(_) => StatusCode::UNAUTHORIZED,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "STARTING",
            Self::Unreadable => "USER_UNREADABLE",
            Self::Disabled(_) => "USER_DISABLED",
            Self::Revoked(_) => "TOKEN_REVOKED",
        }
    }
}

impl KnownUsers {
    pub(crate) fn new(store: Users) -> Self {
        Self { store, known: RwLock::default(), life: AtomicU64::new(0), version: AtomicU64::new(0) }
    }

    /// The bucket, for those who look after users.
    pub(crate) fn store(&self) -> &Users {
        &self.store
    }

    /// Whether the user may be here with a token that was issued in this second.
    pub(crate) fn check(&self, tenant: &Tenant, user: &str, issued_at: Option<u64>) -> Result<(), Barred> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let Some(tenants) = &*known else { return Err(Barred::Unknown) };
        let Some(state) = tenants.get(tenant).and_then(|users| users.get(user)) else { return Ok(()) };
        let Some(state) = state else { return Err(Barred::Unreadable) };
        if let Some(mark) = &state.disabled {
            return Err(Barred::Disabled(mark.clone()));
        }
        state.revocation_of(issued_at).map_or(Ok(()), |revocation| Err(Barred::Revoked(revocation.clone())))
    }

    /// Becomes another one after every change of what is known.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Takes over what the watch tells. Entries never vanish from the bucket; in another life of it, those that it lacks
    /// were lost, go on to count, and are returned.
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

    /// Keeps up with the bucket until cancelled.
    pub(crate) async fn run(&self, mut watch: UserWatch, cancelled: &CancellationToken) {
        let mut lost = Vec::new();
        while let Some(news) = cancelled.run_until_cancelled(watch.next()).await {
            lost.extend(self.learn(news));
            self.restore(&mut lost).await;
        }
    }

    /// Writes again what the bucket lost. What fails is tried again with the next news, of which every fault of NATS is
    /// followed by some.
    async fn restore(&self, lost: &mut Vec<(UserName, UserState)>) {
        while let Some((name, state)) = lost.last() {
            if let Err(error) = self.store.restore(name, state).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what the bucket USERS lost is written later"
                );
                return;
            }
            tracing::warn!(user = %name, "wrote again what the bucket USERS had lost of a user");
            lost.pop();
        }
    }
}

/// What was known and is not there any more.
fn missing(known: Option<Known>, all: &HashMap<UserName, KnownState>) -> Vec<(UserName, UserState)> {
    let tenants = known.unwrap_or_default().into_iter();
    let entries = tenants.flat_map(|(tenant, users)| {
        users
            .into_iter()
            .filter_map(move |(user, state)| Some((UserName::new(tenant.clone(), user).ok()?, state?)))
    });
    entries.filter(|(name, _)| !all.contains_key(name)).collect()
}
