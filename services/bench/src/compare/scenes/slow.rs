//! Clients that do not read for a while, beside others that do.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::client::all_of;
use crate::compare::crowd::{Crowd, Received, connect_all, follow};
use crate::compare::options::Options;
use crate::compare::scene::{Figures, Scene};
use crate::compare::session::Device;
use crate::compare::system::{Kind, System};
use crate::compare::wire::Receiver;
use crate::failure::Failure;
use crate::report::{megabytes, milliseconds, number, quantile};
use crate::usage::settled;

/// One in so many does not read.
const ONE_IN: u64 = 10;
/// A small receive buffer, so that what is not read waits at the server.
const BUFFER: u32 = 4 * 1024;
/// Events at once.
const AT_ONCE: u64 = 20;
/// How long a slow reader waits for what is missing.
const PATIENCE: Duration = Duration::from_secs(10);

pub(in crate::compare) struct Slow {
    kind: Kind,
}

impl Scene for Slow {
    const IS_FRESH: bool = true;

    fn title(options: &Options) -> String {
        let Options { readers, unread, .. } = options;
        format!("{readers} clients read, {} leave {unread} messages unread", readers.div_ceil(ONE_IN))
    }

    fn notes() -> &'static [&'static str] {
        &[
            "delays of those that read, while the others leave everything unread",
            "lost to the slow: after they have read, connected again if they were disconnected, and waited 10 s",
        ]
    }

    async fn prepare(kind: &Kind, _options: &Options) -> Result<Self, Failure> {
        Ok(Self { kind: kind.clone() })
    }

    async fn round(&mut self, options: &Options) -> Result<Figures, Failure> {
        let mut system = System::start(&self.kind, options.body).await?;
        let slow = (0..options.readers.div_ceil(ONE_IN))
            .map(|index| Device::subscribed(format!("slow-{index}")).with_buffer(BUFFER));
        let slow = connect_all(system.endpoint(), slow.collect(), options.under_way).await?;
        let readers = (0..options.readers).map(|index| Device::subscribed(format!("reader-{index}")));
        let mut readers = Crowd::connect(&system, readers.collect(), options.under_way).await?;

        let (mut delays, mut received) = (Vec::new(), 0);
        while system.publisher.last() < options.unread {
            let count = AT_ONCE.min(options.unread - system.publisher.last());
            let began = Instant::now();
            let publishing = system.publisher.publish((0..count).map(|_| Receiver::Topic));
            let ((), arrivals) = readers.receive(count * options.readers, publishing).await?;
            received += arrivals.len() as u64;
            delays.extend(arrivals.iter().map(|arrival| arrival.at.saturating_duration_since(began)));
            readers.acknowledge()?;
        }
        let memory = settled(system.server_pid()).await?;
        delays.sort_unstable();

        let (count, endpoint) = (slow.len(), watch::Sender::new(system.endpoint()));
        let unread = options.unread;
        let read =
            all_of(slow, count, move |(session, _)| follow(session, endpoint.subscribe(), unread, PATIENCE));
        let lost: u64 = read.await?.iter().map(Received::lost).sum();
        Ok(vec![
            ("20 at once to the others, p50 ms", Some(milliseconds(quantile(&delays, 0.5)))),
            ("the same, p99 ms", Some(milliseconds(quantile(&delays, 0.99)))),
            ("gateway or Centrifugo, MB, when all others have read", Some(megabytes(memory))),
            ("lost to those that read", Some(number(options.unread * options.readers - received))),
            ("lost to the slow", Some(number(lost))),
        ])
    }
}
