//! Between a JetStream consumer and the state of a durable consumer.
//!
//! The metadata holds the whole state as JSON, the position that Tidings saved last included. The
//! ack floor alone would not do: the server raises it by itself when retention passes it, which
//! would turn a gap that the user must hear of into silence. As long as no client has
//! acknowledged anything since the last reset, the older of the two is the position.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, Info, pull};
use serde::de::Error as _;
use tidings_model::{Address, EnvelopeSubject, Epoch, Place, Tenant};

use super::super::state::ConsumerState;
use super::super::{ConsumerName, ConsumerStoreError, StoredConsumer};
use crate::record::{self, RecordError};

const USER: &str = "tidings.user";
const DEVICE: &str = "tidings.device";
const TENANT: &str = "tidings.tenant";
const STATE: &str = "tidings.state";

/// Any change of the threshold makes the server count anew.
const RENEWAL: Duration = Duration::from_millis(1);

/// A stream that was made anew later than so many microseconds is not taken for a generation of the one before it.
const MOST_GENERATIONS: u32 = 10_000;

/// The consumer that has this state once it has been moved to the state's position.
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

/// A threshold that is the wanted one but for a millisecond, and not the one that the consumer has:
/// the server renews a consumer when it is pulled from or when this changes.
pub(super) fn renewed(current: Duration, wanted: Duration) -> Duration {
    if current == wanted { wanted + RENEWAL } else { wanted }
}

/// What lies in the stream for the consumer's grants and topics; never empty, as no filter would mean
/// everything.
pub(super) fn filter_subjects(tenant: &Tenant, state: &ConsumerState, stream: Epoch) -> Vec<String> {
    let generation = Place::generation_of(state.position.epoch, stream, MOST_GENERATIONS).unwrap_or_default();
    let place = Place { generation, ..Place::default() };
    // What is no topic's name has no envelopes.
    let topics = state.subscriptions.keys().filter_map(|topic| Address::topic(topic).ok());
    let addresses: BTreeSet<Address> = state.grants.iter().cloned().chain(topics).collect();
    if addresses.is_empty() {
        return vec![format!("envelopes.{tenant}.nothing")];
    }
    addresses.iter().map(|address| EnvelopeSubject::at(tenant, address, place)).collect()
}

/// Whether the consumer has these filters already.
pub(super) fn same_filters(info: &Info, filters: &[String]) -> bool {
    info.config.filter_subjects.iter().collect::<BTreeSet<_>>() == filters.iter().collect()
}

/// The state that the consumer has.
pub(super) fn stored(info: &Info) -> Result<StoredConsumer, ConsumerStoreError> {
    let mut state: ConsumerState =
        record::decode(text(info, STATE)?.as_bytes()).map_err(|source| damaged(info, source))?;
    let floor = info.ack_floor.stream_sequence;
    let acknowledged_by_others = info.ack_floor.consumer_sequence > 0;
    let saved = state.position.sequence;
    state.position.sequence = if acknowledged_by_others { floor } else { floor.min(saved) };
    Ok(StoredConsumer { state, pending: Some(pending(info)), revision: 0 })
}

/// The state that the consumer has, and whose it is.
pub(super) fn named(info: &Info) -> Result<(ConsumerName, StoredConsumer), ConsumerStoreError> {
    let wrong = |error: &dyn std::error::Error| malformed(info, error);
    let tenant = Tenant::parse(text(info, TENANT)?).map_err(|error| wrong(&error))?;
    let name =
        ConsumerName::new(tenant, text(info, USER)?, text(info, DEVICE)?).map_err(|error| wrong(&error))?;
    Ok((name, stored(info)?))
}

/// How many envelopes wait for the consumer to acknowledge them.
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
