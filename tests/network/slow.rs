//! Slow readers over TLS: they cost a window, and lose nothing.

use harness::{BOUND, Transport};

use crate::certificate::{Mount, Pair};
use crate::memory::resident;
use crate::tls::{note, open};

/// What passes by while one client does not read: 50 MB.
const NOTES: u64 = 1_600;
const PADDING: usize = 32 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stalls_over_tls_costs_a_window_and_loses_nothing() {
    let pair = Pair::new();
    let mount = Mount::new(&pair);
    let setup = mount.setup().variable("TIDINGS_GATEWAY__HOT_TAIL_BYTES", "1MB");
    let mut system = setup.start().await;
    let road = Transport::tls(&pair.certificate);
    let narrow = road.clone().receive_buffer(16 * 1024);
    let mut stalled = open(&system, &narrow, "ada", "stalled").await;
    let mut brisk = open(&system, &road, "ada", "brisk").await;
    // Has been here, and returns when all has passed.
    open(&system, &road, "ada", "away").await.close().await;

    let before = resident(&system);
    let padding = "x".repeat(PADDING);
    let sending = async {
        for n in 1..=NOTES {
            note(&system, "ada", n, &padding).await;
        }
    };
    let reading = async {
        for n in 1..=NOTES {
            assert_eq!(brisk.next_json(BOUND).await["n"], n);
        }
    };
    tokio::join!(sending, reading);
    let grown = resident(&system).saturating_sub(before);
    // Windows and the hot tail, and what a debug build, an allocator and one read of the stream take.
    assert!(grown < 40_000_000, "the gateway has grown by {grown} bytes");

    // From where they were, in order, to the end.
    let mut returned = open_behind(&system, &narrow).await;
    for client in [&mut stalled, &mut returned] {
        for n in 1..=NOTES {
            let message = client.next_json(BOUND).await;
            assert_eq!((&message["n"], message["padding"].as_str().unwrap().len()), (&n.into(), PADDING));
        }
    }
    note(&system, "ada", 0, "").await;
    for client in [&mut stalled, &mut returned, &mut brisk] {
        assert_eq!(client.next_json(BOUND).await["n"], 0);
    }
    system.check_well();
}

/// The device that was away; what it missed comes before anything that it asks for.
async fn open_behind(system: &harness::System, road: &Transport) -> harness::Client {
    let token = harness::token(harness::SECRET, serde_json::json!({ "tenant": "lab", "sub": "ada" }));
    harness::Dial::new(system.address()).query("device", "away").bearer(&token).by(road).open().await
}
