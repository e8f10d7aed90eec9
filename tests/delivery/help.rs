//! What `--help` says, and how commands end.

use std::collections::VecDeque;

use harness::{BOUND, Launch};

/// The words of the table of commands in a help text.
fn subcommands(help: &str) -> Vec<String> {
    let table =
        help.split_once("\nCommands:\n").map(|(_, rest)| rest.split("\n\n").next().unwrap_or_default());
    let names =
        table.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

#[tokio::test]
async fn every_command_explains_itself_with_an_example() {
    let mut left = VecDeque::from([Vec::<String>::new()]);
    let mut seen = Vec::new();
    while let Some(command) = left.pop_front() {
        let arguments = command.iter().map(String::as_str).chain(["--help"]);
        let help = Launch::tidings(arguments).finish(BOUND).await.succeeded();
        for word in ["anew", "switched off", "mend", "goes on", "look after", "Look after", "nobody"] {
            assert!(!help.contains(word), "{command:?}: {word}\n{help}");
        }
        if !command.is_empty() {
            let example = format!("tidings {}", command.join(" "));
            let has_example = help.split("Example").nth(1).is_some_and(|rest| rest.contains(&*example));
            assert!(has_example, "{command:?} has no example\n{help}");
        }
        for name in subcommands(&help) {
            let of: Vec<_> = command.iter().cloned().chain([name]).collect();
            left.push_back(of);
        }
        seen.push(command.join(" "));
    }
    for command in ["dev", "consumers reset", "users revoke", "rejected retry", "projector move", "config"] {
        assert!(seen.iter().any(|seen| seen == command), "{command} is not in {seen:?}");
    }
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_two() {
    for line in [
        "",
        "lisen",
        "consumers",
        "consumers ls",
        "users disable --tenant ops",
        "connections close --tenant ops",
        "rejected retry",
        "rejected ls --reason nonsense",
        "projector move --tenant ops --to 64",
        "check --offline --accept",
        "--config a.toml --config b.toml config",
        "publish --tenant ops a.b --data {} --no-wait --unchecked",
    ] {
        let finished = Launch::tidings(line.split_whitespace()).finish(BOUND).await;
        assert_eq!((finished.code, &*finished.output), (Some(2), ""), "{line}: {}", finished.errors);
        assert!(finished.errors.contains("--help"), "{line}: {}", finished.errors);
    }
}

#[tokio::test]
async fn the_configuration_is_shown_as_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    std::fs::write(&file, "[gateway]\nlisten = \"127.0.0.1:9000\"\n").unwrap();
    let show = || Launch::tidings(["--config", file.to_str().unwrap(), "config"]).folder(folder.path());
    let shown = show().variable("TIDINGS_GATEWAY__COOKIE", "sid").finish(BOUND).await.succeeded();
    for line in ["listen = \"127.0.0.1:9000\"", "cookie = \"sid\"", "heartbeat = \"30s\""] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
    std::fs::write(&file, "[gateway]\nlisen = \"127.0.0.1:9000\"\n").unwrap();
    let wrong = show().finish(BOUND).await;
    assert_eq!((wrong.code, &*wrong.output), (Some(1), ""));
    assert!(
        wrong.errors.contains("gateway.lisen") && wrong.errors.contains("did you mean gateway.listen?"),
        "{}",
        wrong.errors
    );
}

#[tokio::test]
async fn values_have_origins_and_a_configuration_is_checked_without_nats() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    std::fs::write(&file, "[gateway]\nlisten = \"127.0.0.1:9000\"\nheartbeat = \"30s\"\n").unwrap();
    let run = |arguments: &[&str]| {
        let config = ["--config", file.to_str().unwrap(), "config"];
        Launch::tidings(config.into_iter().chain(arguments.iter().copied()))
            .folder(folder.path())
            .variable("TIDINGS_SCHEMAS__DIRECTORY", harness::SCHEMAS)
            .variable("TIDINGS_GATEWAY__COOKIE", "sid")
    };
    let shown = run(&["--effective"]).finish(BOUND).await.succeeded();
    let listen = format!("gateway.listen = \"127.0.0.1:9000\"  # file {}", file.display());
    let cookie = "gateway.cookie = \"sid\"  # variable TIDINGS_GATEWAY__COOKIE";
    for line in [&*listen, cookie, "gateway.idle_timeout = \"75s\"  # default"] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
    let changed = run(&["--effective", "--changed"]).finish(BOUND).await.succeeded();
    let directory =
        format!("schemas.directory = {:?}  # variable TIDINGS_SCHEMAS__DIRECTORY", harness::SCHEMAS);
    assert_eq!(changed.lines().collect::<Vec<_>>(), [&*directory, &*listen, cookie]);

    let lacks = run(&["--check"]).finish(BOUND).await;
    assert!(lacks.code == Some(1) && lacks.errors.contains("access.hs256_secret"), "{}", lacks.errors);
    let accepted = "other than the defaults, catalogs of cnc, documents, ops, shelter, uploads\n";
    let projector = run(&["--check", "projector"]).finish(BOUND).await.succeeded();
    assert_eq!(projector, format!("a projector accepts it: 3 values {accepted}"));
    let with_secret = || run(&["--check"]).variable("TIDINGS_ACCESS__HS256_SECRET", harness::SECRET);
    assert_eq!(
        with_secret().finish(BOUND).await.succeeded(),
        format!("a gateway accepts it: 4 values {accepted}")
    );
    let pair = with_secret()
        .variable("TIDINGS_GATEWAY__TLS_CERTIFICATE", &file)
        .variable("TIDINGS_GATEWAY__TLS_KEY", &file);
    let refused = pair.finish(BOUND).await;
    assert!(refused.code == Some(1) && refused.errors.contains("own.toml"), "{}", refused.errors);
}
