//! Checks durable consumers like streams: an existing consumer with other settings would silently skip events.

use async_nats::jetstream::consumer;

use super::{Difference, Differences, differences};

/// Fails if a consumer would not deliver the expected messages. Time limits are left to the operator.
pub(crate) fn check(
    name: &str,
    wanted: &consumer::Config,
    found: &consumer::Config,
) -> Result<(), DifferentConsumer> {
    let differences = differences(&[
        ("filter_subjects", &filters(wanted), &filters(found)),
        ("deliver_policy", &wanted.deliver_policy, &found.deliver_policy),
        ("ack_policy", &wanted.ack_policy, &found.ack_policy),
        ("max_deliver", &wanted.max_deliver.max(0), &found.max_deliver.max(0)),
        ("headers_only", &wanted.headers_only, &found.headers_only),
        ("replay_policy", &wanted.replay_policy, &found.replay_policy),
        ("deliver_subject", &wanted.deliver_subject, &found.deliver_subject),
        ("priority_policy", &wanted.priority_policy, &found.priority_policy),
        ("priority_groups", &wanted.priority_groups, &found.priority_groups),
        ("max_ack_pending", &wanted.max_ack_pending, &found.max_ack_pending),
    ]);
    if differences.is_empty() {
        return Ok(());
    }
    Err(DifferentConsumer { name: name.to_owned(), differences })
}

fn filters(config: &consumer::Config) -> Vec<&str> {
    let one = Some(config.filter_subject.as_str()).filter(|subject| !subject.is_empty());
    config.filter_subjects.iter().map(String::as_str).chain(one).collect()
}

/// The consumer exists but cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "consumer {name} exists with other settings: {}; Tidings does not alter it: remove it with `nats consumer rm`; \
     events are then projected again from the oldest retained one",
    Differences(differences)
)]
pub(crate) struct DifferentConsumer {
    name: String,
    differences: Vec<Difference>,
}
