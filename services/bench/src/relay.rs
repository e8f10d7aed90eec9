//! A bare relay, the least that a process between `EVENTS` and `ENVELOPES` can do: consume, publish, wait for the
//! acknowledgement, acknowledge. It parses nothing and keeps no state.

use std::collections::VecDeque;
use std::future::pending;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::message::Acker;
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use tidings_model::{Address, Envelope, Place, headers};
use tidings_streams::{EnvelopeWriter, Topology};
use time::OffsetDateTime;

use crate::arguments::RelayOptions;
use crate::deployment::{TOPIC, settings};
use crate::failure::Failure;
use crate::population::{IN_FLIGHT, body, envelope, envelope_subject, user};

/// The number of events requested at once, as the projector does.
const AHEAD: usize = 1024;

/// Relays until it is killed.
pub(crate) async fn run(options: &RelayOptions) -> Result<(), Failure> {
    let client = async_nats::connect(&options.nats).await?;
    let mut relay = Relay::open(&client, options).await?;
    let config = pull::Config {
        durable_name: Some(options.consumer.clone()),
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: -1,
        ..pull::Config::default()
    };
    let events = jetstream::new(client).get_stream("EVENTS").await?;
    let consumer = events.create_consumer(config).await?;
    let mut messages = consumer.stream().max_messages_per_batch(AHEAD).messages().await?;
    loop {
        tokio::select! {
            biased;
            done = relay.writer.stored() => acknowledge(done?).await?,
            Some(message) = messages.next(), if relay.writer.has_room() => {
                let (message, acker) = message?.split();
                relay.publish_all(&message.payload, acker).await?;
            }
        }
    }
}

struct Relay {
    writer: Writer,
    /// Prefix of message ids: NATS would drop those of an earlier relay as duplicates.
    prefix: String,
    addresses: Vec<Address>,
    /// The body that is sent to every subject instead of the event.
    broadcast: Option<Bytes>,
    published: u64,
}

/// Publishes in order; the last publication of an event carries the event to acknowledge.
enum Writer {
    /// With a message id only, each acknowledged.
    Bare(Box<Context>, FuturesOrdered<BoxFuture<'static, Result<Option<Acker>, Failure>>>),
    /// In batches, as the projector writes.
    Envelopes(Box<EnvelopeWriter>, VecDeque<Option<Acker>>),
}

impl Writer {
    fn has_room(&self) -> bool {
        match self {
            Self::Bare(_, under_way) => under_way.len() < IN_FLIGHT,
            Self::Envelopes(writer, _) => writer.has_room(),
        }
    }

    /// The events of publications that are stored now; waits for at least one publication.
    async fn stored(&mut self) -> Result<Vec<Acker>, Failure> {
        match self {
            Self::Bare(_, under_way) => match under_way.next().await {
                Some(stored) => Ok(stored?.into_iter().collect()),
                None => pending().await,
            },
            Self::Envelopes(writer, under_way) => {
                let stored = writer.stored().await?.count().min(under_way.len());
                Ok(under_way.drain(..stored).flatten().collect())
            }
        }
    }
}

impl Relay {
    async fn open(client: &async_nats::Client, options: &RelayOptions) -> Result<Self, Failure> {
        let addresses = match options.users {
            None => vec![Address::new("topic", TOPIC)?],
            Some(users) => {
                (0..users).map(|index| Address::new("user", &user(index))).collect::<Result<_, _>>()?
            }
        };
        let writer = if options.headers {
            let topology = Topology::ensure(client, &settings()).await?;
            Writer::Envelopes(Box::new(EnvelopeWriter::open(&topology).await?.0), VecDeque::new())
        } else {
            Writer::Bare(Box::new(jetstream::new(client.clone())), FuturesOrdered::new())
        };
        Ok(Self {
            writer,
            prefix: options.consumer.clone(),
            addresses,
            broadcast: options.broadcast.map(body),
            published: 0,
        })
    }

    async fn publish_all(&mut self, event: &Bytes, acker: Acker) -> Result<(), Failure> {
        let Some(body) = self.broadcast.clone() else {
            return self.publish(event.clone(), Some(acker)).await;
        };
        for _ in 1..self.addresses.len() {
            self.publish(body.clone(), None).await?;
        }
        self.publish(body, Some(acker)).await
    }

    /// Publishes to the next subject in turn.
    async fn publish(&mut self, body: Bytes, acker: Option<Acker>) -> Result<(), Failure> {
        while !self.writer.has_room() {
            acknowledge(self.writer.stored().await?).await?;
        }
        let address = self.addresses[usize::try_from(self.published)? % self.addresses.len()].clone();
        self.published += 1;
        let id = format!("{}-{}", self.prefix, self.published);
        match &mut self.writer {
            Writer::Bare(context, under_way) => {
                let subject = envelope_subject(address)?;
                let mut map = HeaderMap::new();
                map.insert(headers::MESSAGE_ID, id);
                let sent =
                    context.publish_with_headers(subject.written_in(Place::default()), map, body).await?;
                under_way.push_back(Box::pin(async { sent.await.map(|_| acker).map_err(Failure::from) }));
            }
            Writer::Envelopes(writer, under_way) => {
                let envelope = Envelope { event_id: id, ..envelope(address, self.published, &body)? };
                writer.send(&envelope, OffsetDateTime::now_utc()).await?;
                under_way.push_back(acker);
            }
        }
        Ok(())
    }
}

async fn acknowledge(events: Vec<Acker>) -> Result<(), Failure> {
    for acker in events {
        acker.ack().await?;
    }
    Ok(())
}
