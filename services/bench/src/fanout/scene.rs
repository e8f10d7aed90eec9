//! A gateway of one shard on a core of its own, with those who listen to it.

use std::collections::VecDeque;
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

use crate::Failure;
use crate::affinity::Cores;
use crate::audience::Audience;
use crate::client::Connection;
use crate::deployment::{Deployment, token_in};
use crate::population::{body, envelope, user};
use crate::process::Running;

/// Handshakes under way at once.
const UNDER_WAY: usize = 64;
/// Publications under way at once.
const IN_FLIGHT: usize = 1_024;
/// Bytes that the system keeps for whoever does not read them: as little as it lets one ask for.
const STALLED_BUFFER: u32 = 1;
/// How long the gateway is held at most.
const HELD: Duration = Duration::from_millis(100);
const POLL: Duration = Duration::from_micros(200);
/// How often memory is looked at until it is the same three times.
const SETTLING: Duration = Duration::from_millis(700);

/// Who comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) connections: u64,
    /// Of all addresses, each connection holds its share, and at least one.
    pub(crate) addresses: u64,
    /// Of the connections, one in so many never reads.
    pub(crate) stalled: Option<u64>,
}

pub(crate) struct Scene {
    // First, so that it ends before the server that it would miss.
    pub(crate) gateway: Running,
    deployment: Deployment,
    writer: EnvelopeWriter,
    written: u64,
    body: Bytes,
    /// `None` while they are listening.
    audience: Option<Audience>,
    /// Held open, and never read.
    stalled: Vec<Connection>,
}

impl Scene {
    /// A gateway to which nobody has come yet.
    pub(crate) async fn prepare(body_bytes: usize, cores: &Cores) -> Result<Self, Failure> {
        let deployment = Deployment::start(1_000).await?;
        let shards = [("TIDINGS_GATEWAY__WORKERS", "1".to_owned())];
        let gateway = deployment.gateway_with(&shards, Some(cores.measured)).await?;
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

    /// Lets everybody come.
    pub(crate) async fn fill(&mut self, crowd: Crowd) -> Result<(), Failure> {
        let address = self.gateway.address;
        let arrivals = stream::iter(0..crowd.connections).map(|index| arrive(address, crowd, index));
        let mut arrivals = std::pin::pin!(arrivals.buffer_unordered(UNDER_WAY));
        let audience = self.audience.as_mut().ok_or("somebody listens already")?;
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

    /// Delivers an envelope for each address, of which each listener receives `each`; says how long
    /// after the first was published each listener had them all.
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

    /// Delivers so many envelopes for one address at once: the gateway is held until they all wait
    /// for it.
    pub(crate) async fn deliver_at_once(&mut self, address: &Address, count: u64) -> Result<(), Failure> {
        let hearing = self.listen(count)?;
        let gateway = Pid::from_raw(self.gateway.pid.try_into()?).ok_or("the gateway has no process id")?;
        let began = Instant::now();
        if count > 1 {
            kill_process(gateway, Signal::STOP)?;
        }
        let written = self.write((0..count).map(|_| address.clone())).await;
        // A gateway that is held asks for no more; what it has not asked for comes afterwards.
        let _ = tokio::time::timeout(HELD, self.all_sent()).await;
        kill_process(gateway, Signal::CONT)?;
        written?;
        self.heard(began, hearing).await?;
        Ok(())
    }

    /// Everybody acknowledges what was received.
    pub(crate) fn acknowledge(&mut self) -> Result<(), Failure> {
        self.audience.as_mut().ok_or("nobody listens")?.acknowledge()
    }

    /// What the gateway's memory comes to when it does not change any more, in bytes.
    pub(crate) async fn memory(&self) -> Result<u64, Failure> {
        let (mut last, mut same) = (0, 0);
        while same < 3 {
            tokio::time::sleep(SETTLING).await;
            let now = crate::usage::anonymous(self.gateway.pid)?;
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
        Ok(last)
    }

    fn listen(&mut self, each: u64) -> Result<Hearing, Failure> {
        let mut audience = self.audience.take().ok_or("somebody listens already")?;
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
        let mut under_way = VecDeque::new();
        for address in addresses {
            if under_way.len() >= IN_FLIGHT
                && let Some(stored) = under_way.pop_front()
            {
                stored.await?;
            }
            self.written += 1;
            let envelope = envelope(address, self.written, &self.body)?;
            under_way.push_back(self.writer.send(&envelope, now).await?);
        }
        for stored in under_way {
            stored.await?;
        }
        Ok(())
    }

    /// Until nats-server has sent everything to the gateway.
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

/// The address at which everybody is, or one of many.
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
