//! `tidings-bench compare` in its smallest form, so that it does not rot. No time is asserted: what counts is that every
//! scene is played to its end, and that Tidings loses nothing.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::process::{Command, Output};

use serde_json::Value;

const SMALLEST: &str = "--rounds 1 --connections 10 --events 2 --alone 3 --users 10 --rate 20 --seconds 1 --returning 5 \
                        --missed 2 --readers 10 --unread 40 --survivors 3 --through 9";

fn compare(arguments: &[&str]) -> Output {
    // It lies beside the bench, which looks for it there.
    let _ = harness::binary();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings-bench"));
    command.arg("compare").args(SMALLEST.split_whitespace()).args(arguments);
    command.output().unwrap()
}

/// The scenes, and how many figures of each say what was lost. Most of their time they wait; so each is a test of its own.
const SCENES: [(&str, usize); 8] = [
    ("memory", 0),
    ("fanout", 1),
    ("alone", 1),
    ("personal", 1),
    ("arrive", 0),
    ("storm", 1),
    ("slow", 2),
    ("kill", 1),
];

#[test]
fn every_scene_is_played_by_a_test() {
    let output = compare(&["--only", "none"]);
    let error = String::from_utf8(output.stderr).unwrap();
    let names = SCENES.map(|(name, _)| name).join(", ");
    assert!(error.contains(&format!("[possible values: {names}]")), "{error}");
}

/// Plays one scene; Tidings loses nothing in it.
#[track_caller]
fn plays(scene: &str) {
    let expected = SCENES.iter().find(|(name, _)| *name == scene).unwrap().1;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figures.json");
    let output = compare(&["--only", scene, "--json", file.to_str().unwrap()]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");

    let figures: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let sections = figures["sections"].as_array().unwrap();
    assert_eq!(sections.len(), 1, "{figures:#}");
    let rows = sections[0]["rows"].as_array().unwrap();
    let lost: Vec<_> = rows.iter().filter(|row| row["name"].as_str().unwrap().starts_with("lost")).collect();
    assert_eq!(lost.len(), expected, "{figures:#}");
    assert!(lost.iter().all(|row| row["Tidings"] == 0.0), "{lost:#?}");
    assert!(!rows.is_empty(), "{figures:#}");
    for row in rows {
        assert!(row["Tidings"].is_number(), "{row}");
        assert!(row["Centrifugo"].is_null(), "{row}");
    }
    let table = String::from_utf8(output.stdout).unwrap();
    let empty = table.lines().filter(|line| line.contains("|          – |")).count();
    assert_eq!(empty, rows.len(), "{table}");
}

#[test]
fn idle_connections() {
    plays("memory");
}

#[test]
fn an_event_for_many() {
    plays("fanout");
}

#[test]
fn an_event_for_one() {
    plays("alone");
}

#[test]
fn events_for_one_of_many_each() {
    plays("personal");
}

#[test]
fn first_connections() {
    plays("arrive");
}

#[test]
fn all_come_back() {
    plays("storm");
}

#[test]
fn some_never_read() {
    plays("slow");
}

#[test]
fn the_process_is_killed() {
    plays("kill");
}

#[test]
fn another_program_is_refused() {
    let output = compare(&["--centrifugo", "/bin/sh"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains("sh is not Centrifugo: "), "{error}");
}
