//! Devices that were never there before: they connect and subscribe.

use std::time::Instant;

use crate::compare::crowd::connect_all;
use crate::compare::options::Options;
use crate::compare::scene::{Figures, Scene};
use crate::compare::session::Device;
use crate::compare::system::{Kind, System};
use crate::failure::Failure;
use crate::population::user;
use crate::report::{each, milliseconds, quantile};

pub(in crate::compare) struct Arrive {
    system: System,
    /// How many users have been there.
    known: u64,
}

impl Scene for Arrive {
    fn title(options: &Options) -> String {
        format!("{} devices connect and subscribe for the first time", options.connections)
    }

    fn notes() -> &'static [&'static str] {
        &[
            "until everything is confirmed, caught up and idle; a token in HS256, a channel of the user's own, and a topic",
            "Tidings has stored the device in JetStream by then; Centrifugo keeps nothing of it",
        ]
    }

    async fn prepare(kind: &Kind, options: &Options) -> Result<Self, Failure> {
        Ok(Self { system: System::start(kind, options.body).await?, known: 0 })
    }

    async fn round(&mut self, options: &Options) -> Result<Figures, Failure> {
        let count = options.connections;
        let devices = (self.known..self.known + count).map(|index| Device::subscribed(user(index)));
        self.known += count;
        let (meter, began) = (self.system.meter()?, Instant::now());
        let connected = connect_all(self.system.endpoint(), devices.collect(), options.under_way).await?;
        let elapsed = began.elapsed();
        self.system.until_idle().await?;
        let [all, nats_server, projector, server] = meter.read()?.for_each(count);
        let mut times: Vec<_> = connected.iter().map(|(_, time)| *time).collect();
        times.sort_unstable();
        drop(connected);
        self.system.until_idle().await?;
        Ok(vec![
            ("CPU, µs for a device", all),
            ("of it nats-server", nats_server),
            ("of it projector", projector),
            ("of it gateway or Centrifugo", server),
            ("µs for a device, on the clock", Some(each(elapsed, count))),
            ("connect to confirmed, p50 ms", Some(milliseconds(quantile(&times, 0.5)))),
            ("the same, p99 ms", Some(milliseconds(quantile(&times, 0.99)))),
        ])
    }
}
