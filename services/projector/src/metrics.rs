//! What a projector counts. The engine writes, whoever asks reads.

use std::time::Duration;

use tidings_catalog::Reason;
use tidings_metrics::{Counter, Gauge, Histogram, LagGauge, Snapshot, Source};
use tidings_model::{Progress, ShardNumber};

use crate::write_queue::entry::Cause;

tidings_metrics::declare! {
    /// What a projector counts.
    pub METRICS {
        ACTIVE: Gauge "tidings_projector_active" ["shard"]
            "1 in the projector that leads its shard, 0 in one that stands by.",
        TAKEOVERS: Counter "tidings_projector_takeovers_total" ["shard"]
            "How often this projector began to lead its shard.",
        LAG: Gauge "tidings_projector_lag_events" ["shard"]
            "Events in `EVENTS` that are not projected yet; of the projector that leads, as of the last second.",
        LAG_SECONDS: Gauge "tidings_projector_lag_seconds" ["shard"]
            "For how long there have been such events, in seconds; 0 while it keeps up.",
        EVENTS: Counter "tidings_projector_events_total" ["shard"]
            "Events that were read, also of tenants in other shards.",
        REPEATED: Counter "tidings_projector_repeated_events_total" ["shard"]
            "Events that were dropped as repetitions of an earlier one.",
        REJECTED: Counter "tidings_projector_rejected_events_total" ["shard", "reason"]
            "Events that went to `REJECTED`, by `reason`.",
        ENVELOPES: Counter "tidings_projector_envelopes_total" ["shard", "cause"]
            "Envelopes that were stored, by `cause`: an `event` that was read, a `late` message held back by `max_rate`, a \
             `rebuild`.",
        DELAY: Histogram "tidings_projector_delay_seconds" ["shard"]
            "Time from when an event was stored until all of its envelopes were, in seconds.",
        IN_FLIGHT: Gauge "tidings_projector_in_flight_envelopes" ["shard"]
            "Envelopes that were sent to JetStream and are not confirmed yet.",
        QUEUED: Gauge "tidings_projector_queued_envelopes" ["shard"]
            "Events and envelopes in progress, bounded by `projector.in_flight`.",
        REBUILDS: Gauge "tidings_projector_rebuilds" ["shard"]
            "Rebuilds that are running: 1 or 0.",
        REBUILT: Gauge "tidings_projector_rebuild_events" ["shard"]
            "Events that the running rebuild has projected.",
        LEFT: Gauge "tidings_projector_rebuild_left_events" ["shard"]
            "Events that the running rebuild has still to project, as far as it knows.",
    }
}

/// The figures of one projector.
#[derive(Debug)]
pub(crate) struct ProjectorFigures {
    shard: String,
    leads: Gauge,
    takeovers: Counter,
    lag: LagGauge,
    /// The sequence up to which events are done.
    done: Gauge,
    events: Counter,
    repeated: Counter,
    rejected: [Counter; Reason::ALL.len()],
    projected: Counter,
    late: Counter,
    rebuilt: Counter,
    delay: Histogram,
    in_flight: Gauge,
    queued: Gauge,
    rebuilds: Gauge,
    rebuilt_events: Gauge,
    left_events: Gauge,
}

impl ProjectorFigures {
    pub(crate) fn new(shard: ShardNumber) -> Self {
        Self {
            shard: shard.to_string(),
            leads: Gauge::default(),
            takeovers: Counter::default(),
            lag: LagGauge::default(),
            done: Gauge::default(),
            events: Counter::default(),
            repeated: Counter::default(),
            rejected: Default::default(),
            projected: Counter::default(),
            late: Counter::default(),
            rebuilt: Counter::default(),
            delay: Histogram::default(),
            in_flight: Gauge::default(),
            queued: Gauge::default(),
            rebuilds: Gauge::default(),
            rebuilt_events: Gauge::default(),
            left_events: Gauge::default(),
        }
    }

    pub(crate) fn took_over(&self) {
        self.takeovers.increment();
    }

    pub(crate) fn read(&self) {
        self.events.increment();
    }

    pub(crate) fn repeated(&self) {
        self.repeated.increment();
    }

    pub(crate) fn rejected(&self, reason: Reason) {
        let index = Reason::ALL.iter().position(|known| *known == reason);
        if let Some(counter) = index.and_then(|index| self.rejected.get(index)) {
            counter.increment();
        }
    }

    /// An envelope was stored.
    pub(crate) fn stored(&self, cause: &Cause) {
        match cause {
            Cause::Event(_) => self.projected.increment(),
            Cause::Late => self.late.increment(),
            Cause::Rebuilt(_) => self.rebuilt.increment(),
            Cause::Notice => {}
        }
    }

    /// All envelopes of an event are stored, this long after the event.
    pub(crate) fn done(&self, delay: Duration) {
        self.delay.observe(delay, 1);
    }

    /// What is under way now; `done` is the sequence up to which events are done.
    pub(crate) fn look(&self, leads: bool, done: u64, in_flight: usize, queued: usize) {
        let whole = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.leads.set(leads.into());
        self.done.set(done);
        self.in_flight.set(whole(in_flight));
        self.queued.set(whole(queued));
    }

    /// How far the running rebuild is, if there is one.
    pub(crate) fn look_at_rebuild(&self, progress: Option<Progress>) {
        let Progress { events, left, .. } = progress.unwrap_or_default();
        self.rebuilds.set(progress.is_some().into());
        self.rebuilt_events.set(events);
        self.left_events.set(left);
    }

    /// `EVENTS` ends here now. Only of use while this projector leads.
    pub(crate) fn end_of_events(&self, last: u64) {
        self.lag.look(self.done.get(), last);
    }

    pub(crate) fn leads(&self) -> bool {
        self.leads.get() > 0
    }
}

impl Source for ProjectorFigures {
    fn collect(&self, snapshot: &mut Snapshot) {
        let shard = &*self.shard;
        let gauges = [
            (&ACTIVE, &self.leads),
            (&IN_FLIGHT, &self.in_flight),
            (&QUEUED, &self.queued),
            (&REBUILDS, &self.rebuilds),
            (&REBUILT, &self.rebuilt_events),
            (&LEFT, &self.left_events),
        ];
        for (metric, gauge) in gauges {
            snapshot.count(metric, &[shard], gauge.get());
        }
        // A projector that stands by does not know how far the one that leads has come.
        if self.leads() {
            let (events, time) = self.lag.read();
            snapshot.count(&LAG, &[shard], events);
            snapshot.number(&LAG_SECONDS, &[shard], time.as_secs_f64());
        }
        let counters = [(&TAKEOVERS, &self.takeovers), (&EVENTS, &self.events), (&REPEATED, &self.repeated)];
        for (metric, counter) in counters {
            snapshot.count(metric, &[shard], counter.get());
        }
        for (reason, counter) in Reason::ALL.iter().zip(&self.rejected) {
            snapshot.count(&REJECTED, &[shard, reason.as_str()], counter.get());
        }
        for (cause, counter) in [("event", &self.projected), ("late", &self.late), ("rebuild", &self.rebuilt)]
        {
            snapshot.count(&ENVELOPES, &[shard, cause], counter.get());
        }
        snapshot.histogram(&DELAY, &[shard], &self.delay);
    }
}
