//! One of the two systems with its processes: how it starts, and what it costs.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;

use super::centrifugo::Binary;
use super::publisher::Publisher;
use super::wire::{Protocol, Receiver};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::process::{Process, Running, free_address};
use crate::report::each;
use crate::usage::{Stopwatch, until_idle};

/// Which system.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Tidings,
    Centrifugo(Binary),
}

impl Kind {
    fn protocol(&self) -> Protocol {
        match self {
            Self::Tidings => Protocol::Tidings,
            Self::Centrifugo(_) => Protocol::Centrifugo,
        }
    }
}

/// A running system with a nats-server of its own.
pub(super) struct System {
    // The processes come first, so that they end before the nats-server that they depend on.
    server: Running,
    projector: Option<Process>,
    kind: Kind,
    deployment: Deployment,
    pub(super) publisher: Publisher,
}

/// How clients reach a system.
#[derive(Debug, Clone, Copy)]
pub(super) struct Endpoint {
    pub(super) protocol: Protocol,
    pub(super) address: SocketAddr,
}

/// Processor time by process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    nats_server: Duration,
    projector: Option<Duration>,
    server: Duration,
}

/// Measures [`Used`].
pub(super) struct Meter {
    nats_server: Stopwatch,
    projector: Option<Stopwatch>,
    server: Stopwatch,
}

impl System {
    /// Starts all processes, and waits until clients can connect.
    pub(super) async fn start(kind: &Kind, length: usize) -> Result<Self, Failure> {
        let deployment = Deployment::start(1_000).await?;
        let server = serve(kind, &deployment).await?;
        let projector = match kind {
            Kind::Tidings => Some(deployment.projector("projector")?),
            Kind::Centrifugo(_) => None,
        };
        let publisher = Publisher::new(&deployment.client, kind.protocol(), length);
        Ok(Self { server, projector, kind: kind.clone(), deployment, publisher })
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint { protocol: self.kind.protocol(), address: self.server.address }
    }

    /// Kills the process that clients are connected to and starts it again, at another endpoint, while events are published.
    pub(super) async fn replace_server(
        self,
        endpoints: &watch::Sender<Endpoint>,
        rate: u64,
        receivers: impl IntoIterator<Item = Receiver>,
    ) -> Result<Self, Failure> {
        let Self { server, projector, kind, deployment, mut publisher } = self;
        let replacing = async {
            server.kill().await?;
            let server = serve(&kind, &deployment).await?;
            endpoints.send_replace(Endpoint { protocol: kind.protocol(), address: server.address });
            Ok::<_, Failure>(server)
        };
        let (server, _) = tokio::try_join!(replacing, publisher.publish_at(rate, receivers))?;
        Ok(Self { server, projector, kind, deployment, publisher })
    }

    /// The process that clients are connected to.
    pub(super) fn server_pid(&self) -> u32 {
        self.server.pid
    }

    pub(super) fn nats_server_pid(&self) -> Result<u32, Failure> {
        self.deployment.server_pid()
    }

    pub(super) fn meter(&self) -> Result<Meter, Failure> {
        let projector = self.projector.as_ref().map(|process| Stopwatch::start(process.pid)).transpose()?;
        Ok(Meter {
            nats_server: Stopwatch::start(self.nats_server_pid()?)?,
            projector,
            server: Stopwatch::start(self.server.pid)?,
        })
    }

    /// Waits until no process does anything more.
    pub(super) async fn until_idle(&self) -> Result<(), Failure> {
        let projector = self.projector.as_ref().map(|process| process.pid);
        let pids: Vec<u32> =
            [self.nats_server_pid()?, self.server.pid].into_iter().chain(projector).collect();
        until_idle(&pids).await
    }
}

async fn serve(kind: &Kind, deployment: &Deployment) -> Result<Running, Failure> {
    match kind {
        Kind::Tidings => deployment.gateway(None).await,
        Kind::Centrifugo(binary) => {
            let address = free_address()?;
            let command = binary.command(deployment.folder(), deployment.server.url(), address)?;
            Running::start(command, address, None).await
        }
    }
}

impl Meter {
    pub(super) fn read(&self) -> Result<Used, Failure> {
        Ok(Used {
            nats_server: self.nats_server.read()?,
            projector: self.projector.as_ref().map(Stopwatch::read).transpose()?,
            server: self.server.read()?,
        })
    }
}

impl Used {
    /// Microseconds for each of so many: of all processes, nats-server, the projector, and the gateway or Centrifugo.
    pub(super) fn for_each(self, count: u64) -> [Option<f64>; 4] {
        let all = self.nats_server + self.projector.unwrap_or_default() + self.server;
        [Some(all), Some(self.nats_server), self.projector, Some(self.server)]
            .map(|used| used.map(|used| each(used, count)))
    }
}
