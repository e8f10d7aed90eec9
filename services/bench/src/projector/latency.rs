//! The latency that the projector adds at a rate well below its limit, from the times at which nats-server stored the
//! event and its envelope, which are of one clock.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::rates::{USERS, until};
use crate::arguments::ProjectorOptions;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::population::{event_subject, notification};
use crate::process::{Process, own};
use crate::report::Plot;
use crate::report::{Section, Subject, milliseconds, number, progress, quantile};

const COLUMNS: &[&str] = &["events", "events/s", "p50 ms", "p99 ms", "p50 × the relay", "p99 × the relay"];
/// Warm-up events before those that count.
const EARLY: usize = 100;

pub(super) async fn measure(options: &ProjectorOptions, rate: f64) -> Result<Section, Failure> {
    progress(&format!("{rate:.0} events per second for {} seconds", options.paced));
    let title = format!("From an event to its envelope, {rate:.0} events per second");
    let mut section = Section::new(title, COLUMNS);
    section.plot = Some(Plot::of(&["p50 ms", "p99 ms"]));
    let pace = Pace { period: Duration::from_secs_f64(1.0 / rate), count: events(options.paced, rate) };

    let deployment = Deployment::start(1_000).await?;
    let users = USERS.to_string();
    let nats = deployment.server.url();
    let relay = own(&["relay", "--nats", nats, "--consumer", "relay", "--users", &users])?;
    let relay = pace.measure(&deployment, Process::start(relay, None)?, options.bytes).await?;

    let deployment = Deployment::start(1_000).await?;
    let projector = pace.measure(&deployment, deployment.projector("projector")?, options.bytes).await?;

    for (subject, name, times) in
        [(Subject::Comparison, "bare relay", &relay), (Subject::Tidings, "projector", &projector)]
    {
        let [p50, p99] = [0.5, 0.99].map(|part| milliseconds(quantile(times, part)));
        let [bare50, bare99] = [0.5, 0.99].map(|part| milliseconds(quantile(&relay, part)));
        let values = [number(times.len() as u64), rate, p50, p99, p50 / bare50, p99 / bare99];
        section.row_of(subject, name, values.map(Some));
    }
    section.note("between the times at which nats-server stored the event and its envelope");
    section.note("at a tenth of the relay's rate");
    Ok(section)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of events")]
fn events(seconds: u64, rate: f64) -> u64 {
    (number(seconds) * rate) as u64 + EARLY as u64
}

/// How events are published.
struct Pace {
    period: Duration,
    count: u64,
}

impl Pace {
    /// Publishes, and returns how long after its event each envelope was stored; ascending.
    async fn measure(
        &self,
        deployment: &Deployment,
        mut process: Process,
        length: usize,
    ) -> Result<Vec<Duration>, Failure> {
        let context = jetstream::new(deployment.client.clone());
        let mut under_way = FuturesOrdered::new();
        let began = Instant::now();
        for index in 0..self.count {
            tokio::time::sleep_until(began + self.period * u32::try_from(index)?).await;
            let payload = notification(index, USERS, length);
            let sent = context.publish(event_subject("notification.created"), payload).await?;
            under_way.push_back(std::future::IntoFuture::into_future(sent));
            if under_way.len() > 100
                && let Some(stored) = under_way.next().await
            {
                stored?;
            }
        }
        while let Some(stored) = under_way.next().await {
            stored?;
        }
        until(deployment, &mut process, self.count).await?;
        let (events, envelopes) =
            (stored_at(deployment, "EVENTS").await?, stored_at(deployment, "ENVELOPES").await?);
        let pairs = events.iter().zip(&envelopes).skip(EARLY);
        let mut times: Vec<Duration> =
            pairs.map(|(event, envelope)| (*envelope - *event).unsigned_abs()).collect();
        times.sort();
        Ok(times)
    }
}

/// When each message of a stream was stored.
async fn stored_at(deployment: &Deployment, stream: &str) -> Result<Vec<OffsetDateTime>, Failure> {
    let stream = jetstream::new(deployment.client.clone()).get_stream(stream).await?;
    let count = usize::try_from(stream.cached_info().state.messages)?;
    let config = pull::Config { ack_policy: AckPolicy::None, headers_only: true, ..pull::Config::default() };
    let mut messages = stream.create_consumer(config).await?.messages().await?;
    let mut times = Vec::with_capacity(count);
    while times.len() < count {
        let message = messages.next().await.ok_or("a stream ended before its end")??;
        times.push(message.info()?.published);
    }
    Ok(times)
}
