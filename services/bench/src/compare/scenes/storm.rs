//! All come back at once, as after a failure of the network, each with messages that it missed.

use std::time::Instant;

use crate::audience::Message;
use crate::client::all_of;
use crate::compare::crowd::{Crowd, connect_all};
use crate::compare::options::Options;
use crate::compare::scene::{Figures, Scene};
use crate::compare::session::Device;
use crate::compare::system::{Endpoint, Kind, System};
use crate::compare::wire::Receiver;
use crate::failure::Failure;
use crate::population::user;
use crate::report::number;

pub(in crate::compare) struct Storm {
    /// Subscribed to the topic, by which it learns that the system has processed everything.
    witness: Crowd,
    system: System,
    /// Those who are away.
    devices: Vec<Device>,
}

impl Scene for Storm {
    fn title(options: &Options) -> String {
        let Options { returning, missed, .. } = options;
        format!("{returning} users come back, each with {missed} personal messages missed")
    }

    fn notes() -> &'static [&'static str] {
        &["until all have everything, have acknowledged it, and the processes are idle; handshakes included"]
    }

    async fn prepare(kind: &Kind, options: &Options) -> Result<Self, Failure> {
        let system = System::start(kind, options.body).await?;
        let witness = Crowd::connect(&system, vec![Device::subscribed("witness")], 1).await?;
        let devices = (0..options.returning).map(|index| Device::of(user(index))).collect();
        let sessions = connect_all(system.endpoint(), devices, options.under_way).await?;
        let devices = sessions.into_iter().map(|(session, _)| session.device).collect();
        system.until_idle().await?;
        Ok(Self { witness, system, devices })
    }

    async fn round(&mut self, options: &Options) -> Result<Figures, Failure> {
        let away: Vec<_> =
            self.devices.iter().map(|device| Receiver::User(device.user().to_owned())).collect();
        for _ in 0..options.missed {
            self.system.publisher.publish(away.iter().cloned()).await?;
        }
        self.witness.receive(1, self.system.publisher.publish([Receiver::Topic])).await?;
        self.witness.acknowledge()?;
        self.system.until_idle().await?;

        let (meter, began, endpoint) = (self.system.meter()?, Instant::now(), self.system.endpoint());
        let (devices, missed) = (std::mem::take(&mut self.devices), options.missed);
        let back =
            all_of(devices, options.under_way, move |device| come_back(device, endpoint, missed)).await?;
        let elapsed = began.elapsed();
        self.system.until_idle().await?;
        let [all, nats_server, projector, server] = meter.read()?.for_each(1_000_000);
        let received: u64 = back.iter().map(|(_, received)| received).sum();
        self.devices = back.into_iter().map(|(device, _)| device).collect();
        Ok(vec![
            ("CPU, s", all),
            ("of it nats-server", nats_server),
            ("of it projector", projector),
            ("of it gateway or Centrifugo", server),
            ("until all have everything, s", Some(elapsed.as_secs_f64())),
            ("lost", Some(number(missed * options.returning - received))),
        ])
    }
}

/// Connects, and receives what it missed; returns how much of it came.
async fn come_back(device: Device, endpoint: Endpoint, missed: u64) -> Result<(Device, u64), Failure> {
    const QUIET: std::time::Duration = std::time::Duration::from_secs(10);
    let mut session = device.connect(endpoint).await?;
    let mut received: Vec<Message> = Vec::new();
    while (received.len() as u64) < missed {
        match tokio::time::timeout(QUIET, session.receive()).await {
            Ok(messages) => received.extend(messages?),
            Err(_) => break,
        }
    }
    if let Some(last) = received.last() {
        session.acknowledge(*last).await?;
    }
    received.dedup_by_key(|message| message.number);
    Ok((session.device, received.len() as u64))
}
