//! The effect of absent users on present ones: publishing and live delivery on two deployments that differ only in
//! the number of consumers, measured in turns.

use std::time::{Duration, Instant};

use tidings_model::{Address, Position};

use crate::arguments::OfflineOptions;
use crate::client::Connection;
use crate::deployment::{Deployment, token};
use crate::failure::Failure;
use crate::population::{body, user, write_consumers, write_envelopes};
use crate::process::Running;
use crate::report::Plot;
use crate::report::{Section, each, median, megabytes, progress, rate, spread};
use crate::usage::{Stopwatch, resident};

const COLUMNS: &[&str] = &[
    "published/s",
    "± %",
    "CPU µs/published",
    "delivered/s",
    "± %",
    "CPU µs/delivered",
    "± %",
    "gateway MB at start",
    "gateway MB at end",
    "JetStream MB",
];

pub(crate) async fn measure(options: &OfflineOptions) -> Result<Section, Failure> {
    let mut scenes = Vec::new();
    for absent in [0, options.absent] {
        progress(&format!("{absent} users are away, {} connect", options.present));
        scenes.push(Scene::prepare(options, absent).await?);
    }
    for round in 1..=options.rounds {
        progress(&format!("publishing, round {round}"));
        for scene in &mut scenes {
            scene.publish(options).await?;
            scene.deliver(options).await?;
        }
    }
    let mut section = Section::new(format!("{} users present, others away", options.present), COLUMNS);
    section.plot = Some(Plot::of(&["CPU µs/published"]));
    for scene in scenes {
        let Scene { absent, published, publishing, delivered, delivering, .. } = &scene;
        section.row(
            format!("{absent} consumers away"),
            [
                Some(median(published.clone())),
                Some(spread(published)),
                Some(median(publishing.clone())),
                Some(median(delivered.clone())),
                Some(spread(delivered)),
                Some(median(delivering.clone())),
                Some(spread(delivering)),
                Some(megabytes(scene.resident_at_start)),
                Some(megabytes(resident(scene.gateway.pid)?)),
                Some(megabytes(resident(scene.deployment.server_pid()?)?)),
            ],
        );
    }
    section.note(format!("published: envelopes for users who are away, {} in each round", options.published));
    section.note(format!("delivered: each of {} envelopes to all present users", options.live));
    section.note("CPU: nats-server and gateway together; envelopes are written directly to ENVELOPES");
    Ok(section)
}

/// A deployment with some users present and some away.
struct Scene {
    absent: u64,
    // First, so that it ends before the server that it depends on.
    gateway: Running,
    deployment: Deployment,
    resident_at_start: u64,
    present: Vec<Connection>,
    published: Vec<f64>,
    publishing: Vec<f64>,
    delivered: Vec<f64>,
    delivering: Vec<f64>,
}

impl Scene {
    async fn prepare(options: &OfflineOptions, absent: u64) -> Result<Self, Failure> {
        let deployment = Deployment::start(1_000).await?;
        let epoch = deployment.topology.extent().await?.epoch;
        write_consumers(&deployment, (0..absent).map(user), Position { epoch, sequence: 0 }).await?;
        let gateway = deployment.gateway(options.hot_tail).await?;
        let resident_at_start = resident(gateway.pid)?;
        let mut present = Vec::new();
        for index in 0..options.present {
            let mut connection =
                Connection::open(gateway.address, &token(&format!("present-{index}"))?).await?;
            connection.catch_up(std::iter::empty()).await?;
            present.push(connection);
        }
        Ok(Self {
            absent,
            deployment,
            gateway,
            resident_at_start,
            present,
            published: Vec::new(),
            publishing: Vec::new(),
            delivered: Vec::new(),
            delivering: Vec::new(),
        })
    }

    fn stopwatches(&self) -> Result<[Stopwatch; 2], Failure> {
        Ok([Stopwatch::start(self.gateway.pid)?, Stopwatch::start(self.deployment.server_pid()?)?])
    }

    /// Publishes envelopes for absent users.
    async fn publish(&mut self, options: &OfflineOptions) -> Result<(), Failure> {
        let mut addresses = Vec::new();
        for index in 0..options.published {
            addresses.push(Address::new("user", &user(index))?);
        }
        let (used, began) = (self.stopwatches()?, Instant::now());
        write_envelopes(&self.deployment, addresses, &body(options.body)).await?;
        self.published.push(rate(options.published, began.elapsed()));
        self.publishing.push(each(total(&used)?, options.published));
        Ok(())
    }

    /// Delivers envelopes to all present users.
    async fn deliver(&mut self, options: &OfflineOptions) -> Result<(), Failure> {
        let count = options.live;
        let (used, began) = (self.stopwatches()?, Instant::now());
        let receiving: Vec<_> = std::mem::take(&mut self.present)
            .into_iter()
            .map(|mut connection| {
                tokio::spawn(async move {
                    let last = connection.receive(count).await?;
                    connection.acknowledge(last).await?;
                    Ok::<_, Failure>(connection)
                })
            })
            .collect();
        let everybody = Address::new("role", "reader")?;
        let envelopes = (0..count).map(|_| everybody.clone());
        write_envelopes(&self.deployment, envelopes, &body(options.body)).await?;
        for receiver in receiving {
            self.present.push(receiver.await??);
        }
        let deliveries = count * number_of(&self.present);
        self.delivered.push(rate(deliveries, began.elapsed()));
        self.delivering.push(each(total(&used)?, deliveries));
        Ok(())
    }
}

fn number_of(connections: &[Connection]) -> u64 {
    connections.len() as u64
}

fn total(used: &[Stopwatch]) -> Result<Duration, Failure> {
    used.iter().map(Stopwatch::read).sum()
}
