//! What is known of one user, and how it changes. Pure: the time and new ids are passed in.

use std::fmt;

use serde::{Deserialize, Serialize};
use tidings_channels::{SnsTarget, Subscription, Target};
use tidings_model::ChannelKind;

/// The most contacts of one kind.
pub(crate) const MAX_OF_KIND: usize = 16;

/// Where one user is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Book {
    contacts: Vec<Contact>,
}

/// One way to a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// Names it, within its user, without saying what it is.
    pub id: ContactId,
    /// Where it leads.
    pub target: Target,
    /// Who said so.
    pub origin: Origin,
    /// The device, of a browser.
    pub device: Option<String>,
    /// Seconds since 1970-01-01T00:00:00Z at which it was set.
    pub since: u64,
    /// Set if the receiver has said that it does not exist any more: nothing is sent there.
    pub trouble: Option<Trouble>,
}

/// Names a contact within its user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContactId(pub String);

impl fmt::Display for ContactId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Who has set a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// An administrator.
    Administrator,
    /// A claim of the user's token.
    Token,
    /// The user's browser.
    Browser,
}

/// What a receiver has said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub since: u64,
    /// Why, for people.
    pub reason: String,
}

/// The kinds of contacts, which are set apart from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Email,
    PhoneNumber,
    SnsEndpoint,
    SnsTopic,
    Webhook,
    WebPush,
}

impl Kind {
    /// The kind of a target.
    #[must_use]
    pub fn of(target: &Target) -> Self {
        match target {
            Target::Email(_) => Self::Email,
            Target::Sns(SnsTarget::PhoneNumber(_)) => Self::PhoneNumber,
            Target::Sns(SnsTarget::Endpoint(_)) => Self::SnsEndpoint,
            Target::Sns(SnsTarget::Topic(_)) => Self::SnsTopic,
            Target::Webhook(_) => Self::Webhook,
            Target::WebPush(_) => Self::WebPush,
        }
    }
}

/// Makes ids.
type NewId<'n> = &'n mut dyn FnMut() -> ContactId;

impl Book {
    /// All of them.
    #[must_use]
    pub fn contacts(&self) -> &[Contact] {
        &self.contacts
    }

    /// Where this channel sends to. What administrators have set counts before what tokens claim; what a receiver has called gone
    /// does not count.
    pub fn reachable(&self, channel: ChannelKind) -> impl Iterator<Item = &Contact> {
        let is_set = |kind| {
            let set = |contact: &&Contact| contact.origin == Origin::Administrator && contact.kind() == kind;
            self.contacts.iter().any(|contact| set(&contact))
        };
        self.contacts.iter().filter(move |contact| {
            let is_overruled = contact.origin == Origin::Token && is_set(contact.kind());
            contact.target.channel() == channel && contact.trouble.is_none() && !is_overruled
        })
    }

    /// Puts these in the place of all of a kind that administrators have set; and of all browsers, whoever has set them. One that
    /// was there before keeps its id, and what its receiver has said is forgotten.
    pub(crate) fn replace(
        &mut self,
        kind: Kind,
        targets: Vec<(Option<String>, Target)>,
        now: u64,
        new_id: NewId<'_>,
    ) {
        let is_replaced = |contact: &Contact| {
            contact.kind() == kind && (contact.origin == Origin::Administrator || kind == Kind::WebPush)
        };
        let (before, kept) = std::mem::take(&mut self.contacts).into_iter().partition(is_replaced);
        self.contacts = kept;
        let before: Vec<Contact> = before;
        for (device, target) in targets {
            let is_same = |contact: &&Contact| {
                contact.target == target && contact.device == device && contact.origin != Origin::Token
            };
            if self.contacts.iter().any(|contact| is_same(&contact)) {
                continue;
            }
            let known = before.iter().find(is_same).cloned();
            let contact = known.map_or_else(
                || Contact {
                    id: new_id(),
                    target: target.clone(),
                    origin: Origin::Administrator,
                    device: device.clone(),
                    since: now,
                    trouble: None,
                },
                |known| Contact { trouble: None, ..known },
            );
            self.contacts.push(contact);
        }
    }

    /// Notes what a user's token claims. What its receiver has said stays, unless the claim is another one.
    pub fn claim(&mut self, target: Target, now: u64, new_id: NewId<'_>) {
        let kind = Kind::of(&target);
        let is_claimed = |contact: &Contact| contact.origin == Origin::Token && contact.kind() == kind;
        if self.contacts.iter().any(|contact| is_claimed(contact) && contact.target == target) {
            return;
        }
        self.contacts.retain(|contact| !is_claimed(contact));
        let (id, origin) = (new_id(), Origin::Token);
        self.contacts.push(Contact { id, target, origin, device: None, since: now, trouble: None });
    }

    /// Notes the subscription of a device's browser, in the place of an earlier one of the device or with the same endpoint; and, if
    /// there are too many, in the place of the one that was set first.
    pub fn subscribe(&mut self, device: &str, subscription: &Subscription, now: u64, new_id: NewId<'_>) {
        let device = Some(device.to_owned());
        let is_same = |contact: &Contact| match &contact.target {
            Target::WebPush(known) => contact.device == device || known.endpoint == subscription.endpoint,
            _ => false,
        };
        let known = self.contacts.iter().find(|contact| {
            contact.device == device && contact.target == Target::WebPush(subscription.clone())
        });
        let (id, since) = match known {
            Some(known) => (known.id.clone(), known.since),
            None => (new_id(), now),
        };
        self.contacts.retain(|contact| !is_same(contact));
        let browsers = || self.contacts.iter().filter(|contact| contact.kind() == Kind::WebPush);
        if browsers().count() >= MAX_OF_KIND
            && let Some(oldest) =
                browsers().min_by_key(|contact| contact.since).map(|contact| contact.id.clone())
        {
            self.contacts.retain(|contact| contact.id != oldest);
        }
        let target = Target::WebPush(subscription.clone());
        self.contacts.push(Contact { id, target, origin: Origin::Browser, device, since, trouble: None });
    }

    /// Forgets the subscription of a device's browser.
    pub fn unsubscribe(&mut self, device: &str) {
        self.contacts
            .retain(|contact| contact.kind() != Kind::WebPush || contact.device.as_deref() != Some(device));
    }

    /// Notes that a receiver has called a contact gone. A browser's subscription is forgotten: it is never taken up again.
    pub fn gone(&mut self, id: &ContactId, reason: &str, now: u64) {
        self.contacts.retain(|contact| contact.id != *id || contact.kind() != Kind::WebPush);
        for contact in self.contacts.iter_mut().filter(|contact| contact.id == *id) {
            contact.trouble = Some(Trouble { since: now, reason: reason.to_owned() });
        }
    }
}

impl Contact {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of(&self.target)
    }
}

#[cfg(test)]
mod tests {
    use tidings_channels::SubscriptionKeys;

    use super::*;

    /// Ids 1, 2, 3, …
    fn ids() -> impl FnMut() -> ContactId {
        let mut next = 0;
        move || {
            next += 1;
            ContactId(next.to_string())
        }
    }

    fn email(address: &str) -> Target {
        Target::Email(address.to_owned())
    }

    fn subscription(endpoint: &str) -> Subscription {
        let keys = SubscriptionKeys { p256dh: "p".to_owned(), auth: "a".to_owned() };
        Subscription { endpoint: endpoint.to_owned(), keys }
    }

    fn reachable(book: &Book, channel: ChannelKind) -> Vec<&str> {
        book.reachable(channel).map(|contact| &*contact.id.0).collect()
    }

    #[test]
    fn what_an_administrator_sets_counts_before_what_a_token_claims() {
        let (mut book, mut id) = (Book::default(), ids());
        book.claim(email("claimed"), 1, &mut id);
        book.claim(Target::Sns(SnsTarget::PhoneNumber("+49".to_owned())), 1, &mut id);
        assert_eq!(reachable(&book, ChannelKind::Email), ["1"]);
        book.replace(Kind::Email, vec![(None, email("set")), (None, email("set"))], 2, &mut id);
        assert_eq!(reachable(&book, ChannelKind::Email), ["3"], "once, and not the claimed one");
        assert_eq!(reachable(&book, ChannelKind::Sns), ["2"], "which is another kind");
        book.claim(email("claimed"), 3, &mut id);
        book.replace(Kind::Email, Vec::new(), 4, &mut id);
        assert_eq!(reachable(&book, ChannelKind::Email), ["1"]);
        book.claim(email("another"), 5, &mut id);
        assert_eq!(reachable(&book, ChannelKind::Email), ["4"]);
        assert_eq!(book.contacts().len(), 2);
    }

    #[test]
    fn what_is_gone_gets_nothing_until_it_is_set_again() {
        let (mut book, mut id) = (Book::default(), ids());
        let both = || vec![(None, email("a")), (None, email("b"))];
        book.replace(Kind::Email, both(), 1, &mut id);
        book.gone(&ContactId("1".to_owned()), "550 5.1.1", 2);
        assert_eq!(reachable(&book, ChannelKind::Email), ["2"]);
        let trouble = Trouble { since: 2, reason: "550 5.1.1".to_owned() };
        assert_eq!(book.contacts()[0].trouble, Some(trouble));
        book.replace(Kind::Email, both(), 3, &mut id);
        assert_eq!(reachable(&book, ChannelKind::Email), ["1", "2"]);
        book.claim(email("c"), 4, &mut id);
        book.gone(&ContactId("3".to_owned()), "", 5);
        book.claim(email("c"), 6, &mut id);
        book.replace(Kind::Email, Vec::new(), 7, &mut id);
        assert_eq!(reachable(&book, ChannelKind::Email), [""; 0], "each token claims it again");
    }

    #[test]
    fn a_device_has_one_browser_and_a_browser_one_device() {
        let (mut book, mut id) = (Book::default(), ids());
        book.subscribe("laptop", &subscription("x"), 1, &mut id);
        book.subscribe("phone", &subscription("y"), 1, &mut id);
        book.subscribe("laptop", &subscription("x"), 2, &mut id);
        assert_eq!(reachable(&book, ChannelKind::WebPush), ["2", "1"]);
        book.subscribe("laptop", &subscription("z"), 3, &mut id);
        assert_eq!(reachable(&book, ChannelKind::WebPush), ["2", "3"], "in the place of the earlier one");
        book.subscribe("tablet", &subscription("z"), 4, &mut id);
        assert_eq!(reachable(&book, ChannelKind::WebPush), ["2", "4"], "the same browser under another name");
        book.gone(&ContactId("4".to_owned()), "410", 5);
        book.unsubscribe("tv");
        assert_eq!(reachable(&book, ChannelKind::WebPush), ["2"]);
        book.unsubscribe("phone");
        assert!(book.contacts().is_empty());
        for number in 0..=MAX_OF_KIND as u64 {
            book.subscribe(&number.to_string(), &subscription(&number.to_string()), number, &mut id);
        }
        let devices: Vec<_> = book.contacts().iter().map(|contact| contact.device.as_deref()).collect();
        assert_eq!((devices.len(), devices[0]), (MAX_OF_KIND, Some("1")), "the first has made room");
    }
}
