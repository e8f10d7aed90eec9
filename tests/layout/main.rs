//! The layout of the source: layers, circles, and what only one place may touch. Each fault names file and line.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers fail a test by panicking"
)]

mod source;

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Crate, Use, files, top};

/// The rooms of the gateway, from the top down: each uses only those below it.
const GATEWAY: [&str; 16] = [
    "parsers",
    "gateway",
    "listening",
    "api",
    "shards",
    "worker",
    "context",
    "consumers",
    "claimed_contacts",
    "audit",
    "auth",
    "limits",
    "readiness",
    "clock",
    "figures",
    "error",
];

/// The rooms of the streams, likewise.
const STREAMS: [&str; 23] = [
    "stored_form",
    "backup",
    "inspection",
    "presence",
    "sources",
    "queries",
    "connections",
    "consumers",
    "deliveries",
    "rejections",
    "schedules",
    "contacts",
    "receipts",
    "events",
    "envelopes",
    "leadership",
    "catalogs",
    "topology",
    "placements",
    "preferences",
    "keys",
    "users",
    "nats",
];

/// Crates, from the bottom up. A crate depends only on those before it, for its tests, too; those of one line do not
/// depend on each other.
const CRATES: [&[&str]; 13] = [
    &[
        "tidings-model",
        "tidings-mailbox",
        "tidings-embedded",
        "tidings-metrics",
        "tidings-propagation",
        "tidings-rate",
    ],
    &["tidings-preferences"],
    &["tidings-catalog", "tidings-protocol", "tidings-runtime"],
    &["tidings-client"],
    &["tidings-tests"],
    &["tidings-access", "tidings-streams", "tidings-types"],
    &["tidings-channels", "tidings-net", "tidings-producer-build", "tidings-replica", "tidings-session"],
    &["tidings-contacts", "tidings-producer"],
    &["example-producer"],
    &["tidings-dispatcher", "tidings-gateway", "tidings-projector"],
    &["tidings-fuzz"],
    &["tidings-bench"],
    &["tidings-cli"],
];

/// What only some files may name: the name, where it may be, and why.
const ONLY_HERE: [(&str, &[&str], &str); 3] = [
    (
        "async_nats",
        &["shared/streams/", "shared/producer/", "shared/runtime/src/config/sections.rs", "services/bench/"],
        "only the streams know how to speak to NATS",
    ),
    (
        "mio::net",
        &["services/gateway/src/worker/connection/socket.rs"],
        "only a connection's socket reads and writes a client's WebSocket",
    ),
    (
        "Poll::new",
        &["services/gateway/src/worker/connection/readiness.rs"],
        "only the readiness of connections polls sockets",
    ),
];

/// Files that decide without I/O.
const PURE: [&str; 19] = [
    "services/gateway/src/api/events/answer.rs",
    "services/gateway/src/api/events/check.rs",
    "services/gateway/src/api/events/rejection.rs",
    "services/gateway/src/api/events/request.rs",
    "services/gateway/src/api/handshake.rs",
    "shared/net/src/client_ip.rs",
    "shared/replica/src/generations.rs",
    "shared/replica/src/resume.rs",
    "shared/replica/src/time_index.rs",
    "services/gateway/src/consumers/active.rs",
    "services/gateway/src/consumers/active/stripes.rs",
    "shared/preferences/src/decision.rs",
    "shared/preferences/src/preferences.rs",
    "shared/preferences/src/quiet_hours.rs",
    "shared/rate/src/lib.rs",
    "shared/session/src/lib.rs",
    "shared/session/src/principal.rs",
    "services/gateway/src/worker/connection/phase.rs",
    "services/gateway/src/worker/served_shard.rs",
];

/// What a pure file does not name. A point in time is no I/O.
const IMPURE: [&str; 8] = [
    "async ",
    ".await",
    "tokio::net",
    "tokio::sync",
    "tokio::task",
    "std::fs",
    "std::net::Tcp",
    "std::thread",
];

/// A room has a door: of 1,000 lines of the gateway, at most so many begin an item that other files see.
const DOORS: usize = 28;
/// The same, with those that name the room in which the item is seen.
const DOORS_WITHIN: usize = 36;

/// Every crate of the project, by its folder.
fn crates() -> Vec<Crate> {
    let folders = ["services", "shared"].into_iter().flat_map(|group| {
        let folder = std::fs::read_dir(top().join(group)).unwrap();
        folder.map(move |entry| format!("{group}/{}", entry.unwrap().file_name().to_str().unwrap()))
    });
    let mut folders: Vec<String> =
        folders.filter(|folder| top().join(folder).join("Cargo.toml").is_file()).collect();
    folders.sort_unstable();
    folders.iter().map(|folder| Crate::read(folder)).collect()
}

#[test]
fn rooms_of_the_gateway_use_only_those_below_them() {
    assert_layers("services/gateway", &GATEWAY);
}

#[test]
fn rooms_of_the_streams_use_only_those_below_them() {
    assert_layers("shared/streams", &STREAMS);
}

/// Fails if a room of the crate uses one above it. The rooms are given from the top down.
#[track_caller]
fn assert_layers(folder: &str, rooms: &[&str]) {
    let one = Crate::read(folder);
    let rank = |module: &[String]| {
        let room = module.first().map(String::as_str);
        room.map(|room| {
            let found = rooms.iter().position(|known| *known == room);
            found.unwrap_or_else(|| panic!("the room {room} of {folder} has no place in the order"))
        })
    };
    let faults: Vec<String> = one
        .uses()
        .into_iter()
        .filter(|Use { from, to, .. }| {
            // The crate's root only shows what is in the rooms.
            let (from, to) = (rank(from), rank(to));
            from.is_some() && (to.is_none() || to < from)
        })
        .map(|Use { from, to, line }| {
            format!("{}:{line} uses {}, which lies above it", one.file(&from), one.file(&to))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let mut faults = Vec::new();
    for one in crates() {
        let uses = one.uses();
        for circle in circles(&uses) {
            let within =
                uses.iter().filter(|found| circle.contains(&found.from) && circle.contains(&found.to));
            faults.extend(within.map(|Use { from, to, line }| {
                format!(
                    "{}:{line} uses {}, in a circle of {} files",
                    one.file(from),
                    one.file(to),
                    circle.len()
                )
            }));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Sets of files each of which uses, by others, every other one.
fn circles(uses: &BTreeSet<Use>) -> BTreeSet<BTreeSet<Vec<String>>> {
    let mut next: BTreeMap<&Vec<String>, BTreeSet<&Vec<String>>> = BTreeMap::new();
    for Use { from, to, .. } in uses {
        next.entry(from).or_default().insert(to);
    }
    let reached = |from: &Vec<String>| {
        let mut reached = BTreeSet::new();
        let mut ahead: Vec<&Vec<String>> = next.get(from).into_iter().flatten().copied().collect();
        while let Some(module) = ahead.pop() {
            if reached.insert(module.clone()) {
                ahead.extend(next.get(module).into_iter().flatten().copied());
            }
        }
        reached
    };
    let reached: BTreeMap<&Vec<String>, _> = next.keys().map(|from| (*from, reached(from))).collect();
    let circle = |from: &Vec<String>| {
        let others =
            reached[from].iter().filter(|to| reached.get(to).is_some_and(|back| back.contains(from)));
        others.cloned().collect::<BTreeSet<_>>()
    };
    next.keys().map(|from| circle(from)).filter(|circle| circle.len() > 1).collect()
}

#[test]
fn some_things_are_touched_in_one_place_only() {
    let mut faults = Vec::new();
    for one in crates() {
        for module in one.modules.values() {
            for (number, line) in module.code.lines().enumerate() {
                for (name, places, why) in ONLY_HERE {
                    if line.contains(name) && !places.iter().any(|place| module.file.starts_with(place)) {
                        faults.push(format!("{}:{} names {name}: {why}", module.file, number + 1));
                    }
                }
                let is_pure = PURE.contains(&module.file.as_str());
                if let Some(name) = IMPURE.iter().find(|name| is_pure && line.contains(**name)) {
                    faults.push(format!(
                        "{}:{} names {name:?}, and is to do no I/O",
                        module.file,
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn rooms_of_the_gateway_have_few_doors() {
    let (mut doors, mut doors_within, mut lines, mut found) = (0, 0, 0, Vec::new());
    for file in files(&top().join("services/gateway/src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let count = |starts: &[&str]| {
            let begins = |line: &&str| starts.iter().any(|start| line.trim_start().starts_with(start));
            text.lines().filter(begins).count()
        };
        let own = count(&["pub(crate", "pub(super"]);
        (doors, doors_within) = (doors + own, doors_within + count(&["pub("]));
        lines += text.lines().count();
        found.push((own, file.strip_prefix(top()).unwrap().display().to_string()));
    }
    found.sort_unstable_by(|one, other| other.cmp(one));
    assert!(
        doors * 1_000 <= DOORS * lines && doors_within * 1_000 <= DOORS_WITHIN * lines,
        "of {lines} lines of the gateway, {doors} begin with `pub(crate` or `pub(super`, and {doors_within} with `pub(`; \
         expected at most {DOORS} and {DOORS_WITHIN} in 1,000; the most are in {:?}",
        found.get(..5)
    );
}

#[test]
fn pure_files_are_where_they_are_looked_for() {
    let missing: Vec<_> = PURE.iter().filter(|file| !top().join(file).is_file()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn no_crate_depends_on_one_above_it() {
    let rank = |name: &str| CRATES.iter().position(|line| line.contains(&name));
    let mut faults = Vec::new();
    let folders = crates().into_iter().map(|one| one.folder);
    for folder in
        folders.chain(["shared/producer/example".to_owned(), "tests".to_owned(), "tests/fuzz".to_owned()])
    {
        let manifest = format!("{folder}/Cargo.toml");
        let text = std::fs::read_to_string(top().join(&manifest)).unwrap();
        let name = text.lines().find_map(|line| line.strip_prefix("name = ")).unwrap().trim_matches('"');
        let Some(own) = rank(name) else {
            faults.push(format!("{manifest}: the crate {name} has no place in the order"));
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            let Some(dependency) = line.split(['.', ' ', '=']).next() else { continue };
            let dependency = if dependency == "harness" { "tidings-tests" } else { dependency };
            if let Some(other) = rank(dependency)
                && other >= own
            {
                faults.push(format!(
                    "{manifest}:{}: {name} depends on {dependency}, which lies above it or beside it",
                    number + 1
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
