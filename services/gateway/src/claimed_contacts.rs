//! What users' tokens claim of where they are reached: noted among their contacts, behind their connections.
//!
//! A connection costs a look into a table, and never waits: what was noted within the last hour is not looked at again, and what finds
//! no room in the queue is noted at the user's next connection.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use tidings_access::Claims;
use tidings_contacts::{Contacts, SnsTarget, Target, new_id};
use tidings_streams::users::UserName;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Users whose claims wait to be noted.
const WAITING: usize = 4_096;
/// Users that are remembered as noted.
const REMEMBERED: usize = 100_000;
/// After how many seconds a user's claims are compared with what is stored again: it may have been lost.
const AGAIN: u64 = 3_600;

/// Which claims are noted.
#[derive(Debug, Clone)]
pub struct ContactClaims {
    /// The claim with the e-mail address; `None` notes none.
    pub email: Option<String>,
    /// The claim with the phone number; `None` notes none.
    pub phone_number: Option<String>,
    /// Whether they are noted without `email_verified` and `phone_number_verified`, too.
    pub unverified: bool,
}

/// Notes what tokens claim.
pub(crate) struct ClaimedContacts {
    rules: ContactClaims,
    contacts: Contacts,
    clock: Clock,
    noted: Mutex<HashSet<u64>>,
    hasher: RandomState,
    queue: mpsc::Sender<Claimed>,
    waiting: Mutex<Option<mpsc::Receiver<Claimed>>>,
}

/// What a user's token claims.
struct Claimed {
    user: UserName,
    targets: Vec<Target>,
    key: u64,
}

impl ClaimedContacts {
    pub(crate) fn new(rules: ContactClaims, contacts: Contacts, clock: Clock) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        let (noted, hasher) = (Mutex::default(), RandomState::new());
        Self { rules, contacts, clock, noted, hasher, queue, waiting: Mutex::new(Some(waiting)) }
    }

    /// Notes what a verified token claims, a moment later.
    pub(crate) fn note(&self, claims: &Claims) {
        if !self.contacts.is_on() {
            return;
        }
        let texts = self.rules.texts(claims);
        if texts.iter().all(Option::is_none) {
            return;
        }
        let hour = self.clock.unix_seconds() / AGAIN;
        let key = self.hasher.hash_one((claims.tenant.as_str(), &claims.subject, &texts, hour));
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.contains(&key) {
            return;
        }
        let [email, phone_number] = texts;
        let phone_number = phone_number.map(|number| Target::Sns(SnsTarget::PhoneNumber(number)));
        let targets = email.map(Target::Email).into_iter().chain(phone_number);
        // What cannot be one is of no use; tokens are made by others.
        let targets = targets.filter(|target| target.check().is_ok()).collect();
        let Ok(user) = UserName::new(claims.tenant.clone(), &claims.subject) else { return };
        if self.queue.try_send(Claimed { user, targets, key }).is_ok() {
            if noted.len() >= REMEMBERED {
                noted.clear();
            }
            noted.insert(key);
        }
    }

    /// Stores what was noted, until cancelled.
    pub(crate) async fn run(&self, cancelled: &CancellationToken) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut waiting) = waiting else { return };
        while let Some(Some(claimed)) = cancelled.run_until_cancelled(waiting.recv()).await {
            let Claimed { user, targets, key } = claimed;
            let now = self.clock.unix_seconds();
            let change = self.contacts.change(&user, |book| {
                for target in &targets {
                    book.claim(target.clone(), now, &mut new_id);
                }
            });
            if let Err(error) = change.await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, %user, "what a token claims is noted at the user's next connection");
                self.noted.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            }
        }
    }
}

impl ContactClaims {
    /// E-mail address and phone number, as far as they may be noted.
    fn texts(&self, claims: &Claims) -> [Option<String>; 2] {
        let text = |claim: &Option<String>, verified: &str| {
            let is_verified =
                || claims.all.get(verified).is_some_and(|value| *value == true || *value == "true");
            let text = claims.claim_texts(claim.as_deref()?).next()?.into_owned();
            (self.unverified || is_verified()).then_some(text)
        };
        [text(&self.email, "email_verified"), text(&self.phone_number, "phone_number_verified")]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tidings_model::Tenant;

    use super::*;

    fn claims(all: &Value) -> Claims {
        Claims {
            subject: "ada".to_owned(),
            tenant: Tenant::parse("ops").unwrap(),
            expires_at: 0,
            issued_at: None,
            all: all.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn only_what_is_verified_counts_unless_configured() {
        let claim = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        let rules = |email: &str, unverified| ContactClaims {
            email: claim(email),
            phone_number: claim("phone_number"),
            unverified,
        };
        for (email, unverified, all, expected) in [
            ("email", false, json!({ "email": "a@b.c" }), None),
            ("email", false, json!({ "email": "a@b.c", "email_verified": false }), None),
            ("email", false, json!({ "email": "a@b.c", "email_verified": "yes" }), None),
            ("email", false, json!({ "email": "a@b.c", "email_verified": true }), Some("a@b.c")),
            ("email", false, json!({ "email": "a@b.c", "email_verified": "true" }), Some("a@b.c")),
            ("email", true, json!({ "email": "a@b.c" }), Some("a@b.c")),
            ("app.mail", true, json!({ "app": { "mail": "a@b.c" } }), Some("a@b.c")),
            ("", true, json!({ "email": "a@b.c" }), None),
            ("email", true, json!({ "email": { "no": "text" } }), None),
        ] {
            let [found, number] = rules(email, unverified).texts(&claims(&all));
            assert_eq!((found.as_deref(), number), (expected, None), "{all}");
        }
    }
}
