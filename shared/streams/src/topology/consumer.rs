//! Durable consumers are checked like streams: one that lies there with other settings would pass events by, silently.

use async_nats::jetstream::consumer;

use super::{Difference, Differences, differences};

/// Refuses a consumer that does not deliver what is wanted. Limits of time are left to the operator.
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

/// A consumer is there but cannot serve.
#[derive(Debug, thiserror::Error)]
#[error(
    "consumer {name} exists with other settings: {}; Tidings alters no consumer: remove it with `nats consumer rm`, and \
     events are projected again from the oldest that is retained",
    Differences(differences)
)]
pub(crate) struct DifferentConsumer {
    name: String,
    differences: Vec<Difference>,
}
