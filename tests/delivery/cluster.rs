//! `tidings dev --nodes 3`: whatever is killed comes back, and a client goes on.

use harness::{BOUND, Launch, SCHEMAS, Tidings, eventually, free_port};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A cluster elects leaders several times until everything serves.
const START: std::time::Duration = BOUND.saturating_mul(4);

struct Dev {
    process: Tidings,
    folder: tempfile::TempDir,
    gateway: String,
    nats: String,
}

impl Dev {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gateway = format!("127.0.0.1:{}", free_port());
        let nats: Vec<String> = (0..3).map(|_| format!("nats://127.0.0.1:{}", free_port())).collect();
        let nats = nats.join(",");
        let launch = Self::launch(&["dev", "--nodes", "3"], &folder, &gateway, &nats);
        let mut process = launch.start();
        process.line("Ctrl-C ends everything.", START).await;
        Self { process, folder, gateway, nats }
    }

    fn launch(arguments: &[&str], folder: &tempfile::TempDir, gateway: &str, nats: &str) -> Launch {
        Launch::tidings(arguments.iter().copied())
            .variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)
            .variable("TIDINGS_GATEWAY__LISTEN", gateway)
            .variable("TIDINGS_NATS__URL", nats)
            .folder(folder.path())
    }

    fn tidings(&self, arguments: &[&str]) -> Launch {
        Self::launch(arguments, &self.folder, &self.gateway, &self.nats)
    }

    /// The process of which it printed that it is this.
    fn process_of(&self, what: &str) -> Pid {
        let output = self.process.output();
        let line =
            output.lines().find(|line| line.trim_start().starts_with(what) && line.contains(", process "));
        let line = line.unwrap_or_else(|| panic!("no process of {what} in\n{output}"));
        Pid::from_raw(line.rsplit(' ').next().unwrap().parse().unwrap()).unwrap()
    }

    /// Publishes until that succeeds, and waits until the listener has it.
    async fn delivers(&self, listener: &mut Tidings, number: usize) {
        let data = format!(
            r#"{{"id":"inc-{number}","jira_id":"INC-{number}","title":"title {number}","severity":"critical","status":"open","squad":"platform"}}"#
        );
        let arguments = ["publish", "--tenant", "ops", "incident.created", "--data", &data];
        eventually("an event is projected", START, async || {
            let published = self.tidings(&arguments).finish(BOUND).await;
            if published.code == Some(0) { Ok(()) } else { Err(published.errors) }
        })
        .await;
        listener.line(&format!("title {number}"), START).await;
    }
}

fn runs(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

#[tokio::test]
async fn what_is_killed_comes_back_and_a_client_goes_on() {
    let dev = Dev::start().await;
    let token = dev.tidings(&["token", "--tenant", "ops", "--sub", "ada", "--role", "sre"]);
    let token = token.finish(BOUND).await.succeeded();
    let mut listener =
        dev.tidings(&["listen", "--topic", "incidents"]).variable("TIDINGS_TOKEN", token.trim()).start();
    listener.line("listening", BOUND).await;
    dev.delivers(&mut listener, 0).await;
    let all = [
        "nats-server n0",
        "nats-server n1",
        "nats-server n2",
        "projector 1",
        "projector 2",
        "gateway 1",
        "gateway 2",
    ];
    let processes: Vec<Pid> = all.iter().map(|what| dev.process_of(what)).collect();
    for (number, what) in ["nats-server n0", "projector 1", "gateway 1", "gateway 2"].into_iter().enumerate()
    {
        let before = dev.process.output().matches("starting it again").count();
        kill_process(dev.process_of(what), Signal::KILL).unwrap();
        eventually("it is started again", BOUND, async || {
            let said = dev.process.output().matches("starting it again").count();
            if said > before { Ok(()) } else { Err(said) }
        })
        .await;
        dev.delivers(&mut listener, number + 1).await;
    }
    // Each message came in order, as JSON.
    let titles: Vec<String> = listener
        .output()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| Some(message["data"]["title"].as_str()?.to_owned()))
        .collect();
    assert_eq!(titles.last().map(String::as_str), Some("title 4"), "{titles:?}");
    listener.interrupt();
    dev.process.interrupt();
    let (status, output) = dev.process.end(START).await;
    assert!(status.success(), "{status}:\n{output}");
    assert!(processes.into_iter().all(|process| !runs(process)), "nothing outlives it:\n{output}");
}
