//! Watches the bucket `USERS`: first all of its entries, then each change.

use std::collections::HashMap;
use std::sync::Arc;

use tidings_model::Epoch;

use super::{UserName, UserState, parse};
use crate::nats::record::Reported;
use crate::nats::{Bucket, BucketNews, BucketWatch, Delivered};

/// What a watch returns.
#[derive(Debug)]
pub enum UserNews {
    /// All users with a record in this epoch of the bucket; all others have none.
    All(Epoch, HashMap<UserName, KnownState>),
    /// The new record of one user.
    One(UserName, KnownState),
}

/// The record of a user; `None` if it cannot be read, in which case the user is to be refused.
pub type KnownState = Option<UserState>;

/// Reads the bucket and its changes.
pub struct UserWatch(BucketWatch<(UserName, KnownState)>);

impl UserWatch {
    pub(super) fn new(bucket: Bucket, reported: Arc<Reported<UserName>>) -> Self {
        Self(BucketWatch::new(bucket, move |key, delivered| {
            let name = UserName::from_key(key);
            if name.is_none() {
                tracing::warn!(key, "skipped an entry of the bucket USERS whose key is not a user");
            }
            let name = name?;
            let state = state(&reported, &name, delivered);
            Some((name, state))
        }))
    }

    /// Returns what comes next; first of all, and after every fault, [`UserNews::All`]. Waits until faults of NATS have
    /// passed. Cancel-safe.
    pub async fn next(&mut self) -> UserNews {
        match self.0.next().await {
            BucketNews::All(epoch, mut all) => {
                all.retain(|(_, state)| !state.as_ref().is_some_and(UserState::is_empty));
                UserNews::All(epoch, all.into_iter().collect())
            }
            BucketNews::One((name, state)) => UserNews::One(name, state),
        }
    }
}

fn state(reported: &Reported<UserName>, name: &UserName, delivered: &Delivered) -> KnownState {
    let Delivered { message, sequence, .. } = delivered;
    let read = parse(message.headers.as_ref(), &message.payload);
    read.inspect_err(|error| {
        if reported.is_new(name, *sequence) {
            let error = error as &dyn std::error::Error;
            tracing::error!(
                user = %name, error,
                "an entry of the bucket USERS cannot be read; the user is refused"
            );
        }
    })
    .ok()
}
