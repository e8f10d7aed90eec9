//! Users, the envelopes they missed and their positions, written directly to JetStream in the form that the projector
//! and the gateways write.

use async_nats::header::{HeaderMap, HeaderValue, NATS_MESSAGE_TTL};
use async_nats::jetstream;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tidings_model::{
    Address, Attributes, Class, Envelope, EnvelopeSubject, Epoch, Origin, PlacedPosition, Position,
};
use tidings_streams::EnvelopeWriter;
use tidings_streams::consumers::{Change, ConsumerName, ConsumerStore as _, Presence};
use time::OffsetDateTime;

use crate::deployment::{Deployment, TENANT, tenant};
use crate::failure::Failure;

/// The number of publications in flight: the projector's default.
pub(crate) const IN_FLIGHT: usize = 1024;
/// The lifetime of a consumer's entry in seconds: the default of `consumers.inactive_after`.
const TIME_TO_LIVE: u64 = 30 * 24 * 60 * 60;

/// The name of a user.
pub(crate) fn user(index: u64) -> String {
    format!("user-{index:07}")
}

/// The addresses that the user's token opens.
pub(crate) fn addresses(user: &str) -> Result<[Address; 3], Failure> {
    Ok([Address::new("user", user)?, Address::new("role", "reader")?, Address::new("org", "o1")?])
}

/// A message's body: JSON of about this many bytes.
pub(crate) fn body(length: usize) -> Bytes {
    let frame = r#"{"type":"notification","data":{"title":"Shift","message":""}}"#.len();
    let text = "x".repeat(length.saturating_sub(frame));
    format!(r#"{{"type":"notification","data":{{"title":"Shift","message":"{text}"}}}}"#).into()
}

/// Appends one envelope for each address, in order, as the projector does.
pub(crate) async fn write_envelopes(
    deployment: &Deployment,
    addresses: impl IntoIterator<Item = Address>,
    body: &Bytes,
) -> Result<u64, Failure> {
    let (mut writer, _) = EnvelopeWriter::open(&deployment.topology).await?;
    let first = deployment.topology.extent().await?.last + 1;
    let now = OffsetDateTime::now_utc();
    for (sequence, address) in (first..).zip(addresses) {
        while !writer.has_room() {
            writer.stored().await?;
        }
        writer.send(&envelope(address, sequence, body)?, now).await?;
    }
    writer.confirm().await?;
    Ok(first)
}

/// An envelope as the projector writes it for an event with one message.
pub(crate) fn envelope(address: Address, sequence: u64, body: &Bytes) -> Result<Envelope, Failure> {
    Ok(Envelope {
        subject: envelope_subject(address)?,
        event_id: format!("event-{sequence}"),
        event_source: Some("/bench".to_owned()),
        origin: Origin { event: Position { epoch: Epoch(1), sequence }, message: 0, part: 0 },
        attributes: Attributes::new(),
        expires_at: None,
        trace_parent: None,
        body: body.clone(),
    })
}

/// The subject of envelopes for this address.
pub(crate) fn envelope_subject(address: Address) -> Result<EnvelopeSubject, Failure> {
    let (slot, key) = ("notification".to_owned(), None);
    Ok(EnvelopeSubject { tenant: tenant()?, class: Class::Durable, address, slot, key })
}

/// Publishes events as a producer does, one for each payload.
pub(crate) async fn write_events(
    deployment: &Deployment,
    name: &str,
    payloads: impl IntoIterator<Item = Bytes>,
) -> Result<(), Failure> {
    let context = jetstream::new(deployment.client.clone());
    let subject = event_subject(name);
    let mut under_way = FuturesOrdered::new();
    for payload in payloads {
        if under_way.len() >= IN_FLIGHT
            && let Some(stored) = under_way.next().await
        {
            let _: jetstream::publish::PublishAck = stored?;
        }
        let sent = context.publish(subject.clone(), payload).await?;
        under_way.push_back(std::future::IntoFuture::into_future(sent));
    }
    while let Some(stored) = under_way.next().await {
        stored?;
    }
    Ok(())
}

/// The subject of events of this name (`<entity>.<action>`).
pub(crate) fn event_subject(name: &str) -> String {
    format!("events.{TENANT}.{name}")
}

/// A notification for one of `users` users, of about this many bytes.
pub(crate) fn notification(index: u64, users: u64, length: usize) -> Bytes {
    let user = user(index % users);
    let frame = format!(r#"{{"userId":"{user}","title":"Shift","message":""}}"#).len();
    let text = "x".repeat(length.saturating_sub(frame));
    format!(r#"{{"userId":"{user}","title":"Shift","message":"{text}"}}"#).into()
}

/// Writes a consumer at a position for each user, over any existing one. Entries are written as the gateway does, but
/// without first counting the user's devices.
pub(crate) async fn write_consumers(
    deployment: &Deployment,
    users: impl IntoIterator<Item = String>,
    position: Position,
) -> Result<(), Failure> {
    let context = jetstream::new(deployment.client.clone());
    let tenant = tenant()?;
    let seen_at = u64::try_from(OffsetDateTime::now_utc().unix_timestamp())?;
    let placed = PlacedPosition { generation: 0, position };
    let mut last = None;
    let mut under_way = FuturesOrdered::new();
    for user in users {
        if under_way.len() >= IN_FLIGHT
            && let Some(stored) = under_way.next().await
        {
            let _: jetstream::publish::PublishAck = stored?;
        }
        let mut change = Change::new(placed, Presence::Left("another".to_owned()), seen_at);
        change.grants = addresses(&user)?.into();
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_TTL, HeaderValue::from(TIME_TO_LIVE));
        let state = serde_json::to_vec(&change.apply(None))?;
        let subject = format!("$KV.CONSUMERS.{tenant}.{user}.default");
        let sent = context.publish_with_headers(subject, headers, state.into()).await?;
        under_way.push_back(std::future::IntoFuture::into_future(sent));
        last = Some(user);
    }
    while let Some(stored) = under_way.next().await {
        stored?;
    }
    // The store defines the form of an entry: check that it can read them.
    if let Some(user) = last {
        let name = ConsumerName::new(tenant, user, "default")?;
        let stored = deployment.consumers.load(&name).await?.ok_or("a consumer is missing in the store")?;
        if stored.state.position != position {
            return Err(format!("consumer {name} is at {}, not at {position}", stored.state.position).into());
        }
    }
    Ok(())
}
