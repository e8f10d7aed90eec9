//! A gateway with one worker on a core of its own, and its audience.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::consumer::PullConsumer;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rustix::process::{Pid, Signal, kill_process};
use tidings_model::Address;
use tidings_streams::EnvelopeWriter;
use time::OffsetDateTime;
use tokio::net::{TcpSocket, TcpStream};

use crate::affinity::Cores;
use crate::audience::Audience;
use crate::client::Connection;
use crate::deployment::{Deployment, token_in};
use crate::failure::Failure;
use crate::population::{body, envelope, user};
use crate::process::Running;

/// The number of simultaneous handshakes.
pub(crate) const UNDER_WAY: usize = 64;
/// The receive buffer of a client that never reads, in bytes: the smallest that the system allows.
const STALLED_BUFFER: u32 = 1;
/// How long the gateway is stopped at most.
const HELD: Duration = Duration::from_millis(100);
const POLL: Duration = Duration::from_micros(200);

/// The connections of a scene.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) connections: u64,
    /// The total number of addresses; each connection holds its share, and at least one.
    pub(crate) addresses: u64,
    /// One in this many connections never reads.
    pub(crate) stalled: Option<u64>,
}

pub(crate) struct Scene {
    // First, so that it ends before the server that it depends on.
    pub(crate) gateway: Running,
    deployment: Deployment,
    writer: EnvelopeWriter,
    written: u64,
    body: Bytes,
    /// `None` while the audience is receiving.
    audience: Option<Audience>,
    /// Open connections that are never read.
    stalled: Vec<Connection>,
}

impl Scene {
    /// Starts a gateway without connections.
    pub(crate) async fn prepare(body_bytes: usize, cores: &Cores) -> Result<Self, Failure> {
        Self::prepare_with(body_bytes, cores, &[]).await
    }

    /// The same, with these settings besides.
    pub(crate) async fn prepare_with(
        body_bytes: usize,
        cores: &Cores,
        variables: &[(&'static str, String)],
    ) -> Result<Self, Failure> {
        let deployment = Deployment::start(1_000).await?;
        let own = [("TIDINGS_GATEWAY__WORKERS", "1".to_owned())];
        let variables = [&own[..], variables].concat();
        let gateway = deployment.gateway_with(&variables, Some(cores.measured)).await?;
        let (writer, _) = EnvelopeWriter::open(&deployment.topology).await?;
        Ok(Self {
            gateway,
            deployment,
            writer,
            written: 0,
            body: body(body_bytes),
            audience: Some(Audience::new()?),
            stalled: Vec::new(),
        })
    }

    /// Opens all connections.
    pub(crate) async fn fill(&mut self, crowd: Crowd) -> Result<(), Failure> {
        let address = self.gateway.address;
        let arrivals = stream::iter(0..crowd.connections).map(|index| arrive(address, crowd, index));
        let mut arrivals = std::pin::pin!(arrivals.buffer_unordered(UNDER_WAY));
        let audience = self.audience.as_mut().ok_or("the audience is already receiving")?;
        while let Some((stalled, connection)) = arrivals.try_next().await? {
            if stalled {
                self.stalled.push(connection);
            } else {
                let (stream, rest) = connection.into_parts()?;
                audience.add(stream, &rest)?;
            }
        }
        Ok(())
    }

    /// Delivers an envelope for each address, of which each client receives `each`; returns how long after the first
    /// publication each client had all.
    pub(crate) async fn deliver(
        &mut self,
        addresses: impl IntoIterator<Item = Address>,
        each: u64,
    ) -> Result<Vec<Duration>, Failure> {
        let hearing = self.listen(each)?;
        let began = Instant::now();
        self.write(addresses).await?;
        self.heard(began, hearing).await
    }

    /// Delivers envelopes for one address at once: the gateway is stopped until all of them wait for it.
    pub(crate) async fn deliver_at_once(&mut self, address: &Address, count: u64) -> Result<(), Failure> {
        let hearing = self.listen(count)?;
        let gateway = Pid::from_raw(self.gateway.pid.try_into()?).ok_or("the gateway has no process id")?;
        let began = Instant::now();
        if count > 1 {
            kill_process(gateway, Signal::STOP)?;
        }
        let written = self.write((0..count).map(|_| address.clone())).await;
        // A stopped gateway requests no more messages; the rest arrives afterwards.
        let _ = tokio::time::timeout(HELD, self.all_sent()).await;
        kill_process(gateway, Signal::CONT)?;
        written?;
        self.heard(began, hearing).await?;
        Ok(())
    }

    /// Acknowledges on every connection what was received.
    pub(crate) fn acknowledge(&mut self) -> Result<(), Failure> {
        self.audience.as_mut().ok_or("the audience is already receiving")?.acknowledge()
    }

    /// The gateway's memory in bytes, once it no longer changes.
    pub(crate) async fn memory(&self) -> Result<u64, Failure> {
        crate::usage::settled(self.gateway.pid).await
    }

    fn listen(&mut self, each: u64) -> Result<Hearing, Failure> {
        let mut audience = self.audience.take().ok_or("the audience is already receiving")?;
        Ok(tokio::task::spawn_blocking(move || {
            let moments = audience.hear(each)?;
            Ok((audience, moments))
        }))
    }

    async fn heard(&mut self, began: Instant, hearing: Hearing) -> Result<Vec<Duration>, Failure> {
        let (audience, moments) = hearing.await??;
        self.audience = Some(audience);
        Ok(moments.into_iter().map(|moment| moment.saturating_duration_since(began)).collect())
    }

    async fn write(&mut self, addresses: impl IntoIterator<Item = Address>) -> Result<(), Failure> {
        let now = OffsetDateTime::now_utc();
        for address in addresses {
            while !self.writer.has_room() {
                self.writer.stored().await?;
            }
            self.written += 1;
            let envelope = envelope(address, self.written, &self.body)?;
            self.writer.send(&envelope, now).await?;
        }
        Ok(self.writer.confirm().await?)
    }

    /// Waits until nats-server has sent everything to the gateway.
    async fn all_sent(&self) -> Result<(), Failure> {
        let stream = jetstream::new(self.deployment.client.clone()).get_stream("ENVELOPES").await?;
        let name = stream.consumer_names().try_next().await?.ok_or("the gateway has no consumer")?;
        let mut consumer: PullConsumer = stream.get_consumer(&name).await?;
        while consumer.info().await?.num_pending > 0 {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

type Hearing = tokio::task::JoinHandle<Result<(Audience, Vec<Instant>), Failure>>;

/// The address of all connections, or one of many.
pub(crate) fn address(index: u64) -> Result<Address, Failure> {
    Ok(Address::new("org", &organisation(index))?)
}

fn organisation(index: u64) -> String {
    format!("o{index}")
}

async fn arrive(server: SocketAddr, crowd: Crowd, index: u64) -> Result<(bool, Connection), Failure> {
    let Crowd { connections, addresses, stalled } = crowd;
    let held = (index % addresses..addresses).step_by(usize::try_from(connections)?);
    let held: Vec<String> = held.map(organisation).collect();
    let is_stalled = stalled.is_some_and(|every| index.is_multiple_of(every));
    let socket = TcpSocket::new_v4()?;
    if is_stalled {
        socket.set_recv_buffer_size(STALLED_BUFFER)?;
    }
    let stream: TcpStream = socket.connect(server).await?;
    let mut connection = Connection::over(stream, server, &token_in(&user(index), &held)?).await?;
    connection.catch_up(std::iter::empty()).await?;
    connection.subscribe("news").await?;
    Ok((is_stalled, connection))
}
