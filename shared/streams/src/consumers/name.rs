//! Names a consumer by tenant, user and device, and encodes the name for NATS.
//!
//! Users and devices are arbitrary texts, so both are encoded wherever NATS would interpret them. No two consumers
//! share a key or a name.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tidings_model::{Address, Event, Tenant, subject};

/// The longest encoded part that a JetStream consumer's name contains literally: with a tenant's 32 bytes, two parts
/// and the separators the name stays below the server's limit of 255 bytes.
const LONGEST_PART: usize = 100;
/// Separates the parts of a JetStream consumer's name; no encoded part contains it.
const SEPARATOR: char = '+';
/// Begins a part that is a hash; no encoded part contains it.
const HASHED: char = '~';

/// The name of a durable consumer. Cheap to clone: the parts are shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerName(Arc<Parts>);

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Parts {
    tenant: Tenant,
    user: Box<str>,
    device: Box<str>,
}

impl ConsumerName {
    /// The maximum length of a user and of a device in bytes: that of an address's id.
    pub const MAX_PART_LENGTH: usize = Address::MAX_ID_LENGTH;

    /// Creates the name. Any text of 1 to [`ConsumerName::MAX_PART_LENGTH`] bytes is valid as a user or a device.
    pub fn new(
        tenant: Tenant,
        user: impl Into<String>,
        device: impl Into<String>,
    ) -> Result<Self, ConsumerNameError> {
        let parts = Parts { tenant, user: user.into().into(), device: device.into().into() };
        for (part, text) in [("user", &parts.user), ("device", &parts.device)] {
            if text.is_empty() || text.len() > Self::MAX_PART_LENGTH {
                return Err(ConsumerNameError { part, length: text.len() });
            }
        }
        Ok(Self(Arc::new(parts)))
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.0.tenant
    }

    /// The user, as the token names them.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.0.device
    }

    /// `client/<user>/<device>`, the CloudEvents source of messages that the user publishes from this device.
    #[must_use]
    pub fn event_source(&self) -> String {
        format!("client/{}/{}", name_part(&self.0.user), name_part(&self.0.device))
    }

    /// The id of the event that a user's message becomes: the client's message id, unless it is not valid as an event
    /// id. Together with the event's source it is unique among users.
    #[must_use]
    pub fn event_id(message_id: &str) -> String {
        let can_travel = message_id.len() <= Event::MAX_ID_LENGTH && !message_id.contains(char::is_control);
        if can_travel { message_id.to_owned() } else { name_part(message_id) }
    }

    /// `client/<tenant>/<user>/<message id>`, by which the projector detects a message that is sent again: equal for
    /// all devices of the user, and unique among users. It is regarded only on the subjects to which gateways publish,
    /// so no producer's event has it.
    #[must_use]
    pub fn publication_id(&self, message_id: &str) -> String {
        format!("client/{}/{}/{}", self.0.tenant, name_part(&self.0.user), name_part(message_id))
    }

    /// `<tenant>.<user>.<device>`, a key of a key-value bucket.
    pub(crate) fn to_key(&self) -> String {
        format!("{}.{}.{}", self.0.tenant, subject::encode(&self.0.user), subject::encode(&self.0.device))
    }

    /// Parses a key made by [`ConsumerName::to_key`].
    pub(crate) fn from_key(key: &str) -> Option<Self> {
        let mut tokens = key.split('.');
        let tenant = Tenant::parse(tokens.next()?).ok()?;
        let (user, device) = (subject::decode(tokens.next()?)?, subject::decode(tokens.next()?)?);
        if tokens.next().is_some() {
            return None;
        }
        Self::new(tenant, user, device).ok()
    }

    /// The keys of a tenant, or of one of its users, with NATS wildcards.
    pub(crate) fn keys_of(tenant: &Tenant, user: Option<&str>) -> String {
        match user {
            None => format!("{tenant}.>"),
            Some(user) => format!("{tenant}.{}.*", subject::encode(user)),
        }
    }

    /// `<tenant>+<user>+<device>`, the name of a JetStream consumer. A part that is too long is replaced by `~` and its
    /// SHA-256.
    pub(crate) fn to_consumer(&self) -> String {
        format!("{}{}", Self::consumers_of(&self.0.tenant, Some(&self.0.user)), name_part(&self.0.device))
    }

    /// The prefix of the names of all JetStream consumers of a tenant, or of one of its users.
    pub(crate) fn consumers_of(tenant: &Tenant, user: Option<&str>) -> String {
        match user {
            None => format!("{tenant}{SEPARATOR}"),
            Some(user) => format!("{tenant}{SEPARATOR}{}{SEPARATOR}", name_part(user)),
        }
    }
}

fn name_part(text: &str) -> String {
    let encoded = subject::encode(text);
    if encoded.len() <= LONGEST_PART { encoded } else { format!("{HASHED}{:x}", Sha256::digest(text)) }
}

impl fmt::Display for ConsumerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.0.tenant, self.0.user, self.0.device)
    }
}

/// A user or device that cannot have a consumer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {part} of {length} bytes cannot have a durable consumer; 1 to {max} bytes can", max = ConsumerName::MAX_PART_LENGTH)]
pub struct ConsumerNameError {
    /// `user` or `device`.
    part: &'static str,
    length: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(user: &str, device: &str) -> ConsumerName {
        ConsumerName::new(Tenant::parse("ops").unwrap(), user, device).unwrap()
    }

    #[test]
    fn keys_and_consumer_names_are_readable_where_they_can_be() {
        let plain = name("john.doe", "phone 1");
        assert_eq!(plain.to_key(), "ops.john=2Edoe.phone=201");
        assert_eq!(plain.to_consumer(), "ops+john=2Edoe+phone=201");
        assert_eq!(plain.to_string(), "ops/john.doe/phone 1");
    }

    #[test]
    fn any_id_has_a_key_and_a_consumer_name_of_its_own() {
        let long = "x".repeat(ConsumerName::MAX_PART_LENGTH);
        let hash = name_part(&long);
        let ids = ["a.b", "a b", "*", ">", "-", "=", "+", "~", "a+b", "é", "/", "default", &long, &hash];
        let all: Vec<_> = ids.iter().flat_map(|user| ids.iter().map(|device| name(user, device))).collect();
        let mut keys = std::collections::HashSet::new();
        let mut consumers = std::collections::HashSet::new();
        for name in &all {
            let (key, consumer) = (name.to_key(), name.to_consumer());
            assert_eq!(ConsumerName::from_key(&key).as_ref(), Some(name));
            assert!(
                consumer.len() <= 255 && !consumer.contains(['.', '*', '>', ' ', '/', '\\']),
                "{consumer}"
            );
            assert!(consumer.starts_with(&ConsumerName::consumers_of(name.tenant(), Some(name.user()))));
            assert!(keys.insert(key) && consumers.insert(consumer), "{name}");
        }
    }

    #[test]
    fn what_users_say_has_ids_of_their_own() {
        assert_eq!(name("john.doe", "phone 1").event_source(), "client/john=2Edoe/phone=201");
        assert_eq!(name("john.doe", "phone 1").publication_id("m/1"), "client/ops/john=2Edoe/m=2F1");
        for id in ["m-1", "a/b", "é", "", " ", "*"] {
            assert_eq!(ConsumerName::event_id(id), id, "as the client gave it");
        }
        let long = "x".repeat(ConsumerName::MAX_PART_LENGTH);
        let ids = ["a/b", "a", "b", "b/c", "/", "", "~", "é\u{0}", "*", &long, &long[1..], &name_part(&long)];
        let mut seen = std::collections::HashSet::new();
        for user in ids.iter().filter(|user| !user.is_empty()) {
            for message in &ids {
                let event_id = ConsumerName::event_id(message);
                assert!(event_id.len() <= Event::MAX_ID_LENGTH && !event_id.contains(char::is_control));
                let id = name(user, "d").publication_id(message);
                assert!(id.len() <= 2 * Event::MAX_ID_LENGTH && id.is_ascii(), "{id}");
                assert!(seen.insert(id), "{user:?} {message:?}");
            }
        }
        assert!(name(&long, &long).event_source().len() <= Event::MAX_ID_LENGTH);
    }

    #[test]
    fn only_ids_of_a_bounded_length_are_taken() {
        let tenant = || Tenant::parse("ops").unwrap();
        let long = "x".repeat(ConsumerName::MAX_PART_LENGTH + 1);
        for (user, device) in [("", "a"), ("a", ""), (&long, "a"), ("a", &long)] {
            assert!(ConsumerName::new(tenant(), user, device).is_err());
        }
        for key in ["", "ops", "ops.a", "ops.a.b.c", "Ops.a.b", "ops.a.b=2", "ops.=.b", "ops.-.b"] {
            assert_eq!(ConsumerName::from_key(key), None, "{key}");
        }
    }
}
