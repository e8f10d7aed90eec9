//! What a dispatcher counts. Its tasks write, whoever asks reads.

use std::time::Duration;

use tidings_channels::Failed;
use tidings_metrics::{Counter, Gauge, Histogram, LagGauge, Snapshot, Source};
use tidings_model::{ChannelKind, ShardNumber};
use tidings_streams::deliveries::Status;

use crate::skip::Skip;

tidings_metrics::declare! {
    /// What a dispatcher counts.
    pub METRICS {
        ACTIVE: Gauge "tidings_dispatcher_active" ["shard"]
            "1 in the dispatcher that leads its shard, 0 in one that stands by.",
        TAKEOVERS: Counter "tidings_dispatcher_takeovers_total" ["shard"]
            "How often this dispatcher began to lead its shard.",
        LAG: Gauge "tidings_dispatcher_lag_messages" ["shard"]
            "Messages of the shard's stream of envelopes whose fallbacks are not scheduled yet; of the dispatcher that leads, \
             as of the last second.",
        LAG_SECONDS: Gauge "tidings_dispatcher_lag_seconds" ["shard"]
            "For how long there have been such messages, in seconds; 0 while it keeps up.",
        SCHEDULED: Counter "tidings_dispatcher_scheduled_deliveries_total" ["shard"]
            "Deliveries that were scheduled; those that were read again count again.",
        WAITING: Gauge "tidings_dispatcher_waiting_deliveries" ["shard"]
            "Deliveries that wait until they are due; of the dispatcher that leads, as of the last ten seconds.",
        DUE: Gauge "tidings_dispatcher_due_deliveries" ["shard"]
            "Deliveries that are due and not decided yet, as far as they were read.",
        LATENESS: Histogram "tidings_dispatcher_lateness_seconds" ["shard"]
            "Time from when JetStream had a delivery as due until it was decided or its attempt began, in seconds.",
        ATTEMPTS: Counter "tidings_dispatcher_attempts_total" ["shard", "channel", "outcome"]
            "Attempts, by `channel` and `outcome`: `sent`; `later`, which the channel's plan repeats; `failed` for good.",
        DECIDED: Counter "tidings_dispatcher_decided_deliveries_total" ["shard", "status"]
            "Deliveries after which nothing follows, by the `status` of their last fact.",
        SKIPPED: Counter "tidings_dispatcher_skipped_deliveries_total" ["shard", "reason"]
            "Deliveries that were not needed, or have nowhere to go, by `reason`.",
    }
}

/// The outcomes of attempts.
const OUTCOMES: [&str; 3] = ["sent", "later", "failed"];
/// What nothing follows after.
const FINAL: [Status; 4] = [Status::Sent, Status::Skipped, Status::Failed, Status::Unknown];

/// The figures of one dispatcher.
#[derive(Debug)]
pub(crate) struct DispatcherFigures {
    shard: String,
    leads: Gauge,
    takeovers: Counter,
    lag: LagGauge,
    /// The sequence up to which envelopes were read.
    read: Gauge,
    scheduled: Counter,
    waiting: Gauge,
    due: Gauge,
    lateness: Histogram,
    attempts: [[Counter; OUTCOMES.len()]; ChannelKind::ALL.len()],
    decided: [Counter; FINAL.len()],
    skipped: [Counter; Skip::KINDS.len()],
}

impl DispatcherFigures {
    pub(crate) fn new(shard: ShardNumber) -> Self {
        Self {
            shard: shard.to_string(),
            leads: Gauge::default(),
            takeovers: Counter::default(),
            lag: LagGauge::default(),
            read: Gauge::default(),
            scheduled: Counter::default(),
            waiting: Gauge::default(),
            due: Gauge::default(),
            lateness: Histogram::default(),
            attempts: Default::default(),
            decided: Default::default(),
            skipped: Default::default(),
        }
    }

    /// A term of this dispatcher has begun.
    pub(crate) fn took_over(&self) {
        self.leads.set(1);
        self.due.set(0);
        self.takeovers.increment();
    }

    /// It has ended.
    pub(crate) fn stands_by(&self) {
        self.leads.set(0);
    }

    pub(crate) fn leads(&self) -> bool {
        self.leads.get() > 0
    }

    /// Envelopes were read up to this sequence.
    pub(crate) fn read_through(&self, sequence: u64) {
        self.read.set(sequence);
    }

    /// The sequence up to which envelopes were read.
    pub(crate) fn read(&self) -> u64 {
        self.read.get()
    }

    /// Envelopes were read up to `read`, and end at `last` now.
    pub(crate) fn look(&self, read: u64, last: u64) {
        self.lag.look(read, last);
    }

    pub(crate) fn scheduled(&self) {
        self.scheduled.increment();
    }

    pub(crate) fn waiting(&self, deliveries: u64) {
        self.waiting.set(deliveries);
    }

    /// So many more are due than before, or fewer.
    pub(crate) fn due(&self, more: i64) {
        self.due.set(self.due.get().saturating_add_signed(more));
    }

    /// A delivery is decided or attempted so long after it was due.
    pub(crate) fn late(&self, by: Duration) {
        self.lateness.observe(by, 1);
    }

    /// An attempt was made.
    pub(crate) fn attempted(&self, channel: ChannelKind, failed: Option<&Failed>) {
        let outcome = match failed {
            None => 0,
            Some(Failed::Later { .. }) => 1,
            Some(_) => 2,
        };
        let channel = ChannelKind::ALL.iter().position(|known| *known == channel);
        if let Some(counter) = channel.and_then(|channel| self.attempts.get(channel)?.get(outcome)) {
            counter.increment();
        }
    }

    pub(crate) fn decided(&self, status: Status) {
        let index = FINAL.iter().position(|known| *known == status);
        if let Some(counter) = index.and_then(|index| self.decided.get(index)) {
            counter.increment();
        }
    }

    pub(crate) fn skipped(&self, skip: &Skip) {
        let index = Skip::KINDS.iter().position(|kind| *kind == skip.kind());
        if let Some(counter) = index.and_then(|index| self.skipped.get(index)) {
            counter.increment();
        }
    }
}

impl Source for DispatcherFigures {
    fn collect(&self, snapshot: &mut Snapshot) {
        let shard = &*self.shard;
        snapshot.count(&ACTIVE, &[shard], self.leads.get());
        // A dispatcher that stands by knows neither how far the one that leads has come nor what waits.
        if self.leads() {
            let (messages, time) = self.lag.read();
            snapshot.count(&LAG, &[shard], messages);
            snapshot.number(&LAG_SECONDS, &[shard], time.as_secs_f64());
            snapshot.count(&WAITING, &[shard], self.waiting.get());
            snapshot.count(&DUE, &[shard], self.due.get());
        }
        snapshot.count(&TAKEOVERS, &[shard], self.takeovers.get());
        snapshot.count(&SCHEDULED, &[shard], self.scheduled.get());
        snapshot.histogram(&LATENESS, &[shard], &self.lateness);
        for (channel, outcomes) in ChannelKind::ALL.iter().zip(&self.attempts) {
            for (outcome, counter) in OUTCOMES.iter().zip(outcomes) {
                snapshot.count(&ATTEMPTS, &[shard, channel.as_str(), outcome], counter.get());
            }
        }
        for (status, counter) in FINAL.iter().zip(&self.decided) {
            snapshot.count(&DECIDED, &[shard, status.as_str()], counter.get());
        }
        for (kind, counter) in Skip::KINDS.iter().zip(&self.skipped) {
            snapshot.count(&SKIPPED, &[shard, kind], counter.get());
        }
    }
}
