//! Many users, and messages for one of them each.

use std::time::{Duration, Instant};

use crate::audience::Arrival;
use crate::compare::crowd::Crowd;
use crate::compare::options::Options;
use crate::compare::scene::{Figures, Scene};
use crate::compare::session::Device;
use crate::compare::system::{Kind, System};
use crate::compare::wire::Receiver;
use crate::failure::Failure;
use crate::population::user;
use crate::report::{milliseconds, number, quantile};

pub(in crate::compare) struct Personal {
    crowd: Crowd,
    system: System,
}

impl Scene for Personal {
    fn title(options: &Options) -> String {
        format!("{} users, {} personal messages a second", options.users, options.rate)
    }

    fn notes() -> &'static [&'static str] {
        &["the users take turns; each acknowledges once, after the last message, within the measured time"]
    }

    async fn prepare(kind: &Kind, options: &Options) -> Result<Self, Failure> {
        let system = System::start(kind, options.body).await?;
        let devices = (0..options.users).map(|index| Device::of(user(index)));
        let crowd = Crowd::connect(&system, devices.collect(), options.under_way).await?;
        Ok(Self { crowd, system })
    }

    async fn round(&mut self, options: &Options) -> Result<Figures, Failure> {
        let count = options.rate * options.seconds;
        let first = self.system.publisher.last() + 1;
        let receivers = (0..count).map(|index| Receiver::User(user(index % options.users)));
        let meter = self.system.meter()?;
        let publishing = self.system.publisher.publish_at(options.rate, receivers);
        let (moments, arrivals) = self.crowd.receive(count, publishing).await?;
        self.crowd.acknowledge()?;
        self.system.until_idle().await?;
        let [all, nats_server, projector, server] = meter.read()?.for_each(count);
        let delays = delays(&moments, &arrivals, first);
        Ok(vec![
            ("CPU, µs for a message", all),
            ("of it nats-server", nats_server),
            ("of it projector", projector),
            ("of it gateway or Centrifugo", server),
            ("publication to socket, p50 ms", Some(milliseconds(quantile(&delays, 0.5)))),
            ("the same, p99 ms", Some(milliseconds(quantile(&delays, 0.99)))),
            ("lost", Some(number(count - arrivals.len() as u64))),
        ])
    }
}

/// How long after its publication each message arrived, ascending. `first` is the number of the first of them.
pub(super) fn delays(moments: &[Instant], arrivals: &[Arrival], first: u64) -> Vec<Duration> {
    let delay = |arrival: &Arrival| {
        let index = usize::try_from(arrival.number.checked_sub(first)?).ok()?;
        Some(arrival.at.saturating_duration_since(*moments.get(index)?))
    };
    let mut delays: Vec<Duration> = arrivals.iter().filter_map(delay).collect();
    delays.sort_unstable();
    delays
}
