//! Leaving a server that answers, but whose JetStream does not.
//!
//! A nats-server that is cut off from its cluster goes on answering pings. What its clients ask of JetStream is answered
//! by nobody, or with "temporarily unavailable", for as long as that lasts, while the other servers have elected new
//! leaders long since. An election itself takes about four seconds, in which no server answers.

use std::time::Duration;

use async_nats::connection::State;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::topology::{EVENTS, Topology};

/// How often JetStream is asked for a sign of life, and how long an answer may take.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long it may give none: longer than an election.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest patience: where no server can serve, another one is no better, and each change costs.
const LONGEST_PATIENCE: Duration = Duration::from_secs(40);

/// Changes to another server of the cluster each time that JetStream has not answered for some seconds. Never returns.
pub async fn leave_cut_off_servers(topology: &Topology) {
    let client = topology.client();
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silence = Silence::new();
    loop {
        ticks.tick().await;
        if client.connection_state() != State::Connected {
            silence.pause();
            continue;
        }
        let answers = is_served(topology).await;
        if !silence.note(answers, Instant::now()) {
            continue;
        }
        let servers = client.server_pool().await.map_or(0, |servers| servers.len());
        if servers > 1 {
            tracing::warn!("JetStream does not answer through this NATS server; changing to another one");
            // It fails when the connection has ended for good, which others notice as well.
            _ = client.force_reconnect().await;
        }
    }
}

/// Whether JetStream answers anything at all about the stream of events; that it is not there is an answer.
async fn is_served(topology: &Topology) -> bool {
    let asked = topology.context.get_stream(EVENTS);
    match timeout(INTERVAL, asked).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => is_answer(&error),
        Err(_) => false,
    }
}

fn is_answer(error: &async_nats::jetstream::context::GetStreamError) -> bool {
    use async_nats::jetstream::context::GetStreamErrorKind;
    /// "JetStream system temporarily unavailable", as an HTTP server would say it.
    const UNAVAILABLE: usize = 503;
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.code() != UNAVAILABLE)
}

/// For how long JetStream has given no sign of life.
struct Silence {
    since: Option<Instant>,
    patience: Duration,
}

impl Silence {
    fn new() -> Self {
        Self { since: None, patience: PATIENCE }
    }

    /// There is no connection, which says nothing of JetStream.
    fn pause(&mut self) {
        self.since = None;
    }

    /// Notes an answer or its absence; true when it is time to change.
    fn note(&mut self, answers: bool, now: Instant) -> bool {
        if answers {
            *self = Self::new();
            return false;
        }
        let since = *self.since.get_or_insert(now);
        if now.duration_since(since) < self.patience {
            return false;
        }
        self.since = None;
        self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds at which it is time to change, of two minutes with an answer at these seconds.
    fn changes(answers: impl Fn(u64) -> bool) -> Vec<u64> {
        let (start, mut silence) = (Instant::now(), Silence::new());
        let mut is_time = |second: &u64| silence.note(answers(*second), start + Duration::from_secs(*second));
        (0..120).filter(|second| is_time(second)).collect()
    }

    #[test]
    fn an_election_is_waited_for_and_a_longer_silence_is_not() {
        assert_eq!(changes(|_| true), Vec::<u64>::new());
        assert_eq!(changes(|second| second % 5 == 0), Vec::<u64>::new());
        assert_eq!(changes(|second| !(10..17).contains(&second)), [15]);
    }

    #[test]
    fn where_nothing_helps_changes_become_rare() {
        assert_eq!(changes(|_| false), [5, 16, 37, 78, 119]);
    }
}
