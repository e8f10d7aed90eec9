//! `tidings canary`: what it measures while all is well, and while nothing is projected; and the doctor's own event.

use harness::{BOUND, Tidings, eventually};
use rustix::process::Signal;
use serde_json::Value;

use crate::figures::until;
use crate::scene::{LISTEN, Scene, address_of, catalog};

/// What moves.
pub(crate) const METRICS: [&str; 3] =
    ["tidings_canary_events_total", "tidings_canary_delivery_seconds", "tidings_canary_silence_seconds"];

/// A block of code of this language in the documents.
pub(crate) fn documented(language: &str) -> String {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/doctor.md")).unwrap();
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Runs a canary. Returns it, and where its figures are.
pub(crate) async fn measures(scene: &mut Scene) -> (Tidings, String) {
    assert!(catalog().contains(&documented("toml")), "the catalog has the message of the documents");
    let url = format!("{}/api/ws", scene.system.address().replace("http", "ws"));
    let arguments = ["canary", "--tenant", "lab", "--url", &url, "--interval", "100ms"];
    let mut canary = scene.system.command(&arguments).variable(LISTEN.0, LISTEN.1).start();
    let address = address_of(&mut canary).await;
    let value =
        |figures: &crate::figures::Figures, series: &str| figures.get(series).copied().unwrap_or_default();
    let addresses = [address.as_str()];
    let delivered = r#"tidings_canary_events_total{tenant="lab",result="delivered"}"#;
    let silence = r#"tidings_canary_silence_seconds{tenant="lab"}"#;
    let measured = r#"tidings_canary_delivery_seconds_count{tenant="lab"}"#;
    until("the canary is heard", &addresses, |now| value(now, delivered) > 1.0 && value(now, measured) > 1.0)
        .await;
    let first = doctor(scene, &url).await;
    assert!(!kinds(&first).contains(&"canary".to_owned()), "{first}");

    scene.system.projector.signal(Signal::STOP);
    let before = until("it falls silent", &addresses, |now| value(now, silence) > 1.0).await;
    eventually("the doctor misses its event", BOUND, async || {
        let report = doctor(scene, &url).await;
        if kinds(&report).contains(&"canary".to_owned()) { Ok(()) } else { Err(report) }
    })
    .await;
    scene.system.projector.signal(Signal::CONT);
    until("it is heard again", &addresses, |now| {
        value(now, delivered) > value(&before, delivered) && value(now, silence) < 1.0
    })
    .await;
    let lag = r#"tidings_projector_lag_seconds{shard="0"}"#;
    until("the projector leads again", &[&*scene.projector], |now| now.contains_key(lag)).await;
    (canary, address)
}

async fn doctor(scene: &Scene, url: &str) -> Value {
    let finished =
        scene.system.command(&["doctor", "--json", "--tenant", "lab", "--url", url]).finish(BOUND).await;
    serde_json::from_str(finished.output.trim()).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

fn kinds(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["kind"].as_str().unwrap().to_owned()).collect()
}
