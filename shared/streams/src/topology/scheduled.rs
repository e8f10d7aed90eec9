//! The stream `SCHEDULED`, and `EVENTS` that takes from it what is due.
//!
//! JetStream's scheduled messages (NATS ADR-51) need a stream that discards old messages and has no sources, and `EVENTS`
//! refuses new ones and has sources. So events wait in a stream of their own, which stores them once more on another of its
//! own subjects when they are due; `EVENTS` has it as a source, with that subject turned into the event's. Nothing of ours
//! ticks, and an event that is due is stored in `EVENTS` even while no projector runs.
//!
//! Nothing in `SCHEDULED` expires but what was due or cancelled, so the stream has no limits of its own: each would remove
//! events that still wait. nats-server before 2.15 searches the whole of a stream with a source at each change of its leader;
//! there, events cannot be scheduled.

use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, Source, Stream, SubjectTransform};
use tidings_model::ScheduleSubject;

use super::{EVENTS, SCHEDULED, server};
use crate::nats::{Missing, TopologyError, ensure};

/// Opens the stream; creates it if it is missing and may be created. `None` where the server cannot schedule events.
pub(super) async fn open(
    context: &Context,
    wanted: Config,
    missing: Missing,
) -> Result<Option<Stream>, TopologyError> {
    // Only projectors and administrators use it.
    if missing == Missing::Awaited || !server::indexes_sources(&context.client()) {
        return Ok(None);
    }
    ensure::open(context, wanted, missing).await.map(Some)
}

/// These sources of `EVENTS`, and `SCHEDULED`.
pub(super) fn with_scheduled(client: &Client, sources: Option<Vec<Source>>) -> Option<Vec<Source>> {
    if !server::indexes_sources(client) {
        return sources;
    }
    let due = SubjectTransform {
        source: ScheduleSubject::ALL_DUE.to_owned(),
        destination: ScheduleSubject::DUE_AS_EVENT.to_owned(),
    };
    let source = Source { name: SCHEDULED.to_owned(), subject_transforms: vec![due], ..Source::default() };
    Some(sources.into_iter().flatten().chain([source]).collect())
}

/// Adds `SCHEDULED` to the sources of an `EVENTS` stream that an earlier version created. Where this is not permitted, events
/// wait in `SCHEDULED` until it was done, and none is lost.
pub(super) async fn take_due(context: &Context, found: Stream) -> Stream {
    let config = &found.cached_info().config;
    let has_it = |sources: &Vec<Source>| sources.iter().any(|source| source.name == SCHEDULED);
    if config.sources.as_ref().is_some_and(has_it) {
        return found;
    }
    let sources = with_scheduled(&context.client(), config.sources.clone());
    if sources == config.sources {
        return found;
    }
    if let Err(error) = context.update_stream(&Config { sources, ..config.clone() }).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "cannot make SCHEDULED a source of stream EVENTS: events that are due wait there; run `tidings projector ls` \
             once with an administrator's login"
        );
        return found;
    }
    tracing::info!("stream EVENTS takes events that are due from stream SCHEDULED");
    context.get_stream(EVENTS).await.unwrap_or(found)
}
