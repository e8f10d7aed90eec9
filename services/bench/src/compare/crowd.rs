//! Many clients of a system at once: read by one thread where each moment counts, or each by itself where they come and
//! go.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::session::{Device, Session};
use super::system::{Endpoint, System};
use super::wire::{Protocol, envelope, publications};
use crate::audience::{Arrival, Audience};
use crate::client::all_of;
use crate::failure::Failure;

/// How long no message may arrive before those that are missing count as lost.
const QUIET: Duration = Duration::from_secs(10);
/// How long a client tries to connect.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause before a client connects again.
const PAUSE: Duration = Duration::from_millis(100);

/// Connects all devices; returns them with the time that each took.
pub(super) async fn connect_all(
    endpoint: Endpoint,
    devices: Vec<Device>,
    under_way: usize,
) -> Result<Vec<(Session, Duration)>, Failure> {
    all_of(devices, under_way, move |device| async move {
        let began = Instant::now();
        let session = tokio::time::timeout(PATIENCE, device.connect(endpoint)).await??;
        Ok((session, began.elapsed()))
    })
    .await
}

/// Connected devices that are read together.
pub(super) struct Crowd {
    protocol: Protocol,
    /// `None` while it is receiving.
    audience: Option<Audience>,
}

impl Crowd {
    pub(super) async fn connect(
        system: &System,
        devices: Vec<Device>,
        under_way: usize,
    ) -> Result<Self, Failure> {
        let endpoint = system.endpoint();
        let mut audience = Audience::reading(match endpoint.protocol {
            Protocol::Tidings => envelope,
            Protocol::Centrifugo => publications,
        })?;
        for (session, _) in connect_all(endpoint, devices, under_way).await? {
            let (stream, rest) = session.connection.into_parts()?;
            audience.add(stream, &rest)?;
        }
        Ok(Self { protocol: endpoint.protocol, audience: Some(audience) })
    }

    /// Receives so many messages in all while something is done; less if some do not arrive.
    pub(super) async fn receive<T>(
        &mut self,
        count: u64,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<(T, Vec<Arrival>), Failure> {
        let mut audience = self.audience.take().ok_or("the crowd is already receiving")?;
        let receiving = tokio::task::spawn_blocking(move || {
            let arrivals = audience.collect(count, QUIET)?;
            Ok::<_, Failure>((audience, arrivals))
        });
        let done = work.await?;
        let (audience, arrivals) = receiving.await??;
        self.audience = Some(audience);
        Ok((done, arrivals))
    }

    /// Acknowledges what was received, where clients do that.
    pub(super) fn acknowledge(&mut self) -> Result<(), Failure> {
        match self.protocol {
            Protocol::Tidings => self.audience.as_mut().ok_or("the crowd is receiving")?.acknowledge(),
            Protocol::Centrifugo => Ok(()),
        }
    }
}

/// What a device has received.
pub(super) struct Received {
    /// By number: how often each message came.
    times: Vec<u32>,
    missing: u64,
    /// From the last message before its connection ended to the first after, at most.
    pub(super) silence: Duration,
}

impl Received {
    fn new(count: u64) -> Result<Self, Failure> {
        Ok(Self { times: vec![0; usize::try_from(count)?], missing: count, silence: Duration::ZERO })
    }

    fn add(&mut self, number: u64) -> Result<(), Failure> {
        let index = usize::try_from(number)?.checked_sub(1);
        let times = index.and_then(|index| self.times.get_mut(index));
        let times =
            times.ok_or_else(|| format!("a client received message {number}, which is not its own"))?;
        self.missing -= u64::from(*times == 0);
        *times += 1;
        Ok(())
    }

    pub(super) fn lost(&self) -> u64 {
        self.missing
    }

    pub(super) fn repeated(&self) -> u64 {
        self.times.iter().map(|times| u64::from(times.saturating_sub(1))).sum()
    }
}

/// Receives the messages with the numbers from 1 to `count`. A device whose connection ends connects again to the endpoint
/// of the time, and goes on where it was; what has not come `patience` after the last that came is lost.
pub(super) async fn follow(
    mut session: Session,
    endpoints: watch::Receiver<Endpoint>,
    count: u64,
    patience: Duration,
) -> Result<Received, Failure> {
    let mut received = Received::new(count)?;
    let (mut before, mut is_back) = (Instant::now(), false);
    while received.missing > 0 {
        match tokio::time::timeout_at((before + patience).into(), session.receive()).await {
            Ok(Ok(messages)) => {
                if std::mem::take(&mut is_back) {
                    received.silence = received.silence.max(before.elapsed());
                }
                before = Instant::now();
                for message in &messages {
                    received.add(message.number)?;
                }
                if let Some(last) = messages.last() {
                    // A connection that has ended is noticed when it is read.
                    let _ = session.acknowledge(*last).await;
                }
            }
            Ok(Err(_)) => {
                session = reconnect(session.device, &endpoints).await?;
                is_back = true;
            }
            Err(_) => break,
        }
    }
    Ok(received)
}

async fn reconnect(device: Device, endpoints: &watch::Receiver<Endpoint>) -> Result<Session, Failure> {
    let began = Instant::now();
    loop {
        tokio::time::sleep(PAUSE).await;
        let endpoint = *endpoints.borrow();
        match device.clone().connect(endpoint).await {
            Ok(session) => return Ok(session),
            Err(failure) if began.elapsed() > PATIENCE => return Err(failure),
            Err(_) => {}
        }
    }
}
