//! What is shown of a user's contacts: as much as lets the user recognise them.

use serde::Serialize;
use tidings_channels::Target;
use tidings_model::{Tenant, serialize_seconds};
use tidings_streams::users::UserName;

use crate::book::{Book, Contact, ContactId, Kind, Origin};

/// What is shown of a user's contacts.
#[derive(Debug, Serialize)]
pub struct BookReport<'b> {
    tenant: &'b Tenant,
    user: &'b str,
    contacts: Vec<ContactReport<'b>>,
}

#[derive(Debug, Serialize)]
struct ContactReport<'b> {
    id: &'b ContactId,
    kind: Kind,
    /// Part of it.
    shown: String,
    origin: Origin,
    device: Option<&'b str>,
    #[serde(serialize_with = "serialize_seconds")]
    since: u64,
    gone: Option<GoneReport<'b>>,
}

#[derive(Debug, Serialize)]
struct GoneReport<'b> {
    #[serde(serialize_with = "serialize_seconds")]
    since: u64,
    reason: &'b str,
}

impl<'b> BookReport<'b> {
    /// Reports all contacts.
    #[must_use]
    pub fn new(name: &'b UserName, book: &'b Book) -> Self {
        let contacts = book.contacts().iter().map(ContactReport::new).collect();
        Self { tenant: name.tenant(), user: name.user(), contacts }
    }
}

impl<'b> ContactReport<'b> {
    fn new(contact: &'b Contact) -> Self {
        let Contact { id, target, origin, device, since, trouble } = contact;
        let gone =
            trouble.as_ref().map(|trouble| GoneReport { since: trouble.since, reason: &trouble.reason });
        let (kind, device) = (contact.kind(), device.as_deref());
        Self { id, kind, shown: shown(target), origin: *origin, device, since: *since, gone }
    }
}

fn shown(target: &Target) -> String {
    match target {
        Target::Email(address) => {
            let (name, domain) = address.rsplit_once('@').unwrap_or(("", ""));
            let first: String = name.chars().take(1).collect();
            format!("{first}…@{domain}")
        }
        Target::Sns(target) => target.shown(),
        Target::Webhook(target) => target.origin().to_owned(),
        Target::WebPush(subscription) => subscription.origin().to_owned(),
    }
}
