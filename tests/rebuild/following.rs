//! How far a rebuild is, as its projector says, whose part the test plays.

use std::fs;
use std::time::Duration;

use async_nats::jetstream::{self, kv};
use harness::{BOUND, Launch, Nats, Tidings, nats};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kitchen;

/// A nats-server with the streams and one event, and nobody who projects it.
pub(crate) struct Table {
    schemas: TempDir,
    nats: Nats,
}

impl Table {
    pub(crate) async fn lay() -> Self {
        let table = Self { schemas: kitchen::schemas(kitchen::CATALOG), nats: nats().await };
        // Whoever looks makes the streams.
        table.tidings(&["ls"]).finish(BOUND).await.succeeded();
        let context = jetstream::new(table.nats.client().await);
        context.publish("events.kitchen.dish.ready", "{}".into()).await.unwrap().await.unwrap();
        table
    }

    /// `tidings projector` with these arguments.
    pub(crate) fn tidings(&self, arguments: &[&str]) -> Launch {
        Launch::tidings(["projector"].iter().chain(arguments).copied())
            .variable("TIDINGS_NATS__URL", self.nats.url())
            .variable("TIDINGS_SCHEMAS__DIRECTORY", self.schemas.path())
            .folder(self.nats.folder())
    }

    /// Has the command read this configuration.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.nats.folder().join("tidings.toml"), text).unwrap();
    }

    async fn placements(&self) -> kv::Store {
        jetstream::new(self.nats.client().await).get_key_value("PLACEMENTS").await.unwrap()
    }

    async fn placement(&self) -> Value {
        let json = self.placements().await.get("kitchen").await.unwrap().unwrap();
        serde_json::from_slice(&json).unwrap()
    }

    /// Says of the tenant what its projector says.
    async fn say(&self, placement: &Value) {
        self.placements().await.put("kitchen", placement.to_string().into()).await.unwrap();
    }

    /// Says how far it is.
    async fn make_progress(&self, events: u64, left: u64) {
        let mut placement = self.placement().await;
        placement["next"]["progress"] =
            json!({ "events": events, "left": left, "envelopes": events, "rejected": 2, "at": events });
        self.say(&placement).await;
    }

    /// Makes what is being made the current place.
    async fn switch(&self) {
        let mut placement = self.placement().await;
        let place = placement["next"].take()["place"].take();
        placement["former"] = json!([placement["current"]]);
        placement["current"] = json!({ "place": place, "since": "1-9" });
        self.say(&placement).await;
    }

    async fn rebuilding(&self) -> Tidings {
        let mut command = self.tidings(&["rebuild", "--tenant", "kitchen"]).start();
        command.line("asked the projector of shard 0 for generation 1 of tenant kitchen", BOUND).await;
        command.line("waiting for the projector of shard 0", BOUND).await;
        command
    }
}

#[tokio::test]
async fn progress_is_shown_until_it_is_done() {
    let table = Table::lay().await;
    let mut command = table.rebuilding().await;
    table.make_progress(100, 900).await;
    command.line("100 events done, 900 left", BOUND).await;
    // With two points in time there is a rate.
    table.make_progress(600, 400).await;
    let line = command.line("600 events done, 400 left, ", BOUND).await;
    assert!(line.contains(" events/s, ") && line.ends_with(" left; 600 envelopes, 2 rejected"), "{line}");
    table.switch().await;
    let done = command.line("done in ", BOUND).await;
    assert!(
        done.contains(", 600 envelopes, 2 events rejected: the envelopes of tenant kitchen are in"),
        "{done}"
    );
    assert!(done.ends_with("in shard 0 now, generation 1"), "{done}");
    assert!(command.end(BOUND).await.0.success());
}

#[tokio::test]
async fn somebody_else_sees_the_same_and_may_cancel() {
    let table = Table::lay().await;
    let first = table.rebuilding().await;
    let mut second = table.tidings(&["rebuild", "--tenant", "kitchen"]).start();
    second.line("already in progress: generation 1 of tenant kitchen in shard 0", BOUND).await;
    table.tidings(&["cancel", "--tenant", "kitchen"]).finish(BOUND).await.succeeded();
    for command in [first, second] {
        let (status, output) = command.end(BOUND).await;
        assert_eq!(status.code(), Some(1), "{output}");
        assert!(
            output.ends_with("it was cancelled; the envelopes of tenant kitchen are where they were"),
            "{output}"
        );
    }
}

#[tokio::test]
async fn ctrl_c_ends_the_command_and_not_the_rebuild() {
    let table = Table::lay().await;
    let command = table.rebuilding().await;
    command.interrupt();
    let (status, output) = command.end(BOUND).await;
    assert_eq!(status.code(), Some(130), "{output}");
    assert!(output.contains("it continues without this command: "), "{output}");
    assert_eq!(table.placement().await["next"]["place"]["generation"], 1);
}

#[tokio::test]
async fn a_projector_that_is_silent_is_told_of() {
    let table = Table::lay().await;
    let mut command = table.tidings(&["move", "--tenant", "kitchen", "--to", "3"]).start();
    command.line("the projector of shard 3 does not seem to run", BOUND).await;
    table.make_progress(1, 0).await;
    command.line("1 events done, 0 left", Duration::from_secs(60)).await;
    table.switch().await;
    command.line("the envelopes of tenant kitchen are in shard 3 now, generation 1", BOUND).await;
    assert!(command.end(BOUND).await.0.success());
}
