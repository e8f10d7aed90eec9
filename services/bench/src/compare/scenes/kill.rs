//! `kill -9` of the process that clients are connected to, while events are published.

use std::time::Duration;

use tokio::sync::watch;

use crate::compare::crowd::{Received, connect_all, follow};
use crate::compare::options::Options;
use crate::compare::scene::{Figures, Scene};
use crate::compare::session::Device;
use crate::compare::system::{Kind, System};
use crate::compare::wire::Receiver;
use crate::failure::Failure;
use crate::population::user;
use crate::report::{milliseconds, number, quantile};

/// Events a second.
const RATE: u64 = 100;
/// How long a client waits for what is missing: longer than JetStream's until it gives again what was not acknowledged,
/// which is 30 s for Centrifugo's consumer.
const PATIENCE: Duration = Duration::from_secs(40);

pub(in crate::compare) struct Kill {
    kind: Kind,
}

impl Scene for Kill {
    const IS_FRESH: bool = true;

    fn title(options: &Options) -> String {
        let Options { survivors, through, .. } = options;
        format!("kill -9 with {survivors} clients, {through} messages to each")
    }

    fn notes() -> &'static [&'static str] {
        &[
            "the process that clients are connected to is killed after a third of the messages and started again at once",
            "clients connect again after 100 ms, go on where they were, and wait 40 s for what is missing",
            "the clients of both say where they were, and are told if it cannot be resumed",
        ]
    }

    async fn prepare(kind: &Kind, _options: &Options) -> Result<Self, Failure> {
        Ok(Self { kind: kind.clone() })
    }

    async fn round(&mut self, options: &Options) -> Result<Figures, Failure> {
        let mut system = System::start(&self.kind, options.body).await?;
        let devices = (0..options.survivors).map(|index| Device::subscribed(user(index)));
        let sessions = connect_all(system.endpoint(), devices.collect(), options.under_way).await?;
        let endpoints = watch::Sender::new(system.endpoint());
        let clients: Vec<_> = sessions
            .into_iter()
            .map(|(session, _)| {
                tokio::spawn(follow(session, endpoints.subscribe(), options.through, PATIENCE))
            })
            .collect();
        let events = |count: u64| (0..count).map(|_| Receiver::Topic);
        let before = options.through / 3;
        system.publisher.publish_at(RATE, events(before)).await?;
        let replaced = system.replace_server(&endpoints, RATE, events(options.through - before)).await?;
        let mut received = Vec::new();
        for client in clients {
            received.push(client.await??);
        }
        drop(replaced);
        let mut silences: Vec<Duration> = received.iter().map(|received| received.silence).collect();
        silences.sort_unstable();
        let lost: u64 = received.iter().map(Received::lost).sum();
        let repeated: u64 = received.iter().map(Received::repeated).sum();
        Ok(vec![
            ("lost", Some(number(lost))),
            ("repeated", Some(number(repeated))),
            ("last message before to first after, p50 ms", Some(milliseconds(quantile(&silences, 0.5)))),
        ])
    }
}
