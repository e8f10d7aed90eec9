//! `tidings-bench dispatcher`: what fallbacks cost that wait, and those that are due all at once.

mod receiver;

use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_model::{Address, Envelope, PlacedPosition, Position};
use tidings_streams::EnvelopeWriter;
use tidings_streams::consumers::{Change, ConsumerName, ConsumerStore as _, Presence};
use time::OffsetDateTime;

use self::receiver::Receiver;
use crate::deployment::{Deployment, tenant};
use crate::failure::Failure;
use crate::population::{addresses, body, envelope, user};
use crate::process::Process;
use crate::report::{Report, Section, each, megabytes, number, progress, rate};
use crate::usage::{Stopwatch, peak};

/// Bytes of a message.
const BODY: usize = 256;
/// How often it is looked how far the dispatcher has come.
const POLL: Duration = Duration::from_millis(50);
/// Devices that are written at the same time.
const AT_ONCE: usize = 256;

/// Sizes of the benchmark.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Deliveries that are scheduled for later
    #[arg(long, default_value_t = 200_000)]
    pub(crate) pending: u64,
    /// Deliveries that are due at once, of which every second one was received
    #[arg(long, default_value_t = 50_000)]
    pub(crate) due: u64,
}

const COLUMNS: &[&str] = &[
    "deliveries",
    "seconds",
    "deliveries/s",
    "CPU s",
    "CPU µs each",
    "nats-server µs each",
    "MB at most",
    "nats-server MB at most",
];

/// Runs the benchmark.
pub(crate) async fn run(options: &Options, report: &mut Report) -> Result<(), Failure> {
    let mut section = Section::new("Fallbacks", COLUMNS);
    progress(&format!("{} deliveries are scheduled", options.pending));
    let mut scene = Scene::start().await?;
    let (work, count) = (scene.watch()?, options.pending);
    scene.write("reminder", count).await?;
    scene.until(1 + count).await?;
    section.row("scheduled, each for an hour later", work.values(count)?);
    scene.dispatcher.kill().await?;

    progress(&format!("{} deliveries are due at once", options.due));
    let mut scene = Scene::start().await?;
    let count = options.due;
    scene.devices(count).await?;
    let work = scene.watch()?;
    let last = scene.write("alert", count).await?;
    scene.until(1 + count).await?;
    section.row("scheduled, each for a minute later", work.values(count)?);
    scene.receive(count, last).await?;
    scene.until_due(count).await?;
    let work = scene.watch()?;
    // Of what is sent the attempt and its outcome are noted, of what is skipped one fact.
    let sent = count - count.div_ceil(2);
    scene.until(1 + 2 * sent + count.div_ceil(2)).await?;
    section.row("due at once, every second one received", work.values(count)?);
    if scene.receiver.count() != sent {
        return Err(format!("{} webhooks came, expected {sent}", scene.receiver.count()).into());
    }
    section
        .note("from the first envelope that is written, or the first delivery that is due, to the last fact");
    section.note("one webhook receives all of them, in this process, whose CPU is in no figure");
    report.add(section);
    Ok(())
}

/// A dispatcher beside a nats-server, and where its webhooks go.
struct Scene {
    deployment: Deployment,
    dispatcher: Process,
    receiver: Receiver,
}

impl Scene {
    async fn start() -> Result<Self, Failure> {
        let deployment = Deployment::start(1_000).await?;
        let receiver = Receiver::start().await?;
        let dispatcher = deployment.dispatcher(&receiver.url)?;
        let mut scene = Self { deployment, dispatcher, receiver };
        scene.until(1).await?;
        Ok(scene)
    }

    fn watch(&self) -> Result<Work, Failure> {
        let (dispatcher, server) = (self.dispatcher.pid, self.deployment.server_pid()?);
        let stopwatches = (Stopwatch::start(dispatcher)?, Stopwatch::start(server)?);
        Ok(Work { began: Instant::now(), pids: (dispatcher, server), stopwatches })
    }

    /// Writes an envelope of this message for each user, and returns the position of the last one.
    async fn write(&self, slot: &str, count: u64) -> Result<Position, Failure> {
        let topology = &self.deployment.topology;
        let (mut writer, _) = EnvelopeWriter::open(topology).await?;
        let (body, now) = (body(BODY), OffsetDateTime::now_utc());
        for index in 0..count {
            while !writer.has_room() {
                writer.stored().await?;
            }
            let mut envelope: Envelope = envelope(Address::new("user", &user(index))?, index + 1, &body)?;
            slot.clone_into(&mut envelope.subject.slot);
            writer.send(&envelope, now).await?;
        }
        writer.confirm().await?;
        let extent = topology.extent().await?;
        Ok(Position { epoch: extent.epoch, sequence: extent.last })
    }

    /// Gives each user a device that has received nothing.
    async fn devices(&self, count: u64) -> Result<(), Failure> {
        let epoch = self.deployment.topology.extent().await?.epoch;
        self.save(0..count, Position { epoch, sequence: 0 }).await
    }

    /// Every second user has received everything.
    async fn receive(&self, count: u64, last: Position) -> Result<(), Failure> {
        self.save((0..count).step_by(2), last).await
    }

    async fn save(&self, users: impl Iterator<Item = u64>, position: Position) -> Result<(), Failure> {
        let (tenant, seen_at) = (tenant()?, u64::try_from(OffsetDateTime::now_utc().unix_timestamp())?);
        let saving = users.map(|index| {
            let (tenant, consumers) = (tenant.clone(), &self.deployment.consumers);
            async move {
                let user = user(index);
                let presence = Presence::Left("gateway".to_owned());
                let placed = PlacedPosition { generation: 0, position };
                let mut change = Change::new(placed, presence, seen_at);
                change.grants = addresses(&user)?.into();
                consumers.save(&ConsumerName::new(tenant, user, "phone")?, None, &change).await?;
                Ok::<_, Failure>(())
            }
        });
        stream::iter(saving).buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    /// Waits until `DELIVERIES` holds so many messages.
    async fn until(&mut self, messages: u64) -> Result<(), Failure> {
        self.watch_stream(|held, _| held == messages).await
    }

    /// Waits until something is due: then the stream has stored more than what waits and the notes of the reader.
    async fn until_due(&mut self, count: u64) -> Result<(), Failure> {
        let mut before = None;
        self.watch_stream(|held, last| {
            let is_more = before.is_some_and(|before| held != 1 + count || last > before + 1);
            before = Some(last);
            is_more
        })
        .await
    }

    async fn watch_stream(&mut self, mut is_it: impl FnMut(u64, u64) -> bool) -> Result<(), Failure> {
        let context = self.deployment.topology.context().clone();
        loop {
            if let Ok(stream) = context.get_stream("DELIVERIES").await {
                let state = &stream.cached_info().state;
                if is_it(state.messages, state.last_sequence) {
                    return Ok(());
                }
            }
            self.dispatcher.check()?;
            tokio::time::sleep(POLL).await;
        }
    }
}

/// What is measured of one piece of work.
struct Work {
    began: Instant,
    pids: (u32, u32),
    stopwatches: (Stopwatch, Stopwatch),
}

impl Work {
    fn values(&self, count: u64) -> Result<[Option<f64>; 8], Failure> {
        let elapsed = self.began.elapsed();
        let (own, server) = (self.stopwatches.0.read()?, self.stopwatches.1.read()?);
        Ok([
            number(count),
            elapsed.as_secs_f64(),
            rate(count, elapsed),
            own.as_secs_f64(),
            each(own, count),
            each(server, count),
            megabytes(peak(self.pids.0)?),
            megabytes(peak(self.pids.1)?),
        ]
        .map(Some))
    }
}
