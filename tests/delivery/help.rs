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
