//! Converts between a JetStream consumer and the state of a durable consumer.
//!
//! The metadata holds the whole state as JSON, including the position that Tidings saved last. The ack floor alone is
//! not enough: the server raises it when retention passes it, which would hide a gap that must be announced to the
//! user. As long as no client has acknowledged anything since the last reset, the older of the two is the position.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, Info, pull};
use serde::de::Error as _;
use tidings_model::{Address, EnvelopeSubject, Epoch, Place, Tenant};

use super::super::state::ConsumerState;
use super::super::{ConsumerName, ConsumerStoreError, StoredConsumer};
use crate::nats::record;
use crate::nats::record::RecordError;

const USER: &str = "tidings.user";
const DEVICE: &str = "tidings.device";
const TENANT: &str = "tidings.tenant";
const STATE: &str = "tidings.state";

/// Any change of the threshold makes the server restart its inactivity timer.
const RENEWAL: Duration = Duration::from_millis(1);

/// The configuration of the consumer with this state, once the consumer has been moved to the state's position.
pub(super) fn config(
    name: &ConsumerName,
    state: &ConsumerState,
    filter_subjects: Vec<String>,
    inactive_threshold: Duration,
) -> Result<pull::Config, ConsumerStoreError> {
    let json =
        record::encode(state).map_err(async_nats::Error::from).and_then(|json| Ok(String::from_utf8(json)?));
    let json =
        json.map_err(|error| ConsumerStoreError::unavailable(format!("save consumer {name}"), error))?;
    let metadata =
        [(TENANT, name.tenant().as_str()), (USER, name.user()), (DEVICE, name.device()), (STATE, &json)];
    Ok(pull::Config {
        durable_name: Some(name.to_consumer()),
        description: Some("Tidings: where a user's device stands".to_owned()),
        // The only policy under which a consumer can be moved anywhere.
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::All,
        filter_subjects,
        inactive_threshold,
        metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..pull::Config::default()
    })
}

/// Returns the wanted threshold or, if the consumer has that already, one that differs by a millisecond: the server
/// renews a consumer when it is pulled from or when this setting changes.
pub(super) fn renewed(current: Duration, wanted: Duration) -> Duration {
    if current == wanted { wanted + RENEWAL } else { wanted }
}

/// The subjects of the consumer's grants and topics; never empty, as no filter would match everything.
pub(super) fn filter_subjects(tenant: &Tenant, state: &ConsumerState, stream: Epoch) -> Vec<String> {
    let generation = Place::generation_of(state.position.epoch, stream, Place::MOST_GENERATIONS);
    let generation = generation.unwrap_or_default();
    let place = Place { generation, ..Place::default() };
    // A name that cannot be a topic has no envelopes.
    let topics = state.subscriptions.keys().filter_map(|topic| Address::topic(topic).ok());
    let addresses: BTreeSet<Address> = state.grants.iter().cloned().chain(topics).collect();
    if addresses.is_empty() {
        return vec![format!("envelopes.{tenant}.nothing")];
    }
    addresses.iter().map(|address| EnvelopeSubject::at(tenant, address, place)).collect()
}

/// Whether the consumer already has these filters.
pub(super) fn same_filters(info: &Info, filters: &[String]) -> bool {
    info.config.filter_subjects.iter().collect::<BTreeSet<_>>() == filters.iter().collect()
}

/// Reads the state of the consumer.
pub(super) fn stored(info: &Info) -> Result<StoredConsumer, ConsumerStoreError> {
    let mut state: ConsumerState =
        record::decode(text(info, STATE)?.as_bytes()).map_err(|source| damaged(info, source))?;
    let floor = info.ack_floor.stream_sequence;
    let acknowledged_by_others = info.ack_floor.consumer_sequence > 0;
    let saved = state.position.sequence;
    state.position.sequence = if acknowledged_by_others { floor } else { floor.min(saved) };
    Ok(StoredConsumer { state, pending: Some(pending(info)), revision: 0 })
}

/// Reads the state of the consumer, and its name.
pub(super) fn named(info: &Info) -> Result<(ConsumerName, StoredConsumer), ConsumerStoreError> {
    let wrong = |error: &dyn std::error::Error| malformed(info, error);
    let tenant = Tenant::parse(text(info, TENANT)?).map_err(|error| wrong(&error))?;
    let name =
        ConsumerName::new(tenant, text(info, USER)?, text(info, DEVICE)?).map_err(|error| wrong(&error))?;
    Ok((name, stored(info)?))
}

/// The number of envelopes that the consumer has not acknowledged.
pub(super) fn pending(info: &Info) -> u64 {
    info.num_pending + u64::try_from(info.num_ack_pending).unwrap_or(u64::MAX)
}

fn text<'i>(info: &'i Info, key: &str) -> Result<&'i str, ConsumerStoreError> {
    let metadata: &HashMap<_, _> = &info.config.metadata;
    let missing = || malformed(info, &format_args!("its metadata lacks {key}"));
    metadata.get(key).map(String::as_str).ok_or_else(missing)
}

fn malformed(info: &Info, reason: &dyn std::fmt::Display) -> ConsumerStoreError {
    damaged(info, RecordError::Members(serde_json::Error::custom(reason)))
}

fn damaged(info: &Info, source: RecordError) -> ConsumerStoreError {
    ConsumerStoreError::Damaged { key: info.name.clone(), source }
}
