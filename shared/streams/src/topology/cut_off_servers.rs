//! Leaves a server that answers while its JetStream does not.
//!
//! A nats-server that is cut off from its cluster continues to answer pings. Requests of its clients to JetStream get
//! no answer, or "temporarily unavailable", for as long as that lasts, although the other servers elected new leaders
//! long ago. An election itself takes about four seconds, in which no server answers.

use std::time::Duration;

use async_nats::connection::State;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{EVENTS, Topology};

/// How often JetStream is asked, and how long an answer may take.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long JetStream may not answer: longer than an election.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest time without an answer: if no server can serve, another one is no better, and each change has a cost.
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
            // Fails when the connection has ended for good, which its users detect themselves.
            _ = client.force_reconnect().await;
        }
    }
}

/// Whether JetStream answers a request for the stream of events; an error that it does not exist is an answer.
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
    /// "JetStream system temporarily unavailable", as an HTTP status.
    const UNAVAILABLE: usize = 503;
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.code() != UNAVAILABLE)
}

/// How long JetStream has not answered.
struct Silence {
    since: Option<Instant>,
    patience: Duration,
}

impl Silence {
    fn new() -> Self {
        Self { since: None, patience: PATIENCE }
    }

    /// There is no connection, so nothing is known of JetStream.
    fn pause(&mut self) {
        self.since = None;
    }

    /// Records an answer or its absence; returns whether it is time to change the server.
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

    /// The seconds at which it is time to change, within two minutes, with answers at these seconds.
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
