//! Alerts that are raised by the fault that they are for. It happens in a running system; what Prometheus would have read before
//! and during it is recorded, and `promtool test rules` says which rules fire.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use harness::{Dial, token};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::figures::{Figures, figures, until};
use crate::formats::promtool_program;
use crate::scene::Scene;

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/helm/tidings/files/alerts.yaml");
/// For how long what is read at one look stays: so many evaluations of 15 seconds.
const EVALUATIONS: usize = 20;

/// What Prometheus reads, look by look.
struct Record {
    /// Processes that run, and where their figures are.
    processes: BTreeMap<&'static str, String>,
    looks: Vec<BTreeMap<String, f64>>,
    expected: Vec<Value>,
}

impl Record {
    /// Reads all figures.
    async fn look(&mut self) {
        let mut all = BTreeMap::new();
        for (process, address) in &self.processes {
            for (series, value) in figures(&[address]).await {
                let (name, labels) = series.split_once('{').unwrap_or((&series, "}"));
                all.insert(format!("{name}{{instance=\"{process}\",job=\"tidings\",{labels}"), value);
            }
        }
        self.looks.push(all);
    }

    /// At the end of the last look, this query has these samples.
    fn expect(&mut self, query: &str, samples: &Value) {
        let seconds = self.looks.len() * EVALUATIONS * 15 - 15;
        let expected = json!({ "expr": query, "eval_time": format!("{seconds}s"), "exp_samples": samples });
        self.expected.push(expected);
    }

    /// At the end of the last look, this alert is raised, or none of this name.
    fn expect_alert(&mut self, name: &str, is_raised: bool) {
        let query = format!("count(ALERTS{{alertname={name:?},alertstate=\"firing\"}}) > bool 0");
        self.expect(&query, &if is_raised { json!([{ "value": 1 }]) } else { json!([]) });
    }

    async fn until(&self, what: &str, holds: impl Fn(&Figures) -> bool) {
        let addresses: Vec<_> = self.processes.values().collect();
        until(what, &addresses, holds).await;
    }

    /// The record as a file for `promtool test rules`; every JSON is YAML.
    fn to_test(&self) -> Value {
        let mut series: Vec<_> = self.looks.iter().flat_map(BTreeMap::keys).collect();
        series.sort();
        series.dedup();
        // Prometheus marks what it does not read any more as stale.
        let shown = |value: Option<&f64>| match value {
            Some(value) => format!("{value}x{}", EVALUATIONS - 1),
            None => format!("stale _x{}", EVALUATIONS - 2),
        };
        let values =
            |series| self.looks.iter().map(|look| shown(look.get(series))).collect::<Vec<_>>().join(" ");
        let input: Vec<_> =
            series.iter().map(|series| json!({ "series": series, "values": values(*series) })).collect();
        json!({
            "rule_files": ["alerts.yaml"], "evaluation_interval": "15s",
            "tests": [{ "interval": "15s", "input_series": input, "promql_expr_test": self.expected }],
        })
    }
}

#[tokio::test]
async fn faults_raise_the_alerts_that_are_for_them() {
    let Some(promtool) = tokio::task::spawn_blocking(promtool_program).await.unwrap() else { return };
    let mut scene = Scene::start(|setup| setup).await;
    let processes = [("gateway", scene.gateway.clone()), ("projector", scene.projector.clone())].into();
    let mut record = Record { processes, looks: Vec::new(), expected: Vec::new() };

    Scene::sequenced(&scene.gateway_address(), "ada", "d").await.close().await;
    for _ in 0..4 {
        record.look().await;
    }
    // Nothing else: there is one projector.
    let firing = r#"count by (alertname) (ALERTS{alertstate="firing"})"#;
    record.expect(firing, &json!([{ "labels": "{alertname=\"TidingsStandbyMissing\"}", "value": 1 }]));
    strangers_come(&scene, &mut record).await;
    producers_and_catalogs_are_wrong(&scene, &mut record).await;
    everything_ends(&mut scene, &mut record).await;

    let folder = tempfile::tempdir().unwrap();
    fs::copy(RULES, folder.path().join("alerts.yaml")).unwrap();
    fs::write(folder.path().join("test.yaml"), record.to_test().to_string()).unwrap();
    let ended = tokio::task::spawn_blocking(move || test_rules(&promtool, folder.path())).await.unwrap();
    assert!(ended.is_ok(), "{}", ended.unwrap_err());
}

fn test_rules(promtool: &Path, folder: &Path) -> Result<(), String> {
    let ended =
        Command::new(promtool).args(["test", "rules", "test.yaml"]).current_dir(folder).output().unwrap();
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    if ended.status.success() { Ok(()) } else { Err(said) }
}

async fn strangers_come(scene: &Scene, record: &mut Record) {
    let forged = token("another-secret-of-32-or-more-bytes!!", json!({ "tenant": "lab", "sub": "eve" }));
    for _ in 0..5 {
        for _ in 0..3 {
            Dial::new(&scene.gateway_address()).bearer(&forged).refused().await;
        }
        record.look().await;
    }
    record.expect_alert("TidingsHandshakesRefused", true);
}

async fn producers_and_catalogs_are_wrong(scene: &Scene, record: &mut Record) {
    scene.system.publish("lab", "note.burnt", &json!({})).await;
    let rejected = r#"tidings_projector_rejected_events_total{shard="0",reason="unknown-event"}"#;
    record.until("an event is rejected", |now| now.get(rejected) == Some(&1.0)).await;
    record.look().await;
    record.expect_alert("TidingsEventsRejected", true);

    scene.spoil_catalog(true);
    scene.system.gateway.signal(Signal::HUP);
    let refused = r#"tidings_catalog_reloads_total{result="refused"}"#;
    record.until("a catalog is refused", |now| now.get(refused) == Some(&1.0)).await;
    record.look().await;
    record.expect_alert("TidingsCatalogRefused", true);

    scene.change_catalog();
    scene.system.gateway.signal(Signal::HUP);
    let reloaded = r#"tidings_catalog_reloads_total{result="reloaded"}"#;
    record.until("the gateway has another catalog", |now| now.get(reloaded) == Some(&1.0)).await;
    for _ in 0..4 {
        record.look().await;
    }
    record.expect_alert("TidingsCatalogsDiffer", true);
}

async fn everything_ends(scene: &mut Scene, record: &mut Record) {
    let connected = |now: &Figures| now.get("tidings_nats_connected").copied();
    scene.system.nats.kill().await.unwrap();
    record.until("both have lost NATS", |now| connected(now) == Some(0.0)).await;
    record.look().await;
    record.expect_alert("TidingsNatsDisconnected", true);
    scene.system.nats.restart().await.unwrap();
    record.until("both have found it again", |now| connected(now) == Some(2.0)).await;
    record.look().await;
    record.expect_alert("TidingsNatsDisconnected", false);
    record.expect_alert("TidingsShardNotProjected", false);
    record.expect_alert("TidingsNoGateway", false);

    scene.system.projector.signal(Signal::KILL);
    record.processes.remove("projector");
    record.look().await;
    record.expect_alert("TidingsShardNotProjected", true);
    scene.system.gateway.signal(Signal::KILL);
    record.processes.remove("gateway");
    record.look().await;
    record.expect_alert("TidingsNoGateway", true);
}
