use tidings_streams::Peer;
use tidings_streams::topology::Difference;
use time::macros::datetime;

use super::super::edge::Ready;
use super::*;

fn codes(found: impl IntoIterator<Item = Finding>) -> Vec<&'static str> {
    let mut report = Report::default();
    report.add(found);
    report.codes().0
}

fn reported(judged: impl FnOnce(&mut Report)) -> (Vec<&'static str>, usize) {
    let mut report = Report::default();
    judged(&mut report);
    report.codes()
}

#[test]
fn a_server_has_the_version_and_the_payload_that_are_needed() {
    let well = ServerFacts {
        version: "2.15.1".to_owned(),
        is_supported: true,
        is_recommended: true,
        max_payload: 1024 * 1024,
        id: "N1".to_owned(),
        cluster: None,
    };
    let most = 1024 * 1024;
    assert_eq!(codes(server(&well, most)), [""; 0]);
    assert_eq!(
        codes(server(&ServerFacts { is_recommended: false, ..well.clone() }, most)),
        ["server-outdated"]
    );
    let old = ServerFacts { is_supported: false, is_recommended: false, ..well.clone() };
    assert_eq!(codes(server(&old, most)), ["server-too-old"]);
    assert_eq!(codes(server(&well, most + 1)), ["max-payload"]);
    assert_eq!(codes(server(&ServerFacts { max_payload: 200_000, ..well }, 1_000)), ["max-payload"]);
}

#[test]
fn a_stream_is_as_it_should_be() {
    let difference = || vec![Difference { setting: "a", found: "1".to_owned(), wanted: "2".to_owned() }];
    let well =
        StreamState { is_led: true, replicas: (3, 3), max_bytes: Some(1_000), ..StreamState::default() };
    let peer = |is_current, is_offline| Peer { server: "n".to_owned(), is_current, is_offline, lag: 1 };
    for (state, expected) in [
        (StreamState { bytes: 849, peers: vec![peer(true, false)], ..well.clone() }, &[][..]),
        (StreamState { bytes: 850, ..well.clone() }, &["stream-nearly-full"]),
        (StreamState { bytes: 850, max_bytes: None, ..well.clone() }, &[]),
        (
            StreamState { essential: difference(), limits: difference(), ..well.clone() },
            &["stream-differs", "limits-differ"],
        ),
        (StreamState { replicas: (1, 3), ..well.clone() }, &["too-few-replicas"]),
        (StreamState { replicas: (5, 3), ..well.clone() }, &[]),
        (StreamState { is_led: false, ..well.clone() }, &["no-leader"]),
        (StreamState { peers: vec![peer(false, false), peer(true, true)], ..well }, &["node-behind"; 2]),
    ] {
        assert_eq!(codes(stream_state("EVENTS", &state)), expected, "{state:?}");
    }
    let judged =
        |found| reported(|report| stream(&StreamFacts { name: "REJECTED".to_owned(), found }, report));
    assert_eq!(judged(Ok(None)), (vec!["stream-missing"], 0));
    assert_eq!(judged(Err(Silence::None("s".to_owned()))), (vec!["no-leader"], 0));
    assert_eq!(judged(Err(Silence::Denied("s".to_owned()))), (vec![], 1));
    assert_eq!(judged(Err(Silence::Nobody("s".to_owned()))), (vec![], 1));
}

#[test]
fn clocks_may_differ_a_little() {
    for (milliseconds, is_found) in
        [(0, false), (2_999, false), (-2_999, false), (3_000, true), (-90_000, true)]
    {
        assert_eq!(
            clock("x", time::Duration::milliseconds(milliseconds)).is_some(),
            is_found,
            "{milliseconds}"
        );
    }
}

#[test]
fn a_server_says_what_it_lacks() {
    let well = ServerFigures {
        name: "n1".to_owned(),
        id: "N1".to_owned(),
        cluster: Some("c".to_owned()),
        skew: Some(time::Duration::ZERO),
        syncs_always: Some(true),
        store: Some((1, 100)),
        free: Some(50),
        meta: Some(("n2".to_owned(), vec![])),
    };
    assert_eq!(codes(figures(&well)), [""; 0]);
    let ill = ServerFigures {
        skew: Some(time::Duration::HOUR),
        syncs_always: Some(false),
        store: Some((90, 100)),
        free: Some(9),
        meta: Some((String::new(), vec!["n3".to_owned()])),
        ..well.clone()
    };
    let expected = [
        "sync-interval",
        "disk-nearly-full",
        "disk-nearly-full",
        "no-meta-leader",
        "node-behind",
        "clock-skew",
    ];
    assert_eq!(codes(figures(&ill)), expected);
    let server = |id: &str, cluster: Option<&str>| ServerFacts {
        version: String::new(),
        is_supported: true,
        is_recommended: true,
        max_payload: 0,
        id: id.to_owned(),
        cluster: cluster.map(str::to_owned),
    };
    assert!(is_of(&well, &server("N1", None)) && is_of(&well, &server("N2", Some("c"))));
    assert!(!is_of(&well, &server("N2", Some("d"))));
    assert!(!is_of(&ServerFigures { cluster: None, ..well }, &server("N2", None)));
}

#[test]
fn processes_are_counted() {
    let shard = ShardNumber(0);
    let gateway =
        |instance: &str, name: &str| RunningGateway { instance: instance.to_owned(), name: name.to_owned() };
    let well = || Processes {
        gateways: Some(vec![gateway("1", "a"), gateway("2", "b")]),
        projectors: Some(vec![shard, shard, ShardNumber(1)]),
        led: BTreeMap::from([(shard, Some(true))]),
        tenants: BTreeMap::from([(shard, BTreeSet::from([Tenant::parse("ops").unwrap()]))]),
        unknown: Some(BTreeSet::new()),
        is_separate: false,
    };
    let judged = |found: Processes| reported(|report| processes(&found, report));
    assert_eq!(judged(well()), (vec![], 0));
    let twins = vec![gateway("1", "a"), gateway("2", "a")];
    assert_eq!(judged(Processes { gateways: Some(twins), ..well() }).0, ["gateway-names"]);
    assert_eq!(judged(Processes { gateways: Some(vec![]), ..well() }).0, ["no-gateway"]);
    assert_eq!(judged(Processes { gateways: Some(vec![]), is_separate: true, ..well() }), (vec![], 1));
    assert_eq!(judged(Processes { gateways: None, ..well() }), (vec![], 1));
    assert_eq!(judged(Processes { projectors: Some(vec![shard]), ..well() }).0, ["standby-missing"]);
    assert_eq!(judged(Processes { projectors: Some(vec![]), ..well() }), (vec![], 1));
    let led = |led| BTreeMap::from([(shard, led)]);
    assert_eq!(judged(Processes { led: led(Some(false)), ..well() }).0, ["no-projector"]);
    assert_eq!(judged(Processes { led: led(None), ..well() }), (vec![], 1));
    let unknown = Some(BTreeSet::from([Tenant::parse("garden").unwrap()]));
    assert_eq!(judged(Processes { unknown, ..well() }).0, ["tenant-without-projector"]);
    assert_eq!(judged(Processes { unknown: None, ..well() }), (vec![], 1));
}

#[test]
fn consumers_are_in_one_store() {
    for (uses_kv, records, has_leases, is_found) in
        [(true, 5, false, false), (true, 5, true, true), (false, 0, true, false), (false, 1, true, true)]
    {
        assert_eq!(consumer_store(uses_kv, records, has_leases).is_some(), is_found, "{uses_kv} {records}");
    }
}

#[test]
fn files_certificates_and_keys_suffice() {
    for (limit, most, is_found) in [
        (Some(1_024), None, true),
        (Some(20_000), None, false),
        (None, Some(10_000_000), false),
        (Some(20_000), Some(20_000), true),
        (Some(1_024), Some(800), false),
    ] {
        assert_eq!(open_files(limit, most).is_some(), is_found, "{limit:?} {most:?}");
    }
    let now = datetime!(2026-01-01 00:00 UTC);
    for (days, expected) in [
        (-1, Some("certificate-expired")),
        (1, Some("certificate-expires")),
        (13, Some("certificate-expires")),
        (15, None),
    ] {
        let found = certificate("k", now + time::Duration::days(days), now);
        assert_eq!(codes(found).first().copied(), expected, "{days}");
    }
    assert_eq!(codes(key_set("i", Err("no".to_owned()))), ["jwks-unreachable"]);
    assert_eq!(codes(key_set("i", Ok((0, 3)))), ["jwks-without-keys"]);
    assert_eq!(codes(key_set("i", Ok((1, 3)))), [""; 0]);
}

#[test]
fn what_a_client_finds_is_judged() {
    let own = IpAddr::from([192, 168, 0, 7]);
    let opened = |seen: [u8; 4]| Some(EventStream::Opened { addresses: Some((seen.into(), own)) });
    let ready =
        |status, skew| Ok(Ready { status, text: String::new(), skew: Some(time::Duration::seconds(skew)) });
    let well = EdgeFacts {
        url: "ws://gateway".to_owned(),
        is_named: true,
        ready: ready(200, 0),
        handshake: Some((401, "UNAUTHORIZED".to_owned())),
        stream: opened([192, 168, 0, 7]),
        canary: Some(Canary::Came),
    };
    let judged = |facts: &EdgeFacts, signs| reported(|report| edge(facts, signs, report));
    assert_eq!(judged(&well, true), (vec![], 0));
    let with = |stream| EdgeFacts { stream, ..well.clone() };
    assert_eq!(judged(&with(opened([10, 0, 0, 1])), true).0, ["client-address"]);
    assert_eq!(judged(&with(opened([8, 8, 8, 8])), true).0, [""; 0]);
    assert_eq!(judged(&with(Some(EventStream::Held)), true).0, ["proxy-buffers"]);
    assert_eq!(judged(&with(None), true), (vec![], 1));
    assert_eq!(judged(&with(Some(EventStream::Opened { addresses: None })), true), (vec![], 1));
    let refused = with(Some(EventStream::Refused(401, "UNAUTHORIZED".to_owned())));
    assert_eq!(judged(&refused, true).0, ["token-refused"]);
    assert_eq!(judged(&refused, false), (vec![], 1));
    let canary = |canary| EdgeFacts { canary: Some(canary), ..well.clone() };
    assert_eq!(judged(&canary(Canary::Missing(std::time::Duration::ZERO)), true).0, ["canary"]);
    assert_eq!(judged(&canary(Canary::NotSent(String::new())), true), (vec![], 1));
    let handshake = |handshake| EdgeFacts { handshake, ..well.clone() };
    for code in ["UPGRADE_REQUIRED", "HTTP_VERSION"] {
        assert_eq!(judged(&handshake(Some((426, code.to_owned()))), true).0, ["proxy-strips-upgrade"]);
    }
    assert_eq!(judged(&handshake(None), true).0, ["proxy-strips-upgrade"]);
    let answers = |ready| EdgeFacts { ready, ..well.clone() };
    assert_eq!(judged(&answers(ready(200, 60)), true).0, ["clock-skew"]);
    assert_eq!(judged(&answers(ready(503, 0)), true).0, ["gateway-not-ready"]);
    assert_eq!(judged(&answers(ready(502, 0)), true).0, ["gateway-unreachable"]);
    let away = answers(Err("refused".to_owned()));
    assert_eq!(judged(&away, true).0, ["gateway-unreachable"]);
    assert_eq!(judged(&EdgeFacts { is_named: false, ..away }, true), (vec![], 1));
}
