//! The server ends with its parent process, and not before.
//!
//! The parent that is killed is this test program, started a second time for one of its tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its tests share")]

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tidings_embedded::{NatsServer, Options};

/// The folder of the killed parent's server; also marks that process.
const FOLDER: &str = "TIDINGS_TEST_FOLDER";
const BOUND: Duration = Duration::from_secs(30);

#[test]
#[cfg(target_os = "linux")]
fn a_parent_killed_with_sigkill_takes_its_server_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut parent = KilledOnDrop(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "parent_that_is_killed", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let output = BufReader::new(parent.0.stdout.take().unwrap());
    let pid = output.lines().find_map(|line| line.unwrap().strip_prefix("server ").map(str::to_owned));
    let pid = pid.expect("the parent has started its server");
    assert!(runs(&pid));

    parent.0.kill().unwrap();
    parent.0.wait().unwrap();
    let deadline = Instant::now() + BOUND;
    while runs(&pid) {
        assert!(Instant::now() < deadline, "nats-server {pid} outlives its parent");
        std::thread::yield_now();
    }
}

#[tokio::test]
#[ignore = "the parent that another test kills; does nothing by itself"]
#[expect(clippy::print_stdout, reason = "the test that kills this process reads it")]
async fn parent_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let server = NatsServer::start(Options::new(folder)).await.unwrap();
    println!("\nserver {}", server.pid().unwrap());
    // Until this process is killed, or its parent has ended.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn a_server_outlives_the_thread_and_the_runtime_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new(folder.path());
    let thread = std::thread::spawn(|| runtime().block_on(NatsServer::start(options)).unwrap());
    let mut server = thread.join().unwrap();

    // Another start takes longer than the kernel would need to signal the first server's end.
    let other_folder = tempfile::tempdir().unwrap();
    let other = runtime().block_on(NatsServer::start(Options::new(other_folder.path()))).unwrap();
    for server in [&server, &other] {
        TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
    }
    runtime().block_on(server.stop()).unwrap();
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Whether the process exists and is no unreaped zombie.
#[cfg(target_os = "linux")]
fn runs(pid: &str) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    !matches!(state, Some("Z" | "X"))
}
