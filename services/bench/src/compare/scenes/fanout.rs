//! Events for a topic: one after the other for many receivers, and paced for one alone.

use std::time::{Duration, Instant};

use crate::compare::crowd::Crowd;
use crate::compare::options::Options;
use crate::compare::scene::{Figures, Scene};
use crate::compare::session::Device;
use crate::compare::system::{Kind, System, Used};
use crate::compare::wire::Receiver;
use crate::failure::Failure;
use crate::population::user;
use crate::report::{milliseconds, number, quantile};

/// Events a second for one receiver.
const RATE: u64 = 50;

/// A system whose clients are subscribed to one topic.
struct Subscribed {
    // First, so that they close before their server ends.
    crowd: Crowd,
    system: System,
    receivers: u64,
}

impl Subscribed {
    async fn prepare(kind: &Kind, receivers: u64, options: &Options) -> Result<Self, Failure> {
        let system = System::start(kind, options.body).await?;
        let devices = (0..receivers).map(|index| Device::subscribed(user(index)));
        let crowd = Crowd::connect(&system, devices.collect(), options.under_way).await?;
        Ok(Self { crowd, system, receivers })
    }
}

/// The costs of what was received, and the delays.
fn figures(used: Used, received: u64, lost: u64, mut delays: Vec<Duration>) -> Figures {
    delays.sort_unstable();
    let [all, nats_server, projector, server] = used.for_each(received);
    vec![
        ("CPU, µs each", all),
        ("of it nats-server", nats_server),
        ("of it projector", projector),
        ("of it gateway or Centrifugo", server),
        ("publication to socket, p50 ms", Some(milliseconds(quantile(&delays, 0.5)))),
        ("the same, p99 ms", Some(milliseconds(quantile(&delays, 0.99)))),
        ("lost", Some(number(lost))),
    ]
}

pub(in crate::compare) struct Fanout(Subscribed);

impl Scene for Fanout {
    fn title(options: &Options) -> String {
        format!("One event for {} receivers", options.connections)
    }

    fn notes() -> &'static [&'static str] {
        &[
            "each: for each receiver of an event; the next is published when all have it",
            "the clients acknowledge once, after the last, within the measured time",
        ]
    }

    async fn prepare(kind: &Kind, options: &Options) -> Result<Self, Failure> {
        Ok(Self(Subscribed::prepare(kind, options.connections, options).await?))
    }

    async fn round(&mut self, options: &Options) -> Result<Figures, Failure> {
        let Self(Subscribed { crowd, system, receivers }) = self;
        let meter = system.meter()?;
        let mut delays = Vec::new();
        for _ in 0..options.events {
            let began = Instant::now();
            let publishing = system.publisher.publish([Receiver::Topic]);
            let ((), arrivals) = crowd.receive(*receivers, publishing).await?;
            delays.extend(arrivals.iter().map(|arrival| arrival.at.saturating_duration_since(began)));
        }
        crowd.acknowledge()?;
        let (used, received) = (meter.read()?, delays.len() as u64);
        Ok(figures(used, received, *receivers * options.events - received, delays))
    }
}

pub(in crate::compare) struct Alone(Subscribed);

impl Scene for Alone {
    fn title(_options: &Options) -> String {
        format!("{RATE} events a second for one receiver")
    }

    fn notes() -> &'static [&'static str] {
        &["each: for each event; the client acknowledges once, after the last"]
    }

    async fn prepare(kind: &Kind, options: &Options) -> Result<Self, Failure> {
        Ok(Self(Subscribed::prepare(kind, 1, options).await?))
    }

    async fn round(&mut self, options: &Options) -> Result<Figures, Failure> {
        let Self(Subscribed { crowd, system, .. }) = self;
        let (first, meter) = (system.publisher.last() + 1, system.meter()?);
        let events = (0..options.alone).map(|_| Receiver::Topic);
        let publishing = system.publisher.publish_at(RATE, events);
        let (moments, arrivals) = crowd.receive(options.alone, publishing).await?;
        let used = meter.read()?;
        crowd.acknowledge()?;
        let delays = super::personal::delays(&moments, &arrivals, first);
        Ok(figures(used, options.alone, options.alone - arrivals.len() as u64, delays))
    }
}
