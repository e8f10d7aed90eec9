//! Where users are reached who are not connected: e-mail addresses, phone numbers, endpoints of Amazon SNS, webhooks, and the
//! browsers that have subscribed to notifications.
//!
//! ```text
//!   administrator, token, browser ──▶ Book: changed by pure functions ──▶ Keyring: sealed ──▶ bucket CONTACTS
//!   dispatcher ◀── targets of a channel ◀── Book ◀── opened
//! ```
//!
//! Invariants:
//!
//! - What is stored is encrypted, and bound to its tenant and user: the record of one cannot be put in the place of another's.
//! - Nothing of it is shown: reports and `Debug` have at most what lets its owner recognise it.
//! - A contact that a receiver calls gone gets nothing more, until it is set again.
//! - A purge of a user leaves nothing; it needs no key.

mod book;
mod keyring;
mod report;
mod store;
mod update;

pub use book::{Book, Contact, ContactId, Kind, Origin, Trouble};
pub use keyring::{Keyring, KeyringError, OpenError};
pub use report::BookReport;
pub use store::{Contacts, ContactsError, new_id};
pub use tidings_channels::{SnsTarget, Subscription, Target};
pub use update::{BrowserSubscription, Update, UpdateError};
