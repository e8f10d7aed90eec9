//! A server starts, keeps its data, and returns clear errors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its tests share")]

use std::error::Error as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream;
use tempfile::TempDir;
use tidings_embedded::{Binary, Error, MINIMUM_VERSION, NatsServer, Options, Places};
use tokio::time::timeout;

/// A bound for what takes milliseconds, on a busy machine.
const BOUND: Duration = Duration::from_secs(30);

#[tokio::test]
async fn serves_jetstream_on_a_port_of_its_own() {
    let (first_folder, second_folder) = (folder(), folder());
    let (first, second) = tokio::join!(
        NatsServer::start(Options::new(first_folder.path())),
        NatsServer::start(Options::new(second_folder.path()))
    );
    let (first, second) = (first.unwrap(), second.unwrap());

    assert_ne!(first.port(), second.port());
    assert_eq!(first.url(), format!("nats://127.0.0.1:{}", first.port()));
    assert!(first.binary().version >= MINIMUM_VERSION);
    for server in [&first, &second] {
        store(server, "kept").await;
        assert_eq!(stored(server).await, 1);
        assert!(server.folder().join("jetstream").is_dir(), "the data lies in the server's folder");
    }
}

#[tokio::test]
async fn data_and_port_outlive_a_stop_and_a_crash() {
    let folder = folder();
    let mut server = NatsServer::start(Options::new(folder.path())).await.unwrap();
    let (url, first_pid) = (server.url().to_owned(), server.pid().unwrap());
    store(&server, "before the stop").await;

    server.stop().await.unwrap();
    assert_eq!(server.pid(), None);
    assert!(!listens(server.port()));
    server.restart().await.unwrap();
    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), Some(first_pid));
    assert_eq!(stored(&server).await, 1);

    store(&server, "before the crash").await;
    server.kill().await.unwrap();
    assert!(!listens(server.port()));
    server.restart().await.unwrap();
    assert_eq!(server.url(), url);
    assert_eq!(stored(&server).await, 2);

    server.restart().await.unwrap();
    assert_eq!(stored(&server).await, 2, "a running server is stopped and started");
}

#[tokio::test]
async fn dropping_ends_the_process_and_frees_the_folder() {
    let folder = folder();
    let server = NatsServer::start(Options::new(folder.path())).await.unwrap();
    let port = server.port();
    drop(server);
    assert!(!listens(port));
    NatsServer::start(Options::new(folder.path())).await.unwrap();
}

#[tokio::test]
async fn configuration_lines_reach_the_server() {
    let folder = folder();
    let options = Options::new(folder.path())
        .config("max_payload: 12345")
        .config("jetstream { sync_interval: always }");
    let server = NatsServer::start(options).await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    assert_eq!(client.server_info().max_payload, 12345);
    store(&server, "synced").await;
    assert!(server.folder().join("jetstream").is_dir(), "a jetstream block does not move the data");
}

#[tokio::test]
async fn a_server_that_demands_credentials_is_recognised_as_started() {
    let folder = folder();
    let options = Options::new(folder.path()).config(r#"authorization { token: "secret" }"#);
    let server = NatsServer::start(options).await.unwrap();
    assert!(async_nats::connect(server.url()).await.is_err());
    async_nats::ConnectOptions::with_token("secret".into()).connect(server.url()).await.unwrap();
}

#[tokio::test]
async fn a_folder_has_one_server() {
    let folder = folder();
    let server = NatsServer::start(Options::new(folder.path())).await.unwrap();
    let error = NatsServer::start(Options::new(folder.path())).await.unwrap_err();
    assert!(matches!(&error, Error::FolderInUse { folder } if folder == server.folder()), "{error:?}");
    store(&server, "undisturbed").await;
}

#[tokio::test]
async fn what_a_killed_server_left_behind_does_not_mislead() {
    let folder = folder();
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let stale_port = other.local_addr().unwrap().port();
    let stale = format!(r#"{{"nats":["nats://127.0.0.1:{stale_port}"]}}"#);
    let stale_file = folder.path().join("nats-server_1.ports");
    std::fs::write(&stale_file, stale).unwrap();

    let server = NatsServer::start(Options::new(folder.path())).await.unwrap();
    assert_ne!(server.port(), stale_port);
    assert!(!stale_file.exists());
}

#[tokio::test]
async fn an_early_end_is_reported_with_the_log() {
    let folder = folder();
    let error =
        NatsServer::start(Options::new(folder.path()).config("no_such_setting: 1")).await.unwrap_err();
    assert!(matches!(error, Error::Exited { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("exit status: 1") && message.contains("no_such_setting"), "{message}");
}

#[tokio::test]
async fn a_server_that_is_not_ready_in_time_is_not_left_running() {
    let folder = folder();
    let options = Options::new(folder.path()).start_within(Duration::ZERO);
    let error = NatsServer::start(options).await.unwrap_err();
    assert!(matches!(error, Error::NotReady { .. }), "{error:?}");
    NatsServer::start(Options::new(folder.path())).await.unwrap();
}

#[tokio::test]
async fn an_unexpected_end_is_noticed() {
    let folder = folder();
    let server = NatsServer::start(Options::new(folder.path())).await.unwrap();
    kill(server.pid().unwrap(), rustix::process::Signal::KILL);
    let error = timeout(BOUND, server.exited()).await.expect("the end is noticed");
    assert!(error.to_string().contains("signal: 9"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_stop_is_killed() {
    let folder = folder();
    let options = Options::new(folder.path()).stop_within(Duration::ZERO);
    let mut server = NatsServer::start(options).await.unwrap();
    server.pause().unwrap();
    let error = server.stop().await.unwrap_err();
    assert!(matches!(error, Error::Stuck { .. }), "{error:?}");
    assert!(!listens(server.port()));
}

#[tokio::test]
async fn a_binary_that_will_not_do_is_named_with_what_to_do() {
    let check = async |path: &Path, expected: &[&str]| {
        let folder = folder();
        let error = NatsServer::start(Options::new(folder.path()).binary(path)).await.unwrap_err();
        let message = error.to_string();
        assert!(!message.contains('\n'), "one line: {message}");
        assert!(message.contains(&path.display().to_string()), "{message}");
        for part in expected {
            assert!(message.contains(part), "{message:?} lacks {part:?}");
        }
        assert!(error.source().is_none());
    };
    check(&fixture("old-path/nats-server"), &["2.9.10", "2.14.0 or later", "sh .tools/install nats-server"])
        .await;
    check(&fixture("something-else"), &["\"hello\"", "TIDINGS_NATS_SERVER"]).await;
    check(&fixture("missing"), &["No such file", "TIDINGS_NATS_SERVER"]).await;
}

#[test]
fn the_place_of_the_binary() {
    let real = Binary::find(&Places::of_this_process()).unwrap();
    let project = folder();
    let inner = project.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::create_dir_all(project.path().join(".tools/bin")).unwrap();
    let in_project = project.path().join(".tools/bin/nats-server");
    std::os::unix::fs::symlink(&real.path, &in_project).unwrap();
    let in_project = || in_project.clone();

    let find = |named: Option<PathBuf>, path: &[PathBuf], projects: &[PathBuf]| {
        let path = Some(std::env::join_paths(path).unwrap());
        Binary::find(&Places { named, path, projects: projects.to_vec() }).map(|binary| binary.path)
    };
    let old = || fixture("old-path");
    let good = || real.path.parent().unwrap().to_owned();
    let nowhere = || fixture("");

    assert_eq!(
        find(None, &[nowhere(), good()], std::slice::from_ref(&inner)).unwrap(),
        real.path,
        "the PATH comes first"
    );
    assert_eq!(find(None, &[old(), good()], &[]).unwrap(), real.path, "what is too old is passed over");
    assert_eq!(
        find(None, &[old()], std::slice::from_ref(&inner)).unwrap(),
        in_project(),
        "the project is searched upwards"
    );
    assert_eq!(find(Some(real.path.clone()), &[old()], &[]).unwrap(), real.path, "what is named is taken");
    assert!(
        matches!(find(Some(old().join("nats-server")), &[good()], &[]), Err(Error::TooOld { .. })),
        "and nothing else"
    );
    assert!(matches!(find(None, &[old()], &[]), Err(Error::TooOld { .. })));

    let missing = find(None, &[nowhere()], &[]).unwrap_err();
    assert!(matches!(missing, Error::NotFound));
    assert!(missing.to_string().contains("run `sh .tools/install nats-server`"), "{missing}");
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn kill(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

async fn store(server: &NatsServer, text: &'static str) {
    let context = jetstream(server).await;
    let stream = jetstream::stream::Config {
        name: "KEPT".into(),
        subjects: vec!["kept".into()],
        ..Default::default()
    };
    context.get_or_create_stream(stream).await.unwrap();
    context.publish("kept", text.into()).await.unwrap().await.unwrap();
}

async fn stored(server: &NatsServer) -> u64 {
    let mut stream = jetstream(server).await.get_stream("KEPT").await.unwrap();
    stream.info().await.unwrap().state.messages
}

async fn jetstream(server: &NatsServer) -> jetstream::Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}
