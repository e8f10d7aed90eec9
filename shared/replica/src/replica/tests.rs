//! Messages that replace and retract others: what a catalog makes of events, in the copy that devices are served from,
//! against a model that knows nothing of either.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use tidings_catalog::{Catalog, Files};
use tidings_model::{Event, RawEvent};

use super::*;

const CATALOG: &str = r#"
grants = ["user:{sub}"]
[[message]]
name = "comment"
events = ["comment.added"]
schema = "any.json"
to = "user:{data.user}"
key = "{data.id}"
body = { n = "{data.n}" }
[[message]]
name = "edit"
slot = "comment"
events = ["comment.edited"]
schema = "any.json"
to = "user:{data.user}"
replaces = "{data.id}"
body = { n = "{data.n}" }
[[message]]
name = "removal"
slot = "comment"
events = ["comment.removed"]
schema = "any.json"
to = "user:{data.user}"
retracts = "{data.id}"
body = { n = "{data.n}" }
[[message]]
name = "note"
events = ["note.added"]
schema = "any.json"
to = "user:{data.user}"
body = { n = "{data.n}" }
"#;

/// The last one has no key: each stays.
const NAMES: [&str; 4] = ["comment.added", "comment.edited", "comment.removed", "note.added"];
const USERS: [&str; 2] = ["ada", "bob"];

#[derive(Debug, Clone, Copy)]
enum Step {
    Event {
        name: usize,
        user: usize,
        id: u64,
    },
    /// A device of the user reads on, at most so many messages.
    Read {
        device: usize,
        limit: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..NAMES.len(), 0..USERS.len(), 0..4_u64).prop_map(|(name, user, id)| Step::Event { name, user, id }),
        1 => (0..4_usize, 1..6_usize).prop_map(|(device, limit)| Step::Read { device, limit }),
    ]
}

fn catalog() -> Catalog {
    let files = [("catalog.toml", CATALOG), ("any.json", "{}")];
    let files: Files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    Catalog::parse(&Tenant::parse("t").unwrap(), &files).unwrap()
}

fn event(name: &str, user: &str, id: u64, n: u64) -> Event {
    let raw = RawEvent {
        subject: format!("events.t.{name}"),
        headers: Vec::new(),
        payload: json!({ "user": user, "id": id, "n": n }).to_string().into(),
        position: Position { epoch: Epoch(1), sequence: n },
        stored_at: OffsetDateTime::UNIX_EPOCH,
    };
    raw.read().unwrap()
}

/// A device: how far it has read, and what it shows of each comment.
#[derive(Default)]
struct Device {
    after: u64,
    shows: BTreeMap<u64, u64>,
    notes: Vec<u64>,
}

/// What was said: the number of the event, its name, its user, and the comment.
type Said = (u64, usize, usize, u64);

/// What of it is not replaced.
fn standing(said: &[Said]) -> Vec<Said> {
    let is_replaced = |(n, name, user, id): &Said| {
        let later =
            |other: &&Said| other.0 > *n && (other.1 < 3, other.2, other.3) == (*name < 3, *user, *id);
        *name < 3 && said.iter().any(|other| later(&other))
    };
    said.iter().copied().filter(|one| !is_replaced(one)).collect()
}

fn read(log: &Log, said: &[Said], device: &mut Device, user: usize, limit: usize) {
    let address = format!("user:{}", USERS[user]);
    let query = Query { tenant: "t", addresses: &[address], after: device.after, now: 0 };
    let page = log.mailbox.merge(&query, u64::MAX, limit).unwrap();
    let found: Vec<_> = page.found.iter().map(|found| found.sequence).collect();
    let expected = standing(said).into_iter().filter(|(n, _, of, _)| *of == user && *n > device.after);
    let expected: Vec<_> = expected.map(|(n, ..)| n).take(limit).collect();
    assert_eq!(found, expected, "in order, and nothing that was replaced");
    for sequence in found {
        let (n, name, _, id) = *said.iter().find(|one| one.0 == sequence).unwrap();
        match NAMES[name] {
            "comment.removed" => drop(device.shows.remove(&id)),
            "note.added" => device.notes.push(n),
            _ => drop(device.shows.insert(id, n)),
        }
    }
    device.after = page.read_through;
}

proptest! {
    #[test]
    fn every_device_ends_with_what_stands(steps in prop::collection::vec(step(), 0..80)) {
        let catalog = catalog();
        let mut log = Log::new(Epoch(1), Generations::default(), (0, 0), 0, None);
        let mut said: Vec<Said> = Vec::new();
        let mut devices: [Device; 4] = std::array::from_fn(|_| Device::default());
        for step in steps {
            match step {
                Step::Event { name, user, id } => {
                    let n = said.len() as u64 + 1;
                    let envelopes = catalog.project(&event(NAMES[name], USERS[user], id, n)).unwrap();
                    prop_assert_eq!(envelopes.len(), 1);
                    for envelope in envelopes {
                        let (stored_at, generation, is_late) = (OffsetDateTime::UNIX_EPOCH, 0, false);
                        log.index(&StoredEnvelope { sequence: n, stored_at, generation, is_late, envelope });
                    }
                    said.push((n, name, user, id));
                }
                Step::Read { device, limit } => read(&log, &said, &mut devices[device], device % 2, limit),
            }
        }
        for (number, device) in devices.iter_mut().enumerate() {
            let user = number % 2;
            read(&log, &said, device, user, usize::MAX);
            let of_user = standing(&said).into_iter().filter(|(_, _, of, _)| *of == user);
            let (comments, notes): (Vec<_>, Vec<_>) = of_user.partition(|(_, name, ..)| *name < 3);
            let shown = comments.into_iter().filter(|(_, name, ..)| NAMES[*name] != "comment.removed");
            prop_assert_eq!(&device.shows, &shown.map(|(n, _, _, id)| (id, n)).collect());
            prop_assert_eq!(&device.notes, &notes.into_iter().map(|(n, ..)| n).collect::<Vec<_>>());
        }
    }
}
