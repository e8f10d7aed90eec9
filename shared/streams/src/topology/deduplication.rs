//! The server's deduplication of `EVENTS` is off: the projector recognizes repetitions.
//!
//! nats-server knows a message by its `Nats-Msg-Id` alone, whatever its subject: the id of one tenant would swallow the
//! event of another one that has the same id, and the second of two different events with one id would be dropped without
//! a trace.
//!
//! A window of 0 means two minutes to nats-server, unless the stream has a source. So `EVENTS` has a source that brings
//! nothing: it is reached through a prefix of the JetStream API on which nobody listens. It needs no other stream, in no
//! account, and no consumer, and it leaves no line in the server's log. The leader of the stream sends one request every
//! two minutes that reaches nobody.
//!
//! Before 2.14 nats-server does not regard sources there; before 2.15 it has no index of what came from a source, and reads
//! the whole stream backwards at each change of its leader to look for it. Such a server gets the shortest window that it
//! takes, and no source: there, two messages with the same `Nats-Msg-Id` within 100 ms are still one.

use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, External, Source, Stream};

use super::{EVENTS, server};

/// The shortest window that nats-server takes.
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);
/// The prefix on which nobody listens.
const NOWHERE: &str = "TIDINGS.NOWHERE.API";

/// The window and the sources of a stream that is not to deduplicate.
pub(super) fn off(client: &Client) -> (Duration, Option<Vec<Source>>) {
    if !server::indexes_sources(client) {
        return (SHORTEST_WINDOW, None);
    }
    let external = External { api_prefix: NOWHERE.to_owned(), delivery_prefix: None };
    let nothing = Source { name: "NOTHING".to_owned(), external: Some(external), ..Source::default() };
    (Duration::ZERO, Some(vec![nothing]))
}

/// Turns the deduplication of an `EVENTS` off that was created by an older version, or on an older server. It is the only
/// setting that is ever altered; where that is not permitted, as to a projector with an account of its own, the
/// difference is reported with the others.
pub(super) async fn turn_off(context: &Context, wanted: &Config, found: Stream) -> Stream {
    let config = &found.cached_info().config;
    if wanted.name != EVENTS || config.duplicate_window == wanted.duplicate_window {
        return found;
    }
    let own = config.sources.clone().filter(|sources| !sources.is_empty());
    let altered = Config {
        duplicate_window: wanted.duplicate_window,
        sources: own.or_else(|| wanted.sources.clone()),
        ..config.clone()
    };
    if let Err(error) = context.update_stream(&altered).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "cannot turn off the deduplication of stream EVENTS: an event is dropped if another one has the same \
             Nats-Msg-Id, also one of another tenant; run `tidings projector ls` once as an administrator, who may do it"
        );
        return found;
    }
    tracing::info!("turned off the deduplication of stream EVENTS; the projector recognizes repetitions");
    context.get_stream(EVENTS).await.unwrap_or(found)
}
