//! Certificates that are replaced while the gateway runs.

use harness::{BOUND, Launch, SCHEMAS, SECRET, System, Transport, eventually};

use crate::certificate::{Mount, Pair};
use crate::tls::{address, note, open};

/// Waits until the gateway shows itself with this pair.
async fn shown(system: &System, pair: &Pair) {
    let road = Transport::tls(&pair.certificate);
    eventually("the new certificate is shown", BOUND, async || road.open(address(system)).await).await;
}

#[tokio::test]
async fn new_connections_get_the_new_certificate_and_open_ones_stay() {
    let (old, new) = (Pair::new(), Pair::new());
    let mut mount = Mount::new(&old);
    let mut system = mount.setup().start().await;
    let mut early = open(&system, &Transport::tls(&old.certificate), "ada", "early").await;
    mount.replace(&new);
    shown(&system, &new).await;
    let mut late = open(&system, &Transport::tls(&new.certificate), "ada", "late").await;
    Transport::tls(&old.certificate).open(address(&system)).await.expect_err("the old certificate is gone");
    note(&system, "ada", 1, "").await;
    for client in [&mut early, &mut late] {
        assert_eq!(client.next_json(BOUND).await["n"], 1);
    }
    system.check_well();
}

#[tokio::test]
async fn a_broken_pair_is_refused_and_the_old_one_stays() {
    let (old, new) = (Pair::new(), Pair::new());
    let mut mount = Mount::new(&old);
    let mut system = mount.setup().start().await;
    mount.replace(&Pair { key: old.key.clone(), ..new.clone() });
    let told = system.gateway.line("the one before stays", BOUND).await;
    assert!(told.contains("ERROR") && told.contains("tls.key is not that of the certificate in"), "{told}");
    open(&system, &Transport::tls(&old.certificate), "ada", "d").await;
    mount.replace(&new);
    shown(&system, &new).await;
    system.check_well();
}

#[tokio::test]
async fn a_gateway_does_not_start_with_a_broken_pair() {
    let (one, other) = (Pair::new(), Pair::new());
    let mount = Mount::new(&Pair { key: other.key, ..one });
    let variables = mount.variables();
    let launch = Launch::tidings(["gateway"])
        .variables(variables.iter().map(|(name, value)| (*name, value.as_str())))
        .variable("TIDINGS_ACCESS__HS256_SECRET", SECRET)
        .variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)
        .folder(mount.folder());
    // Before it looks for NATS, which is not there.
    let told = launch.finish(BOUND).await.failed();
    assert!(told.contains("tls.key is not that of the certificate in"), "{told}");
}
