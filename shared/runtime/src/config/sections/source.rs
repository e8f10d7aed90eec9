//! A source: a stream of a team's own whose messages become events.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the copying of a source begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceBegin {
    /// With the first message that the stream still has.
    #[default]
    All,
    /// With the first message that is stored after the projector has seen the stream.
    New,
}

/// A JetStream stream of a team's own, whose messages become events of a tenant. Nothing of it changes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Name of the source, in logs and figures, and under which is kept how far it is copied. Keep it when anything else
    /// changes; another stream is another source.
    #[schemars(with = "String", extend("format" = "consumer-name"))]
    pub name: String,
    /// Name of the stream. It keeps its messages by limits, not as a work queue or by interest.
    #[schemars(length(min = 1))]
    pub stream: String,
    /// Subjects to copy, which may have wildcards and do not overlap; without them, all of the stream.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "minLength": 1 }))]
    pub subjects: Vec<String>,
    /// Tenant whose events the messages become.
    #[schemars(with = "String", extend("format" = "tenant"))]
    pub tenant: String,
    /// Name of a message's event, `<entity>.<action>`, with places such as `{subject.2}` (the second token of the subject),
    /// `{header.NAME}` and `{body.type}`.
    #[schemars(length(min = 1))]
    pub event: String,
    /// Names for what `event` gives, where that is no event's name: `OrderPaid = "order.paid"`.
    #[serde(default)]
    #[schemars(extend("additionalProperties" = { "type": "string", "minLength": 1 }))]
    pub events: BTreeMap<String, String>,
    /// Where copying begins, the first time: `all` with the oldest message of the stream, or `new` with the next one.
    #[serde(default)]
    pub begin: SourceBegin,
    /// Where the JetStream API of the stream's account or domain is reached, such as `$JS.hub.API`; without it,
    /// `nats.api_prefix`.
    #[serde(default)]
    #[schemars(with = "String", extend("format" = "nats-subject"))]
    pub api_prefix: Option<String>,
}
