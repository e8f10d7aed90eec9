//! A bare sender, the least that a process between `ENVELOPES` and sockets can do: consume, frame once, write to all
//! sockets in a loop. It checks no tokens and keeps no state.

use std::io::Write as _;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures_util::StreamExt as _;
use tidings_protocol::framing::text_with_sequence;

use crate::arguments::SenderOptions;
use crate::failure::Failure;
use crate::limit::accept;

/// The consumer exists before the clients connect, and must not expire meanwhile.
const INACTIVE: Duration = Duration::from_secs(60 * 60);

/// Sends until it is killed.
pub(crate) async fn serve(options: &SenderOptions) -> Result<(), Failure> {
    let envelopes = jetstream::new(async_nats::connect(&options.nats).await?).get_stream("ENVELOPES").await?;
    let config =
        pull::Config { ack_policy: AckPolicy::None, inactive_threshold: INACTIVE, ..pull::Config::default() };
    let consumer = envelopes.create_consumer(config).await?;
    let mut clients = tokio::task::block_in_place(|| accept(options.connections))?;
    let mut messages = consumer.messages().await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        let sequence = message.info()?.stream_sequence;
        let frame = text_with_sequence(sequence, &format!("event-{sequence}"), &message.payload)?;
        tokio::task::block_in_place(|| clients.iter_mut().try_for_each(|client| client.write_all(&frame)))?;
    }
    Ok(())
}
