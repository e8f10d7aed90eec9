//! One path from a publication to sockets: its processes, its clients, and its costs so far.

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::audience::Audience;
use crate::client::Connection;
use crate::deployment::{Deployment, TOPIC, token};
use crate::failure::Failure;
use crate::population::{body, event_subject};
use crate::process::{Process, own};
use crate::report::{each, progress};
use crate::usage::Stopwatch;

/// The number of clients connecting at the same time.
const UNDER_WAY: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// nats-server, projector, gateway.
    Tidings,
    /// nats-server, relay, sender.
    Bare,
}

pub(super) struct Scene {
    pub(super) way: Way,
    pub(super) receivers: u64,
    context: Context,
    payload: Bytes,
    /// `None` while the audience is receiving.
    audience: Option<Audience>,
    /// In the order in which a message passes them; nats-server comes before both.
    services: [Process; 2],
    /// Microseconds of nats-server and of each service for a delivered message, by round.
    pub(super) costs: Vec<[f64; 3]>,
    /// From a publication to each arrival.
    pub(super) latencies: Vec<Duration>,
    // Last, so that it ends after the processes that depend on it.
    deployment: Deployment,
}

impl Scene {
    pub(super) async fn open(way: Way, receivers: u64, length: usize) -> Result<Self, Failure> {
        progress(&format!("{way:?}: receivers connect, {receivers} of them"));
        let deployment = Deployment::start(1_000).await?;
        let (services, audience) = match way {
            Way::Tidings => tidings(&deployment, receivers).await?,
            Way::Bare => bare(&deployment, receivers).await?,
        };
        Ok(Self {
            way,
            receivers,
            context: jetstream::new(deployment.client.clone()),
            payload: body(length),
            audience: Some(audience),
            services,
            costs: Vec::new(),
            latencies: Vec::new(),
            deployment,
        })
    }

    pub(super) fn forget(&mut self) {
        self.costs.clear();
        self.latencies.clear();
    }

    /// Publishes `pending` events at once and waits until all clients have them, `times` times. A client's arrival is
    /// when it has all of them.
    pub(super) async fn play(&mut self, pending: u64, times: u64) -> Result<(), Failure> {
        let [first, second] = &self.services;
        let used = [self.deployment.server_pid()?, first.pid, second.pid].map(Stopwatch::start);
        for _ in 0..times {
            let mut audience = self.audience.take().ok_or("the audience is already receiving")?;
            let hearing = tokio::task::spawn_blocking(move || {
                let moments = audience.hear(pending)?;
                Ok::<_, Failure>((audience, moments))
            });
            let began = Instant::now();
            self.publish(pending).await?;
            let (audience, moments) = hearing.await??;
            self.audience = Some(audience);
            self.latencies.extend(moments.iter().map(|moment| moment.saturating_duration_since(began)));
        }
        let delivered = times * pending * self.receivers;
        let mut costs = [0.0; 3];
        for (cost, used) in costs.iter_mut().zip(used) {
            *cost = each(used?.read()?, delivered);
        }
        self.costs.push(costs);
        Ok(())
    }

    async fn publish(&self, count: u64) -> Result<(), Failure> {
        let subject = event_subject("announcement.made");
        let mut under_way = Vec::new();
        for _ in 0..count {
            let sent = self.context.publish(subject.clone(), self.payload.clone()).await?;
            under_way.push(sent.into_future());
        }
        try_join_all(under_way).await?;
        Ok(())
    }
}

async fn tidings(deployment: &Deployment, receivers: u64) -> Result<([Process; 2], Audience), Failure> {
    let projector = deployment.projector("projector")?;
    let gateway = deployment.gateway(None).await?;
    let mut audience = Audience::new()?;
    let address = gateway.address;
    let arrivals = stream::iter(0..receivers).map(|index| arrive(address, index));
    let mut arrivals = std::pin::pin!(arrivals.buffer_unordered(UNDER_WAY));
    while let Some(connection) = arrivals.try_next().await? {
        let (stream, rest) = connection.into_parts()?;
        audience.add(stream, &rest)?;
    }
    Ok(([projector, gateway.into()], audience))
}

async fn arrive(gateway: SocketAddr, index: u64) -> Result<Connection, Failure> {
    let mut connection = Connection::open(gateway, &token(&format!("present-{index}"))?).await?;
    connection.catch_up(std::iter::empty()).await?;
    connection.subscribe(TOPIC).await?;
    Ok(connection)
}

async fn bare(deployment: &Deployment, receivers: u64) -> Result<([Process; 2], Audience), Failure> {
    let nats = deployment.server.url();
    let relay = Process::start(own(&["relay", "--nats", nats, "--consumer", "relay"])?, None)?;
    let sender = own(&["sender", "--nats", nats, "--connections", &receivers.to_string()])?;
    let (sender, address, _) = Process::start_listening(sender, None).await?;
    Ok(([relay, sender], Audience::connect(address, receivers)?))
}
