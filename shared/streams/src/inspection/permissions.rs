//! What a process needs to be allowed, and what its NATS user is allowed. Pure but for the question.
//!
//! The table says what `deploy/nats-accounts.sh` imports for each process; a test compares the two. nats-server tells each
//! user its own permissions.

use std::collections::BTreeSet;

use async_nats::Client;
use serde_json::Value;
use tidings_model::ShardNumber;

use super::{Silence, ask};

/// A process with a NATS user of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A gateway.
    Gateway,
    /// A projector.
    Projector,
    /// A dispatcher.
    Dispatcher,
}

impl Role {
    /// As it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Projector => "projector",
            Self::Dispatcher => "dispatcher",
        }
    }
}

/// One subject that a process needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// It publishes there.
    Publish(String),
    /// It subscribes there.
    Subscribe(String),
}

/// What a user may publish and subscribe to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    publish: Rule,
    subscribe: Rule,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rule {
    /// Everything, if it is empty.
    allow: Vec<String>,
    deny: Vec<String>,
}

/// What every process looks at.
const LOOKS: &[&str] = &[
    "$JS.API.STREAM.INFO.EVENTS",
    "$JS.API.STREAM.INFO.REJECTED",
    "$JS.API.STREAM.INFO.KV_PLACEMENTS",
    "$JS.API.STREAM.MSG.GET.KV_PLACEMENTS",
    "$JS.API.CONSUMER.CREATE.KV_PLACEMENTS",
    "$JS.API.CONSUMER.MSG.NEXT.KV_PLACEMENTS.*",
    "$JS.API.CONSUMER.INFO.KV_PLACEMENTS.*",
    "$JS.API.CONSUMER.DELETE.KV_PLACEMENTS.*",
];

/// What a projector needs besides. `@` stands for the suffix of its shard.
const PROJECTOR: &[&str] = &[
    "events.*.*.*.source.>",
    "$JS.API.STREAM.CREATE.EVENTS",
    "$JS.API.STREAM.MSG.GET.EVENTS",
    "$JS.API.CONSUMER.CREATE.EVENTS",
    "$JS.API.CONSUMER.MSG.NEXT.EVENTS.*",
    "$JS.API.STREAM.INFO.SCHEDULED",
    "$JS.API.STREAM.CREATE.SCHEDULED",
    "$JS.API.STREAM.MSG.GET.SCHEDULED",
    "$JS.API.STREAM.MSG.DELETE.SCHEDULED",
    "scheduled.>",
    "$JS.API.STREAM.CREATE.REJECTED",
    "$JS.API.STREAM.MSG.GET.REJECTED",
    "rejected.>",
    "$JS.API.STREAM.CREATE.KV_PLACEMENTS",
    "$KV.PLACEMENTS.>",
    "$JS.API.STREAM.INFO.KV_PROJECTORS",
    "$JS.API.STREAM.CREATE.KV_PROJECTORS",
    "$JS.API.STREAM.MSG.GET.KV_PROJECTORS",
    "$KV.PROJECTORS.>",
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.KV_CATALOGS",
    "$JS.API.STREAM.CREATE.KV_CATALOGS",
    "$JS.API.DIRECT.GET.KV_CATALOGS.>",
    // Clients that use the key-value API write under a prefix of the API.
    "$JS.API.$KV.CATALOGS.>",
    "$JS.API.CONSUMER.INFO.EVENTS.projector@",
    "$JS.API.CONSUMER.CREATE.EVENTS.projector@",
    "$JS.API.CONSUMER.DELETE.EVENTS.projector@",
    "$JS.ACK.EVENTS.projector@.>",
    "$JS.ACK.*.*.EVENTS.projector@.>",
    "$JS.API.STREAM.INFO.ENVELOPES@",
    "$JS.API.STREAM.MSG.GET.ENVELOPES@",
    "$JS.API.STREAM.CREATE.ENVELOPES@",
    "$JS.API.STREAM.PURGE.ENVELOPES@",
    "$JS.API.STREAM.MSG.DELETE.ENVELOPES@",
    "$JS.API.CONSUMER.CREATE.ENVELOPES@",
    "$JS.API.CONSUMER.MSG.NEXT.ENVELOPES@.*",
    "envelopes@.>",
    "places@.>",
];

/// What a gateway needs besides.
const GATEWAY: &[&str] = &[
    "events.>",
    "$JS.API.STREAM.MSG.GET.EVENTS",
    "$JS.API.CONSUMER.CREATE.REJECTED",
    "$JS.API.CONSUMER.MSG.NEXT.REJECTED.*",
    "$JS.API.CONSUMER.DELETE.REJECTED.*",
    "$JS.API.DIRECT.GET.REJECTED",
    "$JS.API.DIRECT.GET.REJECTED.>",
    "$JS.API.STREAM.MSG.DELETE.REJECTED",
    "$JS.API.STREAM.MSG.GET.REJECTED",
    "$JS.API.STREAM.INFO.DELIVERIES",
    "$JS.API.STREAM.PURGE.DELIVERIES",
    "$JS.API.STREAM.MSG.GET.DELIVERIES",
    "$JS.API.CONSUMER.CREATE.DELIVERIES",
    "$JS.API.CONSUMER.MSG.NEXT.DELIVERIES.*",
    "$JS.API.CONSUMER.DELETE.DELIVERIES.*",
    "deliveries.due.>",
    "deliveries.gateways.*",
    "$JS.API.STREAM.INFO.KV_CONSUMERS",
    "$JS.API.STREAM.CREATE.KV_CONSUMERS",
    "$JS.API.STREAM.MSG.GET.KV_CONSUMERS",
    "$JS.API.STREAM.PURGE.KV_CONSUMERS",
    "$JS.API.DIRECT.GET.KV_CONSUMERS",
    "$JS.API.DIRECT.GET.KV_CONSUMERS.>",
    "$JS.API.CONSUMER.CREATE.KV_CONSUMERS",
    "$JS.API.CONSUMER.CREATE.KV_CONSUMERS.>",
    "$JS.API.CONSUMER.MSG.NEXT.KV_CONSUMERS.>",
    "$JS.API.CONSUMER.DELETE.KV_CONSUMERS.>",
    "$KV.CONSUMERS.>",
    "$JS.API.STREAM.INFO.KV_PROJECTORS",
    "$JS.API.STREAM.MSG.GET.KV_PROJECTORS",
    "$JS.API.STREAM.INFO.KV_USERS",
    "$JS.API.STREAM.CREATE.KV_USERS",
    "$JS.API.STREAM.MSG.GET.KV_USERS",
    "$JS.API.CONSUMER.CREATE.KV_USERS",
    "$JS.API.CONSUMER.CREATE.KV_USERS.>",
    "$JS.API.CONSUMER.MSG.NEXT.KV_USERS.>",
    "$JS.API.CONSUMER.INFO.KV_USERS.>",
    "$KV.USERS.>",
    "$JS.API.STREAM.INFO.KV_KEYS",
    "$JS.API.STREAM.CREATE.KV_KEYS",
    "$JS.API.STREAM.MSG.GET.KV_KEYS",
    "$JS.API.CONSUMER.CREATE.KV_KEYS",
    "$JS.API.CONSUMER.CREATE.KV_KEYS.>",
    "$JS.API.CONSUMER.MSG.NEXT.KV_KEYS.>",
    "$JS.API.CONSUMER.INFO.KV_KEYS.>",
    "$JS.API.CONSUMER.DELETE.KV_KEYS.>",
    "$KV.KEYS.>",
    "$JS.API.STREAM.INFO.KV_PREFERENCES",
    "$JS.API.STREAM.CREATE.KV_PREFERENCES",
    "$JS.API.STREAM.MSG.GET.KV_PREFERENCES",
    "$JS.API.STREAM.PURGE.KV_PREFERENCES",
    "$JS.API.DIRECT.GET.KV_PREFERENCES.>",
    "$KV.PREFERENCES.>",
    "$JS.API.STREAM.INFO.KV_CONTACTS",
    "$JS.API.STREAM.CREATE.KV_CONTACTS",
    "$JS.API.STREAM.MSG.GET.KV_CONTACTS",
    "$JS.API.STREAM.PURGE.KV_CONTACTS",
    "$KV.CONTACTS.>",
    "$JS.API.STREAM.INFO.KV_RECEIPTS",
    "$JS.API.STREAM.CREATE.KV_RECEIPTS",
    "$JS.API.STREAM.MSG.GET.KV_RECEIPTS",
    "$JS.API.DIRECT.GET.KV_RECEIPTS.>",
    "$KV.RECEIPTS.>",
    "$JS.API.STREAM.INFO.ENVELOPES@",
    "$JS.API.STREAM.MSG.GET.ENVELOPES@",
    "$JS.API.STREAM.PURGE.ENVELOPES@",
    "$JS.API.CONSUMER.CREATE.ENVELOPES@",
    "$JS.API.CONSUMER.CREATE.ENVELOPES@.>",
    "$JS.API.CONSUMER.MSG.NEXT.ENVELOPES@.>",
    "$JS.API.DIRECT.GET.ENVELOPES@",
    "$JS.API.DIRECT.GET.ENVELOPES@.>",
    "purges@.>",
];

/// What a dispatcher needs besides.
const DISPATCHER: &[&str] = &[
    "tidings.gateway.*.save.*",
    "$JS.API.STREAM.INFO.KV_CONSUMERS",
    "$JS.API.STREAM.CREATE.KV_CONSUMERS",
    "$JS.API.STREAM.MSG.GET.KV_CONSUMERS",
    "$JS.API.DIRECT.GET.KV_CONSUMERS",
    "$JS.API.DIRECT.GET.KV_CONSUMERS.>",
    "$JS.API.CONSUMER.CREATE.KV_CONSUMERS",
    "$JS.API.CONSUMER.CREATE.KV_CONSUMERS.>",
    "$JS.API.CONSUMER.MSG.NEXT.KV_CONSUMERS.>",
    "$JS.API.CONSUMER.DELETE.KV_CONSUMERS.>",
    "$JS.API.STREAM.INFO.KV_PROJECTORS",
    "$JS.API.STREAM.CREATE.KV_PROJECTORS",
    "$JS.API.STREAM.MSG.GET.KV_PROJECTORS",
    "$KV.PROJECTORS.dispatcher@",
    "$JS.API.STREAM.INFO.KV_USERS",
    "$JS.API.STREAM.CREATE.KV_USERS",
    "$JS.API.STREAM.MSG.GET.KV_USERS",
    "$JS.API.DIRECT.GET.KV_USERS.>",
    "$JS.API.STREAM.INFO.KV_PREFERENCES",
    "$JS.API.STREAM.CREATE.KV_PREFERENCES",
    "$JS.API.STREAM.MSG.GET.KV_PREFERENCES",
    "$JS.API.DIRECT.GET.KV_PREFERENCES.>",
    "$JS.API.STREAM.INFO.KV_CONTACTS",
    "$JS.API.STREAM.CREATE.KV_CONTACTS",
    "$JS.API.STREAM.MSG.GET.KV_CONTACTS",
    "$KV.CONTACTS.>",
    "$JS.API.STREAM.INFO.DELIVERIES",
    "$JS.API.STREAM.CREATE.DELIVERIES",
    "$JS.API.STREAM.MSG.GET.DELIVERIES",
    "$JS.API.STREAM.MSG.DELETE.DELIVERIES",
    "$JS.API.CONSUMER.CREATE.DELIVERIES",
    "$JS.API.CONSUMER.MSG.NEXT.DELIVERIES.*",
    "$JS.API.CONSUMER.DELETE.DELIVERIES.*",
    "deliveries.>",
    "$JS.API.STREAM.INFO.ENVELOPES@",
    "$JS.API.STREAM.MSG.GET.ENVELOPES@",
    "$JS.API.CONSUMER.CREATE.ENVELOPES@",
    "$JS.API.CONSUMER.MSG.NEXT.ENVELOPES@.*",
    "$JS.API.DIRECT.GET.ENVELOPES@",
    "$JS.API.DIRECT.GET.ENVELOPES@.>",
];

/// Where answers come, and where each is asked.
const ANSWERED: &[&str] = &["_INBOX.>"];
/// Where a gateway is asked about connections.
const GATEWAY_ASKED: &[&str] = &["$SRV.PING.tidings-gateway", "tidings.gateway.>"];
/// Where a projector is asked whether it runs.
const PROJECTOR_ASKED: &[&str] = &["$SRV.PING.tidings-projector"];

/// Nobody asks a dispatcher.
const NOWHERE_ASKED: &[&str] = &[];

pub(super) fn duties(role: Role, api_prefix: &str, shards: &BTreeSet<ShardNumber>) -> Vec<Duty> {
    let (own, asked) = match role {
        Role::Gateway => (GATEWAY, GATEWAY_ASKED),
        Role::Projector => (PROJECTOR, PROJECTOR_ASKED),
        Role::Dispatcher => (DISPATCHER, NOWHERE_ASKED),
    };
    let here = |subject: &str| match subject.strip_prefix("$JS.API.") {
        Some(rest) => format!("{api_prefix}.{rest}"),
        None => subject.to_owned(),
    };
    let mut needed = BTreeSet::new();
    for subject in LOOKS.iter().chain(own) {
        if subject.contains('@') {
            let of = |shard: &ShardNumber| Duty::Publish(here(&subject.replace('@', &shard.name(""))));
            needed.extend(shards.iter().map(of));
        } else {
            needed.insert(Duty::Publish(here(subject)));
        }
    }
    let heard = ANSWERED.iter().chain(asked).map(|subject| Duty::Subscribe((*subject).to_owned()));
    needed.extend(heard);
    needed.into_iter().collect()
}

/// Asks nats-server.
pub(super) async fn of(client: &Client) -> Result<Option<Permissions>, Silence> {
    let answer = ask(client, "$SYS.REQ.USER.INFO".to_owned()).await?;
    Ok(answer.pointer("/data/permissions").filter(|found| found.is_object()).map(Permissions::read))
}

impl Permissions {
    fn read(found: &Value) -> Self {
        let list = |rule: &str, kind: &str| {
            let list = found.get(rule).and_then(|rule| rule.get(kind)).and_then(Value::as_array);
            let words = list.into_iter().flatten().filter_map(Value::as_str);
            words.map(str::to_owned).collect()
        };
        let rule = |name| Rule { allow: list(name, "allow"), deny: list(name, "deny") };
        Self { publish: rule("publish"), subscribe: rule("subscribe") }
    }

    /// Whether the user may publish to the subject, or to all that it matches.
    #[must_use]
    pub fn lets_publish(&self, subject: &str) -> bool {
        self.publish.lets(subject)
    }

    /// Whether the user may do this.
    #[must_use]
    pub fn lets(&self, duty: &Duty) -> bool {
        match duty {
            Duty::Publish(subject) => self.publish.lets(subject),
            Duty::Subscribe(subject) => self.subscribe.lets(subject),
        }
    }
}

impl Rule {
    fn lets(&self, subject: &str) -> bool {
        let is_allowed = self.allow.is_empty() || self.allow.iter().any(|allowed| covers(allowed, subject));
        is_allowed && !self.deny.iter().any(|denied| meets(denied, subject))
    }
}

/// Whether everything that `subject` matches is matched by `pattern`, too. A rule for a queue has its name behind a space.
fn covers(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (tokens(pattern), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// Whether something is matched by both.
fn meets(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (tokens(pattern), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (Some(_), Some(">")) | (None, None) => return true,
            (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

fn tokens(pattern: &str) -> std::str::Split<'_, char> {
    pattern.split(' ').next().unwrap_or_default().split('.')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_covers_what_it_matches_wholly() {
        for (pattern, subject, covered, met) in [
            ("events.>", "events.*.*.*.source.>", true, true),
            ("events.*.*", "events.>", false, true),
            ("events.ops.>", "events.>", false, true),
            (">", "$JS.API.INFO", true, true),
            ("a.*", "a.b", true, true),
            ("a.*", "a.*", true, true),
            ("a.*", "a", false, false),
            ("a.>", "a", false, false),
            ("a.b", "a.*", false, true),
            ("a.b queue", "a.b", true, true),
            ("b.>", "a.>", false, false),
        ] {
            assert_eq!(covers(pattern, subject), covered, "{pattern} {subject}");
            assert_eq!(meets(pattern, subject), met, "{pattern} {subject}");
        }
    }

    #[test]
    fn what_is_denied_counts_before_what_is_allowed() {
        let read = |found| Permissions::read(&found);
        let may = read(json!({ "publish": { "allow": [">"], "deny": ["$KV.USERS.>"] } }));
        assert!(may.lets_publish("$KV.KEYS.>") && !may.lets_publish("$KV.USERS.>"));
        assert!(may.lets(&Duty::Subscribe("_INBOX.>".to_owned())));
        let may = read(json!({ "subscribe": { "allow": ["_INBOX.>"] } }));
        assert!(!may.lets(&Duty::Subscribe("tidings.gateway.>".to_owned())));
        assert!(read(json!({})).lets_publish("a"));
    }

    #[test]
    fn duties_are_for_each_shard_and_this_prefix() {
        let shards = BTreeSet::from([ShardNumber(0), ShardNumber(2)]);
        let needed = duties(Role::Projector, "TIDINGS.API", &shards);
        for subject in ["envelopes.>", "envelopes_2.>", "TIDINGS.API.CONSUMER.INFO.EVENTS.projector_2"] {
            assert!(needed.contains(&Duty::Publish(subject.to_owned())), "{subject}");
        }
    }
}
