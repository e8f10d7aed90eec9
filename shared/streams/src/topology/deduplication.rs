//! Disables the server's deduplication of `EVENTS`: the projector detects duplicates.
//!
//! nats-server identifies a message by its `Nats-Msg-Id` alone, whatever its subject. It would drop an event whose id
//! was already used by another tenant, and the second of two different events with one id, without a trace.
//!
//! nats-server reads a window of 0 as two minutes, unless the stream has a source. Therefore `EVENTS` has a source that
//! delivers nothing: it is reached through a prefix of the JetStream API that has no responder. It needs no other
//! stream, in no account, and no consumer, and it writes nothing to the server's log. The leader of the stream sends
//! one request every two minutes, which nothing receives.
//!
//! nats-server before 2.15 has no index of sourced messages, and searches the whole stream backwards for them at each
//! change of its leader. Such a server gets the shortest window that it accepts, and no source: there, two messages with
//! the same `Nats-Msg-Id` within 100 ms are still one.

use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, External, Source, Stream};

use super::{EVENTS, server};

/// The shortest window that nats-server accepts.
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);
/// An API prefix without a responder.
const NOWHERE: &str = "TIDINGS.NOWHERE.API";

/// The window and the sources that disable deduplication.
pub(super) fn off(client: &Client) -> (Duration, Option<Vec<Source>>) {
    if !server::indexes_sources(client) {
        return (SHORTEST_WINDOW, None);
    }
    let external = External { api_prefix: NOWHERE.to_owned(), delivery_prefix: None };
    let nothing = Source { name: "NOTHING".to_owned(), external: Some(external), ..Source::default() };
    (Duration::ZERO, Some(vec![nothing]))
}

/// Disables the deduplication of an `EVENTS` stream that was created by an older version, or on an older server: by way of
/// the shortest window, since nats-server forgets ids by a timer that an update starts at once and that may read the window
/// of before the update, and then again after all of that. No other setting is ever altered. Where this is not permitted, such as for a projector with an account of its own, the
/// difference is logged with the others.
pub(super) async fn turn_off(context: &Context, wanted: &Config, found: Stream) -> Stream {
    let config = &found.cached_info().config;
    if config.duplicate_window == wanted.duplicate_window {
        return found;
    }
    let own = config.sources.clone().filter(|sources| !sources.is_empty());
    let sources = own.or_else(|| wanted.sources.clone());
    for window in [SHORTEST_WINDOW, wanted.duplicate_window] {
        let altered = Config { duplicate_window: window, sources: sources.clone(), ..config.clone() };
        if let Err(error) = context.update_stream(&altered).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot disable the deduplication of stream EVENTS: an event is dropped if another one has the same \
                 Nats-Msg-Id, also one of another tenant; run `tidings projector ls` once with an administrator's login"
            );
            return found;
        }
    }
    tracing::info!("disabled the deduplication of stream EVENTS; the projector detects duplicates");
    context.get_stream(EVENTS).await.unwrap_or(found)
}
