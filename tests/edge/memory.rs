//! What an idle TLS connection costs the gateway.

use std::fs;

use harness::{Road, System};

use crate::certificate::{Mount, Pair};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: takes a minute, and prints what it found with --nocapture"]
#[expect(clippy::print_stdout, reason = "the figure is what it is for")]
async fn an_idle_connection_costs_little() {
    let pair = Pair::new();
    let mount = Mount::new(&pair);
    let system = mount.setup().start().await;
    let roads = [("TLS 1.3", Road::tls(&pair.certificate)), ("TLS 1.2", Road::tls12(&pair.certificate))];
    for (name, road) in roads {
        let before = resident(&system);
        let mut clients = Vec::new();
        for n in 0..CONNECTIONS {
            clients.push(open(&system, &road, &format!("user-{n}"), "d").await);
        }
        let each = resident(&system).saturating_sub(before) / CONNECTIONS;
        println!("{name}: {each} bytes for each of {CONNECTIONS} idle connections");
        assert!(each <= MOST, "{name}: {each} bytes for each connection");
    }
}
