//! Who may not come in although the token is good, as the bucket `USERS` says.
//!
//! All that matters of the bucket is known here, so that a handshake asks nobody. While NATS is away, what was
//! known last counts. Before the bucket was read for the first time nobody is let in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use axum::http::StatusCode;
use tidings_model::Tenant;
use tidings_streams::users::{Mark, Revocation, UserNews, UserState, UserWatch, Users};
use tokio_util::sync::CancellationToken;

/// What is known of users.
pub(crate) struct KnownUsers {
    store: Users,
    /// `None` until all of the bucket was read. Users of whom there is nothing to say are not in it.
    known: RwLock<Option<HashMap<Tenant, HashMap<String, UserState>>>>,
    version: AtomicU64,
}

/// Why somebody may not come in, or stay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Barred {
    #[error("the gateway does not know yet who may come in; try again")]
    Unknown,
    /// What the administrator says is not for the user.
    #[error("this user is switched off; ask those who look after the application")]
    Disabled(Mark),
    #[error("the token is revoked; get a fresh one")]
    Revoked(Revocation),
}

impl Barred {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::SERVICE_UNAVAILABLE,
            Self::Disabled(_) => StatusCode::FORBIDDEN,
            Self::Revoked(_) => StatusCode::UNAUTHORIZED,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "STARTING",
            Self::Disabled(_) => "USER_DISABLED",
            Self::Revoked(_) => "TOKEN_REVOKED",
        }
    }
}

impl KnownUsers {
    pub(crate) fn new(store: Users) -> Self {
        Self { store, known: RwLock::default(), version: AtomicU64::new(0) }
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
        if let Some(mark) = &state.disabled {
            return Err(Barred::Disabled(mark.clone()));
        }
        state.revocation_of(issued_at).map_or(Ok(()), |revocation| Err(Barred::Revoked(revocation.clone())))
    }

    /// Becomes another one after every change of what is known.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Takes over what the watch tells.
    pub(crate) fn learn(&self, news: UserNews) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let entries = match news {
            UserNews::All(all) => {
                *known = None;
                all.into_iter().collect()
            }
            UserNews::One(name, state) => vec![(name, state)],
        };
        let tenants = known.get_or_insert_default();
        for (name, state) in entries {
            let users = tenants.entry(name.tenant().clone()).or_default();
            if state.is_empty() {
                users.remove(name.user());
            } else {
                users.insert(name.user().to_owned(), state);
            }
        }
        drop(known);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Keeps up with the bucket until cancelled.
    pub(crate) async fn run(&self, mut watch: UserWatch, cancelled: &CancellationToken) {
        while let Some(news) = cancelled.run_until_cancelled(watch.next()).await {
            self.learn(news);
        }
    }
}
