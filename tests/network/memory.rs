//! What an idle TLS connection costs the gateway.

use std::fs;

use harness::{BOUND, System, Transport};
use serde_json::json;

use crate::certificate::{Mount, Pair, lab};
use crate::tls::open;

const CONNECTIONS: u64 = 2_000;
/// Bytes that a connection may cost, in the gateway's own memory.
const MOST: u64 = 12 * 1024;

/// Resident memory of the gateway, in bytes.
pub(crate) fn resident(system: &System) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", system.gateway.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// What each of these connections costs while nothing is said, though each has said something longer than any
/// buffer.
async fn each(system: &System, road: &Transport, device: &str, connections: u64) -> u64 {
    let before = resident(system);
    let mut clients = Vec::new();
    for n in 0..connections {
        let mut client = open(system, road, &format!("user-{n}"), device).await;
        client.send_json(&json!({ "action": "x".repeat(15_000) })).await;
        assert_eq!(client.next_json(BOUND).await["data"]["code"], "UNKNOWN_ACTION");
        clients.push(client);
    }
    resident(system).saturating_sub(before) / connections
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: takes a minute, and prints what it found with --nocapture"]
#[expect(clippy::print_stdout, reason = "the figure is what it is for")]
async fn an_idle_connection_costs_little() {
    let pair = Pair::new();
    let mount = Mount::new(&pair);
    let cases = [
        ("TCP alone", lab(), Transport::default()),
        ("TLS 1.3", mount.setup(), Transport::tls(&pair.certificate)),
        ("TLS 1.2", mount.setup(), Transport::tls12(&pair.certificate)),
    ];
    for (name, setup, road) in cases {
        let system = setup.start().await;
        // What the process needs however many connections it has.
        each(&system, &road, "first", CONNECTIONS / 10).await;
        let each = each(&system, &road, "second", CONNECTIONS).await;
        println!("{name}: {each} bytes for each of {CONNECTIONS} idle connections");
        assert!(each <= MOST, "{name}: {each} bytes for each connection");
    }
}
