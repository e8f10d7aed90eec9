//! The comparison: users served from a JetStream consumer each, through the client library as its documentation shows
//! it.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, Message};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_model::{EnvelopeSubject, Place};

use crate::arguments::Source;
use crate::deployment::tenant;
use crate::failure::Failure;
use crate::population::{addresses, user};

const STREAM: &str = "ENVELOPES";
/// The number of requests in flight where nothing is measured.
const IN_FLIGHT: usize = 64;
/// How long one user's messages may take.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The stream of all consumers.
pub(crate) async fn envelopes(client: &async_nats::Client) -> Result<Stream, Failure> {
    Ok(jetstream::new(client.clone()).get_stream(STREAM).await?)
}

/// Creates a durable consumer that has read nothing for each of the first `count` users.
pub(crate) async fn create_durables(stream: &Stream, count: u64) -> Result<(), Failure> {
    let creations = stream::iter(0..count).map(async |index| {
        let user = user(index);
        let config = pull::Config {
            durable_name: Some(user.clone()),
            filter_subjects: filters(&user)?,
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::All,
            ..pull::Config::default()
        };
        stream.create_consumer(config).await?;
        Ok::<_, Failure>(())
    });
    creations.buffer_unordered(IN_FLIGHT).try_collect().await
}

/// Moves the durable consumers of the first `count` users back to the beginning.
pub(crate) async fn rewind_durables(stream: &Stream, count: u64) -> Result<(), Failure> {
    let resets = stream::iter(0..count).map(async |index| {
        stream.reset_consumer(&user(index), Some(1)).await?;
        Ok::<_, Failure>(())
    });
    resets.buffer_unordered(IN_FLIGHT).try_collect().await
}

/// Reads what a user missed.
pub(crate) async fn read(
    stream: &Stream,
    source: Source,
    user: &str,
    missed: u64,
) -> Result<Vec<Message>, Failure> {
    match source {
        Source::Durable => {
            let consumer: PullConsumer = stream.get_consumer(user).await?;
            fetch(&consumer, missed).await
        }
        Source::Fresh => {
            let config = pull::Config {
                filter_subjects: filters(user)?,
                deliver_policy: DeliverPolicy::All,
                ack_policy: AckPolicy::None,
                memory_storage: true,
                num_replicas: 1,
                ..pull::Config::default()
            };
            let consumer = stream.create_consumer(config).await?;
            let messages = fetch(&consumer, missed).await?;
            stream.delete_consumer(&consumer.cached_info().name).await?;
            Ok(messages)
        }
    }
}

async fn fetch(consumer: &PullConsumer, missed: u64) -> Result<Vec<Message>, Failure> {
    // Not `fetch`, which does not wait: a busy server then returns only some of the messages.
    let batch = consumer.batch().max_messages(usize::try_from(missed)?).expires(PATIENCE).messages().await?;
    let messages = batch.try_collect::<Vec<_>>().await?;
    if messages.len() as u64 != missed {
        return Err(format!("a consumer gave {} messages instead of {missed}", messages.len()).into());
    }
    Ok(messages)
}

/// The subjects that the user's token opens.
fn filters(user: &str) -> Result<Vec<String>, Failure> {
    let tenant = tenant()?;
    Ok(addresses(user)?
        .iter()
        .map(|address| EnvelopeSubject::at(&tenant, address, Place::default()))
        .collect())
}
