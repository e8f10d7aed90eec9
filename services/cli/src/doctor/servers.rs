//! What nats-servers say of themselves by their monitoring (`/varz`): no client of NATS may ask for that.

use std::path::Path;
use std::time::Duration;

use rustix::fs::statvfs;
use serde_json::Value;
use tidings_model::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::http::Http;
use crate::failure::{Failure, line};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// The port of monitoring in the configurations that Tidings comes with.
const USUAL_PORT: u16 = 8222;

/// What a server says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServerFigures {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) cluster: Option<String>,
    /// How far its clock is ahead of that of this machine.
    pub(super) skew: Option<time::Duration>,
    /// Whether everything is synced before it is acknowledged; `None` without JetStream.
    pub(super) syncs_always: Option<bool>,
    /// Bytes in JetStream's store, and how many it may have.
    pub(super) store: Option<(u64, u64)>,
    /// Bytes that are free on the disk of the store; `None` if that is another machine's.
    pub(super) free: Option<u64>,
    /// JetStream's leader in the cluster, empty if there is none, and servers that are behind.
    pub(super) meta: Option<(String, Vec<String>)>,
}

/// Where to ask if nothing was said: at the servers of `nats.url`.
pub(super) fn usual(nats_url: &str) -> Vec<String> {
    let host = |url: &str| {
        let rest = url.trim().split_once("://").map_or(url.trim(), |(_, rest)| rest);
        let uri: http::Uri = format!("http://{rest}").parse().ok()?;
        Some(format!("http://{}:{USUAL_PORT}", uri.host()?))
    };
    let mut found: Vec<_> = nats_url.split(',').filter_map(host).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Asks one server.
pub(super) async fn ask(http: &Http, url: &str) -> Result<ServerFigures, String> {
    let address = format!("{}/varz", url.trim_end_matches('/'));
    let asked = async {
        let sent = OffsetDateTime::now_utc();
        let answer = http.get(&address, []).await?;
        if !answer.status.is_success() {
            return Err(Failure::from(format!("{address} answers {}", answer.status)));
        }
        let found = json::parse(&answer.text().await?)?;
        Ok(read(&found, sent, OffsetDateTime::now_utc()))
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(figures)) => Ok(figures),
        Ok(Err(error)) => Err(format!("cannot read {address}: {}", line(&*error))),
        Err(_) => Err(format!("{address} did not answer within {PATIENCE:?}")),
    }
}

/// Reads an answer to a request that was sent and answered at these times.
fn read(found: &Value, sent: OffsetDateTime, received: OffsetDateTime) -> ServerFigures {
    let text = |path| found.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let number = |path| found.pointer(path).and_then(Value::as_u64);
    let now = text("/now").and_then(|now| OffsetDateTime::parse(&now, &Rfc3339).ok());
    let folder = text("/jetstream/config/store_dir");
    let behind = |replica: &Value| {
        let is = |member: &str| replica.get(member).and_then(Value::as_bool);
        let is_well = is("current") == Some(true) && is("offline") != Some(true);
        let name = replica.get("name").and_then(Value::as_str)?;
        (!is_well).then(|| name.to_owned())
    };
    let replicas = found.pointer("/jetstream/meta/replicas").and_then(Value::as_array);
    ServerFigures {
        name: text("/server_name").unwrap_or_default(),
        id: text("/server_id").unwrap_or_default(),
        cluster: text("/cluster/name").filter(|name| !name.is_empty()),
        skew: now.map(|now| now - (sent + (received - sent) / 2)),
        syncs_always: folder
            .is_some()
            .then(|| found.pointer("/jetstream/config/sync_always").and_then(Value::as_bool) == Some(true)),
        store: number("/jetstream/stats/storage").zip(number("/jetstream/config/max_storage")),
        free: folder.as_deref().and_then(|folder| free(Path::new(folder))),
        meta: found.pointer("/jetstream/meta").map(|meta| {
            let leader = meta.get("leader").and_then(Value::as_str).unwrap_or_default().to_owned();
            (leader, replicas.into_iter().flatten().filter_map(behind).collect())
        }),
    }
}

/// What is free on the disk of a folder of this machine.
fn free(folder: &Path) -> Option<u64> {
    let found = statvfs(folder).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn monitoring_is_looked_for_beside_each_server() {
        assert_eq!(
            usual("nats://a:4222, tls://b.example:4443,nats://a:4223,[::1]:1"),
            ["http://[::1]:8222", "http://a:8222", "http://b.example:8222"]
        );
    }

    #[test]
    fn an_answer_is_read() {
        let found = json!({
            "server_id": "N1", "server_name": "nats-1", "now": "2026-01-01T00:01:00Z", "cluster": { "name": "c" },
            "jetstream": {
                "config": { "max_storage": 100, "store_dir": "/nowhere/at/all", "sync_interval": 120_000_000_000_u64 },
                "stats": { "storage": 90 },
                "meta": { "leader": "nats-2", "replicas": [
                    { "name": "nats-2", "current": true }, { "name": "nats-3", "current": false, "offline": true },
                ] },
            },
        });
        let (sent, received) = (datetime!(2026-01-01 00:00:00 UTC), datetime!(2026-01-01 00:00:02 UTC));
        let figures = read(&found, sent, received);
        assert_eq!(figures.skew, Some(time::Duration::seconds(59)));
        assert_eq!((figures.syncs_always, figures.store, figures.free), (Some(false), Some((90, 100)), None));
        assert_eq!(figures.meta, Some(("nats-2".to_owned(), vec!["nats-3".to_owned()])));
        let nothing = read(&json!({}), sent, received);
        assert_eq!((nothing.syncs_always, nothing.meta), (None, None));
    }
}
