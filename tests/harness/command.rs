//! The command `tidings` as its users run it: a process with arguments, environment and output.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tidings_embedded::signal_child;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// The binary `tidings`, built by the cargo and with the profile that run this test; at most once per test program.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // target/debug/deps/<test program>, or target/<triple>/release/deps/<test program>
        let program = std::env::current_exe().unwrap();
        let deps = program.ancestors().find(|folder| folder.ends_with("deps"));
        let profile =
            deps.and_then(Path::parent).expect("cargo puts test programs into target/<profile>/deps");
        // As cargo says now: a test program may have been built in another copy of the repository.
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let workspace = package.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
        let manifest = workspace.expect("the package lies in the workspace").join("Cargo.toml");
        // With the whole workspace selected, the dependencies have the features that the tests were built with, so
        // that nothing is built a second time.
        let mut build = escargot::CargoBuild::new()
            .manifest_path(manifest)
            .target_dir(profile.parent().unwrap())
            .args(["--locked", "--workspace"])
            .bin("tidings");
        if profile.ends_with("release") {
            build = build.release();
        }
        let run = build.run().unwrap_or_else(|error| panic!("cannot build tidings: {error}"));
        run.path().to_owned()
    })
}

/// A command line in the making, without any `TIDINGS_*` variables but those that it is given.
#[derive(Debug)]
pub struct Launch {
    command: Command,
    input: Vec<u8>,
    has_reader: bool,
}

impl Launch {
    /// `tidings` with these arguments.
    #[must_use]
    pub fn tidings<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut command = Command::new(binary());
        command.args(arguments);
        Self::of(command)
    }

    /// These lines in a shell, as a user types them.
    #[must_use]
    pub fn shell(script: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        for (name, _) in std::env::vars_os() {
            // The nats-server to run is a matter of the machine, not of the test.
            if name.to_string_lossy().starts_with("TIDINGS_") && name != "TIDINGS_NATS_SERVER" {
                command.env_remove(name);
            }
        }
        Self { command, input: Vec::new(), has_reader: true }
    }

    /// With this environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// With these environment variables.
    #[must_use]
    pub fn variables<'a>(mut self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.command.envs(variables);
        self
    }

    /// In this working folder.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// With this standard input; empty, without.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// With a standard output that its reader has closed, as `head` does.
    #[must_use]
    pub fn without_reader(self) -> Self {
        Self { has_reader: false, ..self }
    }

    /// Starts it, to be looked at while it runs.
    #[must_use]
    pub fn start(mut self) -> Tidings {
        if self.has_reader {
            return Tidings::spawn(&mut self.command);
        }
        let closed = || std::io::pipe().unwrap().1;
        let command = self.command.stdin(Stdio::null()).stdout(closed()).stderr(closed()).kill_on_drop(true);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Tidings { child, lines: watch::channel(Vec::new()).1 }
    }

    /// Runs it to its end. The test fails if that takes longer than `bound`.
    pub async fn finish(mut self, bound: Duration) -> Finished {
        let (input, command) = (self.input, &mut self.command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(if self.has_reader { Stdio::piped() } else { std::io::pipe().unwrap().1.into() })
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        // A process that ends without reading its input breaks the pipe, which is its right.
        _ = child.stdin.take().unwrap().write_all(&input).await;
        let Ok(output) = timeout(bound, child.wait_with_output()).await else {
            panic!("still running after {bound:?}: {command:?}")
        };
        let output = output.unwrap();
        Finished {
            code: output.status.code(),
            output: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote on standard output.
    pub output: String,
    /// What it wrote on standard error.
    pub errors: String,
}

impl Finished {
    /// What it wrote on standard output. The test fails unless it succeeded.
    #[expect(clippy::must_use_candidate, reason = "the check is use enough")]
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "it printed {:?} and reported:\n{}", self.output, self.errors);
        self.output
    }

    /// The one line that says why it could not do its work. The test fails if it succeeded or said anything else.
    #[expect(clippy::must_use_candidate, reason = "the check is use enough")]
    pub fn failed(self) -> String {
        assert_eq!(self.code, Some(1), "it printed {:?} and reported:\n{}", self.output, self.errors);
        assert_eq!(self.output, "", "a failure belongs on standard error");
        let mut lines = self.errors.lines();
        match (lines.next(), lines.next()) {
            (Some(line), None) => line.to_owned(),
            _ => panic!("expected one line on standard error, got:\n{}", self.errors),
        }
    }
}

/// A running `tidings`. Dropping it kills the process.
#[derive(Debug)]
pub struct Tidings {
    child: Child,
    lines: watch::Receiver<Vec<String>>,
}

impl Tidings {
    /// Starts `tidings` with these arguments and additional environment variables, without any other `TIDINGS_*` ones.
    #[must_use]
    pub fn start<'a>(
        arguments: impl IntoIterator<Item = &'a str>,
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        Launch::tidings(arguments).variables(environment).start()
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let (sender, lines) = watch::channel(Vec::new());
        tokio::spawn(collect(child.stdout.take().unwrap(), sender.clone()));
        tokio::spawn(collect(child.stderr.take().unwrap(), sender));
        Self { child, lines }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the process has not been waited for")
    }

    /// Whether the process has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What the process has written so far, on standard output and standard error.
    #[must_use]
    pub fn output(&self) -> String {
        self.lines.borrow().join("\n")
    }

    /// Waits for a line that contains `part` and returns the first such line. The test fails after `bound`, or if the process
    /// ends without it.
    pub async fn line(&mut self, part: &str, bound: Duration) -> String {
        self.nth_line(part, 1, bound).await
    }

    /// As [`Self::line`], but waits for the `nth` such line, counted from 1, and returns that one.
    pub async fn nth_line(&mut self, part: &str, nth: usize, bound: Duration) -> String {
        let found = |lines: &[String]| lines.iter().filter(|line| line.contains(part)).nth(nth - 1).cloned();
        let reason = match timeout(bound, self.lines.wait_for(|lines| found(lines).is_some())).await {
            Ok(Ok(lines)) => return found(&lines).unwrap(),
            Ok(Err(_closed)) => "it closed its output".to_owned(),
            Err(_elapsed) => format!("waited for {bound:?}"),
        };
        panic!("tidings printed no {part:?} ({reason}); it printed:\n{}", self.output())
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Sends a signal. After SIGSTOP, the process stands still.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        signal_child(pid, signal).unwrap();
    }

    /// Waits until the process has ended, and returns how, with all its output.
    pub async fn end(mut self, bound: Duration) -> (ExitStatus, String) {
        let Ok(status) = timeout(bound, self.child.wait()).await else {
            panic!("tidings still runs after {bound:?}; it printed:\n{}", self.output())
        };
        // The output ends when the process and all that inherited it have ended.
        let closed = timeout(bound, self.lines.wait_for(|_| false)).await.is_ok();
        let output = self.output();
        assert!(closed, "tidings has ended, but something keeps its output open; it printed:\n{output}");
        (status.unwrap(), output)
    }
}

impl Drop for Tidings {
    /// A test that fails tells what the processes said meanwhile.
    #[expect(clippy::print_stdout, reason = "the test runner shows it with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("tidings printed:\n{}\n", self.output());
        }
    }
}

async fn collect(output: impl AsyncRead + Unpin, lines: watch::Sender<Vec<String>>) {
    let mut reader = BufReader::new(output).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        lines.send_modify(|lines| lines.push(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BOUND;

    fn shell(script: &str) -> Tidings {
        Tidings::spawn(Command::new("sh").args(["-c", script]))
    }

    #[tokio::test]
    async fn lines_and_end() {
        let mut process = shell("echo one; echo two words >&2; exit 3");
        assert_eq!(process.line("two", BOUND).await, "two words");
        assert_eq!(process.line("one", BOUND).await, "one");
        let (status, output) = process.end(BOUND).await;
        assert_eq!(status.code(), Some(3));
        assert_eq!(output.lines().count(), 2, "{output}");
    }

    #[tokio::test]
    async fn interrupt() {
        let mut process = shell(
            "trap 'echo interrupted; exit 0' INT; echo ready; while :; do read -r line </dev/null; done",
        );
        process.line("ready", BOUND).await;
        process.interrupt();
        let (status, output) = process.end(BOUND).await;
        assert!(status.success() && output.ends_with("interrupted"), "{status}: {output}");
    }

    #[tokio::test]
    #[should_panic(expected = "no \"never\" (it closed its output); it printed:\nbye")]
    async fn a_line_that_does_not_come() {
        shell("echo bye").line("never", BOUND).await;
    }
}
