//! The clients in `shared/client/README.md`, as they stand there, in Python and Go: each message once, whatever is killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use harness::{BOUND, Launch, SECRET, Setup, System, Tidings, eventually, free_port, python_packages, token};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::incident;
use crate::node::{LONG, is_free};

const DOCUMENT: &str = include_str!("../../shared/client/README.md");
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/languages");
/// Compiling Go's HTTP library for the first time takes its time.
const COMPILING: Duration = Duration::from_secs(300);

/// The code that is marked with this word.
fn snippet(word: &str) -> &'static str {
    let (_, marked) = DOCUMENT.split_once(&format!("<!-- {word}: run by a test -->")).unwrap();
    let (_, code) = marked.split_once("```").and_then(|(_, rest)| rest.split_once('\n')).unwrap();
    code.split_once("\n```").unwrap().0
}

/// A program in some language, with what it has printed in earlier lives.
struct Program {
    user: &'static str,
    command: String,
    packages: PathBuf,
    folder: TempDir,
    url: String,
    running: Tidings,
    earlier: String,
}

impl Program {
    fn start(user: &'static str, command: String, packages: PathBuf, folder: TempDir, listen: &str) -> Self {
        let url = format!("ws://{listen}/api/ws");
        let running = launch(user, &command, &packages, folder.path(), &url);
        Self { user, command, packages, folder, url, running, earlier: String::new() }
    }

    /// Kills it and starts it again, at any moment between two handlers or in one.
    async fn restart(&mut self) {
        self.running.signal(Signal::KILL);
        let next = launch(self.user, &self.command, &self.packages, self.folder.path(), &self.url);
        let (_, output) = std::mem::replace(&mut self.running, next).end(BOUND).await;
        self.earlier.push_str(&output);
        self.earlier.push('\n');
    }

    fn titles(&self) -> Vec<String> {
        let all = self.earlier.clone() + &self.running.output();
        let messages = all.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        messages.filter_map(|message| Some(message["data"]["title"].as_str()?.to_owned())).collect()
    }
}

fn launch(user: &str, command: &str, packages: &Path, folder: &Path, url: &str) -> Tidings {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    Launch::shell(command)
        .variable("GATEWAY", url)
        .variable("TOKEN", token(SECRET, json!({ "tenant": "ops", "sub": user, "exp": now + 3600 })))
        .variable("PLACE", folder.join("position"))
        .variable("HASTE", "0.02")
        .variable("PYTHONPATH", packages)
        .start()
}

/// Whether a program is on the PATH.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn is_there(program: &str, version: &str) -> bool {
    let found = Command::new(program).arg(version).output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("SKIPPED: there is no {program} on the PATH, so its client was not tried");
    }
    found
}

async fn programs(listen: &str) -> Vec<Program> {
    let mut programs = Vec::new();
    if is_there("python3", "--version") {
        let packages = python_packages(Path::new(SOURCE), Path::new(env!("CARGO_TARGET_TMPDIR")));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("listen.py");
        std::fs::write(&file, snippet("python")).unwrap();
        programs.push(Program::start(
            "py",
            format!("exec python3 '{}'", file.display()),
            packages,
            folder,
            listen,
        ));
    }
    if is_there("go", "version") {
        let folder = tempfile::tempdir().unwrap();
        for file in ["go.mod", "go.sum"] {
            std::fs::copy(Path::new(SOURCE).join("go").join(file), folder.path().join(file)).unwrap();
        }
        std::fs::write(folder.path().join("listen.go"), snippet("go")).unwrap();
        Launch::shell("go build -o listen .").folder(folder.path()).finish(COMPILING).await.succeeded();
        let command = format!("exec '{}'", folder.path().join("listen").display());
        programs.push(Program::start("go", command, PathBuf::new(), folder, listen));
    }
    programs
}

/// Waits until each user's subscription is stored.
async fn subscribed(system: &System, programs: &[Program]) {
    for program in programs {
        let arguments = ["consumers", "ls", "--tenant", "ops", "--user", program.user, "--json"];
        eventually("the subscription is stored", LONG, async || {
            let listed = system.command(&arguments).finish(BOUND).await.output;
            if listed.contains("incidents") { Ok(()) } else { Err(listed + &program.running.output()) }
        })
        .await;
    }
}

/// Waits until all that came is handled: acknowledged after its position was kept.
async fn nothing_is_handled(system: &System, programs: &[Program]) {
    for program in programs {
        let arguments = ["consumers", "ls", "--tenant", "ops", "--user", program.user, "--json"];
        eventually("everything is acknowledged", LONG, async || {
            let listed = system.command(&arguments).finish(BOUND).await.output;
            let consumer: Value = serde_json::from_str(&listed).unwrap_or_default();
            if consumer["pending"] == 0 { Ok(()) } else { Err(listed) }
        })
        .await;
    }
}

#[tokio::test]
async fn clients_as_documented_receive_each_message_once() {
    const MESSAGES: usize = 90;
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__LISTEN", &listen).start().await;
    let mut programs = programs(&listen).await;
    subscribed(&system, &programs).await;
    let expected: Vec<String> = (0..MESSAGES).map(|n| format!("incident {n}")).collect();
    let have = async |programs: &[Program], count: usize| {
        for program in programs {
            eventually("messages arrive", LONG, async || {
                let titles = program.titles();
                if titles.len() >= count {
                    Ok(())
                } else {
                    Err(format!("{}: {titles:?}", program.running.output()))
                }
            })
            .await;
        }
    };
    for (n, title) in expected.iter().enumerate() {
        system.publish("ops", "incident.created", &incident(title)).await;
        match n {
            20 | 60 => {
                have(&programs, n - 5).await;
                system.gateway.signal(Signal::KILL);
                is_free(port).await;
                system.gateway = system.command(&["gateway"]).start();
            }
            40 => {
                // What a killed handler has printed already would come again.
                have(&programs, n + 1).await;
                nothing_is_handled(&system, &programs).await;
                for program in &mut programs {
                    program.restart().await;
                }
            }
            _ => {}
        }
    }
    have(&programs, MESSAGES).await;
    for program in &programs {
        assert_eq!(program.titles(), expected, "{}", program.user);
    }
}
