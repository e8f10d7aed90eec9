//! What keeps a service from starting is one clear line that says what to do; and how services end.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use harness::{BOUND, Finished, Launch, SCHEMAS, SECRET, System, free_port, nats};
use serde_json::json;

/// A command with what it needs to start, in a folder of its own.
fn launch(command: &str, folder: &Path) -> Launch {
    Launch::tidings([command])
        .folder(folder)
        .variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)
        .variable("TIDINGS_ACCESS__HS256_SECRET", SECRET)
        .variable("TIDINGS_GATEWAY__LISTEN", "127.0.0.1:0")
        .variable("TIDINGS_NATS__URL", format!("nats://127.0.0.1:{}", free_port()))
        .variable("TIDINGS_TELEMETRY__LOG", "error")
}

async fn line(launch: Launch) -> String {
    launch.finish(BOUND).await.failed()
}

/// A port that somebody else listens on as long as the listener lives.
fn busy() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test]
async fn a_busy_address_of_the_gateway() {
    let (folder, nats) = (tempfile::tempdir().unwrap(), nats().await);
    let (_listener, port) = busy();
    for command in ["dev", "gateway"] {
        let launch =
            launch(command, folder.path()).variable("TIDINGS_GATEWAY__LISTEN", format!("127.0.0.1:{port}"));
        let launch =
            if command == "gateway" { launch.variable("TIDINGS_NATS__URL", nats.url()) } else { launch };
        let expected = format!(
            "tidings: cannot listen on 127.0.0.1:{port}; is another program there? `gateway.listen` says where: \
             Address already in use (os error 98)"
        );
        assert_eq!(line(launch).await, expected);
    }
    assert!(!folder.path().join(".tidings").exists(), "nothing to clean up");
}

#[tokio::test]
async fn a_nats_server_that_cannot_be_started() {
    let folder = tempfile::tempdir().unwrap();
    let (_listener, port) = busy();
    let launch_dev = || launch("dev", folder.path());
    let busy = launch_dev().variable("TIDINGS_NATS__URL", format!("nats://127.0.0.1:{port}"));
    let expected = format!(
        "tidings: port {port} is in use by another process; stop that one, or choose another port for NATS with \
         `nats.url`, such as TIDINGS_NATS__URL=nats://127.0.0.1:4333"
    );
    assert_eq!(line(busy).await, expected);

    let nowhere = launch_dev().variable("TIDINGS_NATS_SERVER", "/nowhere/nats-server");
    let expected = "tidings: /nowhere/nats-server does not report a version as nats-server does (No such file or directory (os \
                    error 2)): set TIDINGS_NATS_SERVER to a nats-server 2.14.0 or later, or unset it";
    assert_eq!(line(nowhere).await, expected);

    let old = folder.path().join("old");
    std::fs::write(&old, "#!/bin/sh\necho 'nats-server: v2.9.10'\n").unwrap();
    std::fs::set_permissions(&old, PermissionsExt::from_mode(0o755)).unwrap();
    let too_old = launch_dev().variable("TIDINGS_NATS_SERVER", &old);
    let expected = format!(
        "tidings: {} is nats-server 2.9.10, but 2.14.0 or later is needed: run `sh .tools/install nats-server`, or set \
         TIDINGS_NATS_SERVER to a newer one",
        old.display()
    );
    assert_eq!(line(too_old).await, expected);
}

#[tokio::test]
async fn an_unreachable_nats() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("nats://127.0.0.1:{}", free_port());
    for command in ["gateway", "projector"] {
        let found = line(launch(command, folder.path()).variable("TIDINGS_NATS__URL", &url)).await;
        let expected = format!(
            "tidings: cannot connect to NATS at {url}; is nats-server running there? `nats.url` says where to look: "
        );
        assert!(found.starts_with(&expected), "{found}");
        assert!(found.contains("refused"), "{found}");
    }
    // Somebody listens there, and says nothing.
    let (_listener, port) = busy();
    let silent = launch("gateway", folder.path())
        .variable("TIDINGS_NATS__URL", format!("nats://127.0.0.1:{port}"))
        .variable("TIDINGS_NATS__CONNECT_TIMEOUT", "100ms");
    let found = line(silent).await;
    assert!(
        found.starts_with("tidings: ") && found.contains(&port.to_string()) && found.contains("nats.url"),
        "{found}"
    );
}

#[tokio::test]
async fn mistakes_in_the_configuration_are_named_together_before_anything_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    let (_listener, port) = busy();
    let file =
        format!("[gateway]\nlisten = \"127.0.0.1:{port}\"\nheartbeet = \"1s\"\n[streams]\nreplicas = 7\n");
    std::fs::write(folder.path().join("tidings.toml"), file).unwrap();
    for command in ["gateway", "projector", "dev"] {
        let launch = Launch::tidings([command])
            .folder(folder.path())
            .variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)
            .variable("TIDINGS_NATS__URL", "http://127.0.0.1")
            .variable("TIDINGS_GATEWAY__IDLE_TIMEOUT", "soon")
            .variable("TIDINGS_GATEWAY__LISTEM", "x");
        let Finished { code, output, errors } = launch.finish(BOUND).await;
        assert_eq!((code, output.as_str()), (Some(1), ""), "{errors}");
        let mut expected = vec![
            "gateway.heartbeet (tidings.toml): unknown; did you mean gateway.heartbeat?",
            "streams.replicas = 7 (tidings.toml): expected ",
            "nats.url = \"http://127.0.0.1\" (TIDINGS_NATS__URL): expected URLs such as nats://127.0.0.1:4222",
            "gateway.idle_timeout = \"soon\" (TIDINGS_GATEWAY__IDLE_TIMEOUT): expected a duration above zero",
            "TIDINGS_GATEWAY__LISTEM: unknown variable; did you mean TIDINGS_GATEWAY__LISTEN?",
        ];
        if command == "gateway" {
            expected.push("access.hs256_secret is not set: expected a secret of at least 32 bytes there");
        }
        for mistake in &expected {
            assert!(
                errors.contains(&format!("\n  {mistake}")),
                "{command} does not report {mistake}:\n{errors}"
            );
        }
        let headline = format!("tidings: the configuration has {} mistakes:", expected.len());
        assert_eq!(errors.lines().next(), Some(headline.as_str()));
        assert_eq!(errors.lines().count(), 1 + expected.len(), "{errors}");
    }
    assert!(!folder.path().join(".tidings").exists());
}

#[tokio::test]
async fn schemas_that_are_missing_or_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let schemas = folder.path().join("schemas");
    let launch = || launch("projector", folder.path()).variable("TIDINGS_SCHEMAS__DIRECTORY", &schemas);
    let found = line(launch()).await;
    assert!(found.contains("cannot read") && found.contains("`schemas.directory`"), "{found}");
    std::fs::create_dir_all(schemas.join("garden")).unwrap();
    let found = line(launch()).await;
    assert!(found.contains("no folder in") && found.contains("catalog.toml"), "{found}");
    std::fs::write(schemas.join("garden/catalog.toml"), "grants = 7").unwrap();
    let found = launch().finish(BOUND).await;
    assert_eq!(found.code, Some(1));
    assert!(found.errors.starts_with("tidings: ") && found.errors.contains("garden"), "{}", found.errors);
}

#[tokio::test]
async fn a_stream_with_other_settings_is_reported_and_left_alone() {
    let (folder, nats) = (tempfile::tempdir().unwrap(), nats().await);
    let context = jetstream::new(nats.client().await);
    let made = stream::Config {
        name: "ENVELOPES".to_owned(),
        subjects: vec!["envelopes.>".to_owned()],
        max_age: Duration::from_secs(3600),
        ..stream::Config::default()
    };
    let before = context.create_stream(made).await.unwrap().cached_info().config.clone();
    for command in ["gateway", "projector"] {
        let found = line(launch(command, folder.path()).variable("TIDINGS_NATS__URL", nats.url())).await;
        assert!(found.starts_with("tidings: stream ENVELOPES exists with other settings: "), "{found}");
        for difference in
            ["allow_rollup_hdrs is false, expected true", "allow_msg_ttl is false, expected true"]
        {
            assert!(found.contains(difference), "{found}");
        }
        assert!(found.contains("Tidings does not alter them"), "{found}");
    }
    let after = context.get_stream("ENVELOPES").await.unwrap().cached_info().config.clone();
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_stream_with_other_limits_is_used_and_reported() {
    let (folder, nats) = (tempfile::tempdir().unwrap(), nats().await);
    let launch = || {
        let launch = launch("projector", folder.path()).variable("TIDINGS_NATS__URL", nats.url());
        launch.variable("TIDINGS_TELEMETRY__LOG", "info")
    };
    let mut first = launch().start();
    first.line("projector runs", BOUND).await;
    let context = jetstream::new(nats.client().await);
    let mut config = context.get_stream("EVENTS").await.unwrap().cached_info().config.clone();
    config.max_age = Duration::from_secs(7200);
    context.update_stream(config.clone()).await.unwrap();

    let mut second = launch().start();
    let warning = second.line("the limits of the stream differ from the configuration and stay", BOUND).await;
    assert!(
        warning.contains("EVENTS") && warning.contains("max_age is 7200s, expected 604800s"),
        "{warning}"
    );
    second.line("projector runs", BOUND).await;
    let after = context.get_stream("EVENTS").await.unwrap().cached_info().config.clone();
    assert_eq!(after.max_age, config.max_age);
}

#[tokio::test]
async fn services_end_on_a_signal_and_tell_their_clients() {
    let system = System::start().await;
    let mut client = system.open(json!({ "tenant": "ops", "sub": "ada" })).await;
    let System { gateway, projector, nats, .. } = system;
    gateway.interrupt();
    assert_eq!(client.close_code(BOUND).await, Some(1001));
    projector.signal(rustix::process::Signal::TERM);
    for process in [gateway, projector] {
        let (status, output) = process.end(BOUND).await;
        assert!(status.success(), "{status}:\n{output}");
    }
    drop(nats);
}
