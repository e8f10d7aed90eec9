//! How events reach a system: the same subjects and the same stream for both. The catalog of Tidings makes the body of an
//! event and finds its receiver; for Centrifugo, a header names the channel, and the body is what it is to be.

use std::future::IntoFuture as _;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, Context};
use async_nats::{Client, HeaderMap};
use futures_util::future::try_join_all;

use super::wire::{CHANNELS, Protocol, Receiver, body, channel_of};
use crate::failure::Failure;
use crate::population::event_subject;

/// Publishes events with ascending numbers, from 1.
pub(super) struct Publisher {
    context: Context,
    protocol: Protocol,
    /// Bytes of a message's body.
    length: usize,
    last: u64,
}

impl Publisher {
    pub(super) fn new(client: &Client, protocol: Protocol, length: usize) -> Self {
        Self { context: jetstream::new(client.clone()), protocol, length, last: 0 }
    }

    /// The number of the last event.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Publishes an event for each receiver; returns when all are stored.
    pub(super) async fn publish(
        &mut self,
        receivers: impl IntoIterator<Item = Receiver>,
    ) -> Result<(), Failure> {
        let mut stored = Vec::new();
        for receiver in receivers {
            stored.push(self.send(&receiver).await?.into_future());
        }
        try_join_all(stored).await?;
        Ok(())
    }

    /// Publishes so many events a second, the first at once; returns when each was sent.
    pub(super) async fn publish_at(
        &mut self,
        rate: u64,
        receivers: impl IntoIterator<Item = Receiver>,
    ) -> Result<Vec<Instant>, Failure> {
        let period = Duration::from_secs(1) / u32::try_from(rate.max(1))?;
        let began = tokio::time::Instant::now();
        let (mut moments, mut stored) = (Vec::new(), Vec::new());
        for (receiver, index) in receivers.into_iter().zip(0u32..) {
            tokio::time::sleep_until(began + period * index).await;
            moments.push(Instant::now());
            stored.push(self.send(&receiver).await?.into_future());
        }
        try_join_all(stored).await?;
        Ok(moments)
    }

    async fn send(&mut self, receiver: &Receiver) -> Result<jetstream::context::PublishAckFuture, Failure> {
        self.last += 1;
        let body = body(receiver, self.last, self.length);
        let name = match receiver {
            Receiver::Topic => "announcement.made",
            Receiver::User(_) => "notification.created",
        };
        let mut headers = HeaderMap::new();
        let payload = match (self.protocol, receiver) {
            (Protocol::Centrifugo, _) => {
                headers.insert(CHANNELS, channel_of(receiver));
                body.to_string()
            }
            (Protocol::Tidings, Receiver::Topic) => body.to_string(),
            (Protocol::Tidings, Receiver::User(_)) => body["data"].to_string(),
        };
        Ok(self.context.publish_with_headers(event_subject(name), headers, payload.into()).await?)
    }
}
