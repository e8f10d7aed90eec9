//! `tidings dev` and what a new user does with it, word for word as it says.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use harness::{BOUND, Launch, SCHEMAS, Tidings, eventually, free_port};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A working folder with catalogs, and addresses that nobody else uses.
pub(crate) struct Desk {
    folder: TempDir,
    gateway: String,
    nats: String,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let desk = Self::without_schemas();
        symlink(SCHEMAS, desk.folder().join("schemas")).unwrap();
        desk
    }

    pub(crate) fn without_schemas() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (gateway, nats) = (free_port(), free_port());
        Self { folder, gateway: format!("127.0.0.1:{gateway}"), nats: format!("nats://127.0.0.1:{nats}") }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn here(&self, launch: Launch) -> Launch {
        let launch = launch
            .variable("TIDINGS_GATEWAY__LISTEN", &self.gateway)
            .variable("TIDINGS_NATS__URL", &self.nats);
        launch.folder(self.folder.path())
    }

    pub(crate) fn tidings(&self, arguments: &[&str]) -> Launch {
        self.here(Launch::tidings(arguments.iter().copied()))
    }

    pub(crate) async fn dev(&self) -> Tidings {
        self.dev_with(&[]).await
    }

    async fn dev_with(&self, variables: &[(&str, &str)]) -> Tidings {
        let mut dev = self.tidings(&["dev"]).variables(variables.iter().copied()).start();
        dev.line("Ctrl-C ends everything.", BOUND).await;
        dev
    }

    async fn token(&self, arguments: &[&str]) -> String {
        let printed = self.tidings(&[&["token"], arguments].concat()).finish(BOUND).await.succeeded();
        assert_eq!(printed.lines().count(), 1, "{printed}");
        printed.trim_end().to_owned()
    }

    /// The process of the nats-server that `tidings dev` runs.
    fn nats_pid(&self) -> u32 {
        let files = fs::read_dir(self.folder.path().join(".tidings/nats")).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        let ports =
            paths.find(|path| path.extension().is_some_and(|extension| extension == "ports")).unwrap();
        // nats-server_<process id>.ports
        ports.file_stem().unwrap().to_str().unwrap().rsplit('_').next().unwrap().parse().unwrap()
    }
}

/// Starts a listener, and returns when it says that it listens.
async fn listening(desk: &Desk, listen: Launch) -> Tidings {
    let mut listener = desk.here(listen).start();
    let said = listener.line("listening", BOUND).await;
    assert_eq!(said, format!("tidings: listening at ws://{}/api/ws; Ctrl-C ends", desk.gateway));
    listener
}

/// All messages that a listener has printed by the time at which it has had enough.
async fn heard(listener: Tidings) -> Vec<Value> {
    let (status, output) = listener.end(BOUND).await;
    assert!(status.success(), "{status}: {output}");
    let messages = output.lines().filter(|line| !line.starts_with("tidings: listening at "));
    messages.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whether a process of this id runs; one that has ended and waits for its parent does not.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

async fn check_gone(pid: u32) {
    eventually("the end of nats-server", BOUND, async || if runs(pid) { Err(pid) } else { Ok(()) }).await;
}

#[tokio::test]
async fn a_new_user_follows_what_dev_prints() {
    let desk = Desk::new();
    let dev = desk.dev().await;
    let output = dev.output();
    for part in [
        "Tidings is running.",
        &format!("  clients    ws://{}/api/ws", desk.gateway),
        &format!("  producers  {} (any NATS client; data in .tidings/nats)", desk.nats),
        "  tenants    cnc, documents, ops, shelter, uploads",
    ] {
        assert!(output.lines().any(|line| line == part), "{part:?} is missing in\n{output}");
    }
    let ready = reqwest::get(format!("http://{}/readyz", desk.gateway)).await.unwrap();
    assert!(ready.status().is_success(), "it says so when it is true");
    // What it says to type, typed.
    let typed = |word: &str| {
        let line = output.lines().find(|line| line.starts_with("  ") && line.contains(word));
        line.unwrap_or_else(|| panic!("no line with {word:?} in\n{output}")).trim().to_owned()
    };
    let listen = format!("{}\n{} --count 1", typed(" token "), typed(" listen "));
    let listener = listening(&desk, Launch::shell(&listen)).await;
    let printed = desk.here(Launch::shell(&typed(" publish "))).finish(BOUND).await.succeeded();
    assert!(
        printed.starts_with("incident.created ") && printed.trim_end().ends_with(" is event 1"),
        "{printed}"
    );
    let heard = heard(listener).await;
    assert_eq!((&heard[0]["type"], &heard[0]["data"]["title"]), (&json!("incident"), &json!("API timeout")));

    let nats = desk.nats_pid();
    assert!(runs(nats));
    dev.interrupt();
    let (status, output) = dev.end(BOUND).await;
    assert!(status.success(), "{status}:\n{output}");
    assert!(!runs(nats), "nats-server has ended before `tidings dev`");
    let warnings: Vec<_> =
        output.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
}

/// The arguments that publish an incident.
fn publish_incident(data: &str) -> [&str; 8] {
    ["publish", "--tenant", "ops", "incident.created", "--time", "2025-01-17T10:30:00Z", "--data", data]
}

#[tokio::test]
async fn events_and_messages_by_hand() {
    let desk = Desk::new();
    let dev = desk.dev().await;
    let token =
        desk.token(&["--tenant", "ops", "--sub", "ada", "--role", "sre", "--claim", "squad=platform"]).await;
    let data =
        json!({ "id": "i", "jira_id": "I", "title": "t", "severity": "low", "status": "open", "squad": "s" });
    let data_text = data.to_string();

    // Each from a device of its own: to the same one, what it has not yet acknowledged comes again.
    let listen = |device, rest: &[&'static str]| {
        let arguments = [&["listen", "--topic", "incidents", "--device", device], rest].concat();
        Launch::tidings(arguments).variable("TIDINGS_TOKEN", &token)
    };
    let expected =
        json!({ "type": "incident", "action": "created", "data": data, "timestamp": "2025-01-17T10:30:00Z" });
    fs::write(desk.folder.path().join("data.json"), &data_text).unwrap();
    for (device, given) in [("inline", data_text.as_str()), ("file", "@data.json"), ("input", "-")] {
        let listener = listening(&desk, listen(device, &["--count", "1"])).await;
        // Standard input, as the last one of a pipe has it.
        desk.tidings(&publish_incident(given)).input(data_text.as_str()).finish(BOUND).await.succeeded();
        assert_eq!(heard(listener).await, std::slice::from_ref(&expected), "--data {given}");
    }

    let filtered = listen("filtered", &["--filter", "squad=b", "--filter", "squad=c", "--count", "2"]);
    let listener = listening(&desk, filtered).await;
    for squad in ["a", "b", "d", "c"] {
        let mut data = data.clone();
        data["squad"] = squad.into();
        let data = data.to_string();
        desk.tidings(&publish_incident(&data)).finish(BOUND).await.succeeded();
    }
    let squads: Vec<Value> =
        heard(listener).await.iter().map(|message| message["data"]["squad"].clone()).collect();
    assert_eq!(squads, ["b", "c"]);

    // The same id again is a repetition, which is fine.
    let once = ["publish", "--tenant", "ops", "incident.created", "--id", "once", "--data", &data_text];
    for _ in 0..2 {
        let stored = desk.tidings(&once).finish(BOUND).await.succeeded();
        assert!(stored.starts_with("incident.created once is event "), "{stored}");
    }
    drop(dev);
}

#[tokio::test]
async fn mistakes_at_the_command_line() {
    let desk = Desk::new();
    let failed = async |arguments: &[&str]| desk.tidings(arguments).finish(BOUND).await.failed();
    let publish = |rest: &[&'static str]| [&["publish", "--tenant", "ops"], rest].concat();
    for (arguments, expected) in [
        (
            publish(&["incident", "--data", "{}"]),
            "event \"incident\" is not of the form entity.action, such as incident.created",
        ),
        (publish(&["incident.created", "--data", "{"]), "--data is not JSON: "),
        (
            publish(&["incident.created", "--data", "@nowhere.json"]),
            "cannot read --data @nowhere.json: No such file",
        ),
        (
            publish(&["incident.created", "--data", "{}", "--time", "now"]),
            "--time \"now\" is not RFC 3339, such as 2025-01-17T10:30:00Z",
        ),
        (publish(&["incident.created", "--data", "{}"]), "cannot connect to NATS at "),
        (vec!["publish", "--tenant", "Ops", "a.b", "--data", "{}"], "tenant"),
        (
            vec!["token", "--tenant", "ops", "--sub", "a", "--claim", "x"],
            "--claim \"x\" is not of the form name=value, such as orgId=o1",
        ),
        (vec!["listen", "--token", "t"], "cannot connect to ws://"),
        (
            vec!["listen", "--token", "t", "--filter", "a=b"],
            "--filter narrows topics; name them with --topic",
        ),
        (
            vec!["listen", "--token", "t", "--topic", "a", "--filter", "b"],
            "--filter \"b\" is not of the form name=value",
        ),
        (vec!["--config", "nowhere.toml", "gateway"], "nowhere.toml"),
    ] {
        if expected == "nowhere.toml" {
            let finished = desk.tidings(&arguments).finish(BOUND).await;
            assert_eq!(finished.code, Some(1));
            assert!(finished.errors.contains("nowhere.toml: cannot be read"), "{}", finished.errors);
            continue;
        }
        let line = failed(&arguments).await;
        assert!(line.starts_with("tidings: ") && line.contains(expected), "{arguments:?}: {line}");
    }
    let help = desk.tidings(&["--help"]).finish(BOUND).await.succeeded();
    for word in
        ["dev", "gateway", "projector", "token", "publish", "listen", "TIDINGS_GATEWAY__LISTEN", "--config"]
    {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
}

#[tokio::test]
async fn a_refused_listener_is_told_why_and_events_stay_from_one_day_to_the_next() {
    let desk = Desk::new();
    let dev = desk.dev().await;
    let line = desk.tidings(&["listen", "--token", "nonsense"]).finish(BOUND).await.failed();
    assert!(line.contains("answers 401 Unauthorized: ") && line.contains("TOKEN_MALFORMED"), "{line}");
    let event = ["publish", "--no-wait", "--tenant", "ops", "metric.updated", "--data", "{}"];
    let first = desk.tidings(&event).finish(BOUND).await.succeeded();
    assert!(first.trim_end().ends_with(" is event 1"), "{first}");
    let busy = desk
        .tidings(&["dev"])
        .variable("TIDINGS_GATEWAY__LISTEN", "127.0.0.1:0")
        .finish(BOUND)
        .await
        .failed();
    assert!(busy.contains("is in use by another nats-server that Tidings started"), "{busy}");

    // What is killed leaves no process behind, and the next start finds the data.
    let nats = desk.nats_pid();
    dev.signal(Signal::KILL);
    let (status, _) = dev.end(BOUND).await;
    assert!(!status.success());
    check_gone(nats).await;
    let mut again = desk.dev_with(&[("TIDINGS_GATEWAY__DRAIN_TIME", "1h")]).await;
    let second = desk.tidings(&event).finish(BOUND).await.succeeded();
    assert!(second.trim_end().ends_with(" is event 2"), "{second}");

    // If nats-server dies, everything ends and says why; nobody is moved elsewhere before.
    let token = desk.token(&["--tenant", "ops", "--sub", "ada"]).await;
    let listener = listening(&desk, Launch::tidings(["listen", "--token", &token])).await;
    let nats = desk.nats_pid();
    let pid = rustix::process::Pid::from_raw(nats.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    let line = again.line("nats-server ended by itself", BOUND).await;
    assert!(line.starts_with("tidings: "), "{line}");
    let (status, output) = again.end(BOUND).await;
    assert_eq!(status.code(), Some(1), "{output}");
    // A listener waits for the next one.
    let mut listener = listener;
    listener.line("the gateway is shutting down (1001); connecting again", BOUND).await;
}
