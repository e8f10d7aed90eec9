//! The durable consumer of `EVENTS` that projectors share.

use std::time::Duration;

use async_nats::jetstream::consumer::{
    AckPolicy, DeliverPolicy, IntoConsumerConfig as _, PriorityPolicy, PullConsumer, pull,
};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::stream::Stream;

use crate::nats::ensure;
use crate::topology::Topology;

pub(super) const GROUP: &str = "projector";
/// A standby takes over when the active projector has not pulled for this long.
const TAKEOVER: Duration = Duration::from_secs(3);
/// Well below the takeover, as each pull renews the pin.
pub(super) const PULL_EXPIRY: Duration = Duration::from_secs(1);
pub(super) const HEARTBEAT: Duration = Duration::from_millis(500);
/// An event that is not acknowledged by then is delivered again. The last events of a stopped projector wait that long;
/// a redelivery to a slow projector is detected and costs little.
const ACK_WAIT: Duration = Duration::from_secs(5);
/// The reader's caller bounds what is in flight. A bound at the server would include deliveries to a stopped projector,
/// and its successor would wait until they are delivered again.
const NO_LIMIT: i64 = -1;

/// The sequence up to which all events are acknowledged.
pub(super) async fn acknowledged(stream: &Stream, name: &str) -> Result<u64, ReaderError> {
    match stream.consumer_info(name).await {
        Ok(info) => Ok(info.ack_floor.stream_sequence),
        // The consumer is created again before the next event is read.
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(0),
        Err(source) => Err(ReaderError::new(name, source)),
    }
}

pub(super) async fn open_consumer(stream: &Stream, name: &str) -> Result<PullConsumer, ReaderError> {
    let config = pull::Config {
        durable_name: Some(name.to_owned()),
        description: Some("Tidings: how far the projector is".to_owned()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::All,
        ack_wait: ACK_WAIT,
        max_ack_pending: NO_LIMIT,
        priority_policy: PriorityPolicy::PinnedClient,
        priority_groups: vec![GROUP.to_owned()],
        priority_timeout: TAKEOVER,
        ..pull::Config::default()
    };
    let wanted = (&config).into_consumer_config();
    let opened = stream.get_or_create_consumer(name, config).await;
    let consumer = opened.map_err(|source| ReaderError::new(name, source))?;
    // An existing consumer is not altered, only checked.
    let found = &consumer.cached_info().config;
    ensure::consumer::check(name, &wanted, found).map_err(|source| ReaderError::new(name, source))?;
    Ok(consumer)
}

/// Creates the durable consumer of this name so that it continues behind a sequence.
pub(crate) async fn continue_behind(
    topology: &Topology,
    name: &str,
    sequence: u64,
) -> Result<(), async_nats::Error> {
    open_consumer(&topology.events, name).await?;
    if sequence > 0 {
        topology.events.reset_consumer(name, Some(sequence.saturating_add(1))).await?;
    }
    Ok(())
}

/// The durable consumer cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the durable consumer {name:?} of stream EVENTS")]
pub struct ReaderError {
    name: String,
    #[source]
    source: async_nats::Error,
}

impl ReaderError {
    /// Whether the error may be transient, so that no setting has to be changed.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        !self.source.is::<ensure::consumer::DifferentConsumer>()
    }

    pub(super) fn new(name: &str, source: impl Into<async_nats::Error>) -> Self {
        Self { name: name.to_owned(), source: source.into() }
    }
}
