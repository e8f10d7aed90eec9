//! Projectors as processes, which tests kill and stop.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::{BOUND, eventually};
use rustix::process::{Pid, Signal};
use tidings_metrics::Registry;
use tidings_model::ShardNumber;
use tidings_projector::Settings;
use tidings_runtime::config::TelemetryConfig;
use tidings_runtime::telemetry;
use tidings_streams::Topology;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::{SHORTEST_WINDOW, Scene, Task, settings, stream_settings};

/// The NATS URL of the process that a test kills; also marks that process.
const NATS_URL: &str = "TIDINGS_TEST_NATS";
/// Its shard.
const SHARD: &str = "TIDINGS_TEST_SHARD";
/// Its duplicate window in milliseconds.
const WINDOW: &str = "TIDINGS_TEST_WINDOW";

/// A projector as a process: this test program, started again for one of its tests.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    pub(crate) fn start(scene: &Scene) -> Self {
        Self::start_as(scene.nats.url(), 0, scene.window)
    }

    /// Starts the projector of another shard.
    pub(crate) fn start_of(scene: &Scene, shard: u16) -> Self {
        Self::start_as(scene.nats.url(), shard, scene.window)
    }

    /// With NATS at this URL.
    pub(crate) fn start_at(nats: &str) -> Self {
        Self::start_as(nats, 0, SHORTEST_WINDOW)
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    fn start_as(nats: &str, shard: u16, window: Duration) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "process::projector_that_is_killed", "--ignored", "--nocapture"])
            .env(NATS_URL, nats)
            .env(SHARD, shard.to_string())
            .env(WINDOW, window.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let log = Arc::<Mutex<String>>::default();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let written = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut written = written.lock().unwrap();
                written.push_str(&line);
                written.push('\n');
            }
        });
        Self { child, log }
    }

    /// The number of lines of its log that contain this text.
    pub(crate) fn says(&self, text: &str) -> usize {
        self.log.lock().unwrap().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until its log contains this text.
    pub(crate) async fn until_it_says(&self, text: &str) {
        eventually(&format!("a projector says {text:?}"), 2 * BOUND, async || match self.says(text) {
            0 => Err(self.log.lock().unwrap().clone()),
            _ => Ok(()),
        })
        .await;
    }

    /// Kills it (SIGKILL).
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends a signal. After SIGSTOP, the process stands still.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        harness::signal_child(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

#[tokio::test]
#[ignore = "the projector that other tests kill; does nothing by itself"]
async fn projector_that_is_killed() {
    let Ok(url) = std::env::var(NATS_URL) else { return };
    let _telemetry =
        telemetry::start(&TelemetryConfig::default(), "projector", &Registry::default()).unwrap();
    let client = async_nats::connect(url).await.unwrap();
    let window = Duration::from_millis(std::env::var(WINDOW).unwrap().parse().unwrap());
    let topology = Topology::ensure(&client, &stream_settings(window)).await.unwrap();
    let shard = ShardNumber(std::env::var(SHARD).unwrap().parse().unwrap());
    let projector = Task::start(topology, Settings { shard, ..settings() });
    // Until this process is killed, or its parent has ended.
    let gone = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    gone.await.unwrap().unwrap();
    projector.stop().await;
}
