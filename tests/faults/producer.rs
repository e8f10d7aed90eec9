//! Producers: one for each tenant, which publishes one event after another and tries each again until it is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, HeaderMap};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::deployment::{Deployment, TENANTS, USERS, user};
use crate::ledger::{Ledger, Line};

/// Between two events of a tenant.
const PACE: Duration = Duration::from_millis(40);
/// How long a server may take to answer before another is asked.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Producers {
    tasks: JoinSet<()>,
    ends: Arc<AtomicBool>,
}

/// Starts them, each connected to every server.
pub(crate) async fn start(ledger: &Arc<Ledger>, deployment: &Deployment, seed: u64) -> Producers {
    let ends = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for (number, tenant) in TENANTS.into_iter().enumerate() {
        let mut contexts = Vec::new();
        for url in deployment.servers.urls() {
            let options = ConnectOptions::new().ping_interval(Duration::from_secs(1));
            contexts.push(jetstream::new(options.connect(url).await.unwrap()));
        }
        let random = fastrand::Rng::with_seed(seed ^ ((number as u64 + 1) << 32));
        tasks.spawn(publish(Arc::clone(ledger), contexts, tenant, random, Arc::clone(&ends)));
    }
    Producers { tasks, ends }
}

impl Producers {
    /// Waits until each has stored its last event.
    pub(crate) async fn stop(mut self) {
        self.ends.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

async fn publish(
    ledger: Arc<Ledger>,
    contexts: Vec<Context>,
    tenant: &'static str,
    mut random: fastrand::Rng,
    ends: Arc<AtomicBool>,
) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut server = 0;
    while !ends.load(Ordering::Relaxed) {
        pace.tick().await;
        let is_personal = random.u8(..4) > 0;
        let (event, user) = if is_personal {
            ("note.made", user(random.usize(..USERS)))
        } else {
            ("news.made", String::new())
        };
        let line: Line = (tenant.to_owned(), user);
        let number = ledger.begin(&line);
        let data = json!({ "user": line.1, "number": number }).to_string();
        let id = format!("{tenant}-{}-{number}", line.1);
        loop {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", id.as_str());
            let subject = format!("events.{tenant}.{event}");
            let context = &contexts[server % contexts.len()];
            let stored = async {
                let sent = context.publish_with_headers(subject, headers, data.clone().into()).await;
                match sent {
                    Ok(sent) => sent.await.is_ok(),
                    Err(_) => false,
                }
            };
            if timeout(PATIENCE, stored).await.unwrap_or(false) {
                break;
            }
            server += 1;
            pace.tick().await;
        }
        ledger.stored(&line, number);
    }
}
