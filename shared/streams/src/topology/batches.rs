//! Permits fast ingest (NATS ADR-50) in streams that an earlier version created: the writer of envelopes relies on it, and
//! copies of sources are stored faster with it.
//!
//! Such a stream of envelopes also has a subject that is not used any more. A process that may not create streams, such as a gateway,
//! accepts the stream as it is: it may start before the projector does.

use async_nats::jetstream::Context;
use async_nats::jetstream::context::UpdateStreamError;
use async_nats::jetstream::stream::{Config, Stream};
use tidings_model::ShardNumber;

use super::subjects::any_fence;
use crate::nats::{Difference, Missing, TopologyError, ensure};

/// Opens a stream of envelopes; where it may be created, also permits fast ingest.
pub(super) async fn open_envelopes(
    context: &Context,
    shard: ShardNumber,
    wanted: Config,
    missing: Missing,
) -> Result<Stream, TopologyError> {
    let stream = ensure::find_or_create(context, &wanted, missing).await?;
    // A stream that is refused is left alone.
    ensure::check(&wanted, &without_former(&stream.cached_info().config, shard))?;
    if missing == Missing::Created { permit(context, &wanted, stream).await } else { Ok(stream) }
}

/// The settings without the subject that is not used any more.
pub(crate) fn without_former(found: &Config, shard: ShardNumber) -> Config {
    let mut config = found.clone();
    config.subjects.retain(|subject| *subject != any_fence(shard));
    config
}

/// Permits fast ingest, and nothing else that was not permitted before. Subjects that are not used stay: a gateway of an
/// earlier version requires them.
async fn permit(context: &Context, wanted: &Config, found: Stream) -> Result<Stream, TopologyError> {
    let config = &found.cached_info().config;
    if config.allow_batch_publish {
        return Ok(found);
    }
    let stream = wanted.name.clone();
    if let Err(error) = permit_in(context, config).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            stream,
            "cannot permit fast ingest in the stream; run `tidings projector ls` once with an administrator's login"
        );
        let setting = "allow_batched";
        let difference = Difference { setting, found: "false".to_owned(), wanted: "true".to_owned() };
        return Err(TopologyError::Different { stream, differences: vec![difference] });
    }
    context.get_stream(&stream).await.map_err(|source| TopologyError::Lookup { stream, source })
}

/// Permits fast ingest in `EVENTS`. Where accounts do not let it, copies of sources are stored one at a time.
pub(super) async fn permit_in_events(context: &Context, found: Stream) -> Stream {
    let config = &found.cached_info().config;
    if config.allow_batch_publish {
        return found;
    }
    if let Err(error) = permit_in(context, config).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "cannot permit fast ingest in stream EVENTS: sources are copied one message at a time; run `tidings projector \
             ls` once with an administrator's login"
        );
        return found;
    }
    context.get_stream(&config.name).await.unwrap_or(found)
}

async fn permit_in(context: &Context, config: &Config) -> Result<(), UpdateStreamError> {
    context.update_stream(&Config { allow_batch_publish: true, ..config.clone() }).await?;
    tracing::info!(stream = config.name, "permitted fast ingest in the stream");
    Ok(())
}
