//! What a worker counts: on its own thread, by plain additions, for as long as it lives.

use std::sync::Arc;
use std::time::Duration;

use strum::VariantArray as _;
use tidings_metrics::{Histogram, OwnCounter, Snapshot, Source};
use tidings_protocol::close::CloseCode;
use tidings_protocol::error::ErrorCode;
use tidings_protocol::server::Form;

use crate::figures::{
    ACKNOWLEDGED, CLOSES, CONNECTIONS, DELIVERED, DELIVERY, ERRORS, FULL, READS, RECEIVED, RECEIVED_BYTES,
    REPLAYS, SENT,
};

/// What is counted by a worker.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counted {
    /// A message was given to a connection as it came.
    Live,
    /// A message was given from memory, from the stream, or from a scan of it.
    Memory,
    Stream,
    Scan,
    SentBytes,
    Received,
    ReceivedBytes,
    Acknowledged,
    /// A socket was written to this long after the oldest envelope of the write was stored.
    Written(Duration),
    /// The gateway has closed a connection, or its client has.
    ClosedByGateway(CloseCode),
    ClosedByClient(Option<u16>),
    /// A connection has ended without a Close.
    Lost,
    Error(ErrorCode),
    QueueFull,
    /// An envelope that a replay wants was in memory, or not.
    Hit,
    Miss,
}

/// Something that begins and ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ongoing {
    Replay,
    ScanWaiting,
    Scan,
}

/// What a connection is doing, as far as operators want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    Live,
    CatchingUp,
    Moving,
    Leaving,
}

const FORMS: [&str; 2] = ["plain", "sequenced"];
const ACTIVITIES: [&str; 4] = ["live", "catching_up", "moving", "leaving"];
const SOURCES: [&str; 4] = ["live", "memory", "stream", "scan"];
/// Codes that clients usually close with; 1005 stands for a Close without a code.
const USUAL: [(u16, &str); 4] = [(1000, "1000"), (1001, "1001"), (1005, "1005"), (1011, "1011")];

/// The figures of one worker.
#[derive(Debug, Default)]
pub(crate) struct WorkerFigures {
    connections: [[OwnCounter; ACTIVITIES.len()]; FORMS.len()],
    given: [OwnCounter; SOURCES.len()],
    sent_bytes: OwnCounter,
    received: OwnCounter,
    received_bytes: OwnCounter,
    acknowledged: OwnCounter,
    closed_by_gateway: [OwnCounter; CloseCode::VARIANTS.len()],
    /// The last one is of all other codes.
    closed_by_client: [OwnCounter; USUAL.len() + 1],
    lost: OwnCounter,
    errors: [OwnCounter; ErrorCode::VARIANTS.len()],
    queue_full: OwnCounter,
    replays: OwnCounter,
    scans_waiting: OwnCounter,
    scans: OwnCounter,
    hits: OwnCounter,
    misses: OwnCounter,
    delivery: Histogram,
}

impl WorkerFigures {
    /// Adds so many.
    pub(super) fn count(&self, what: Counted, times: u64) {
        let counter = match what {
            Counted::Live => &self.given[0],
            Counted::Memory => &self.given[1],
            Counted::Stream => &self.given[2],
            Counted::Scan => &self.given[3],
            Counted::SentBytes => &self.sent_bytes,
            Counted::Received => &self.received,
            Counted::ReceivedBytes => &self.received_bytes,
            Counted::Acknowledged => &self.acknowledged,
            Counted::Written(time) => return self.delivery.observe(time, times),
            Counted::ClosedByGateway(code) => place_of(CloseCode::VARIANTS, &code, &self.closed_by_gateway),
            Counted::ClosedByClient(code) => {
                let usual = USUAL.iter().position(|(usual, _)| *usual == code.unwrap_or(1005));
                &self.closed_by_client[usual.unwrap_or(USUAL.len())]
            }
            Counted::Lost => &self.lost,
            Counted::Error(code) => place_of(ErrorCode::VARIANTS, &code, &self.errors),
            Counted::QueueFull => &self.queue_full,
            Counted::Hit => &self.hits,
            Counted::Miss => &self.misses,
        };
        counter.add(times);
    }

    /// A connection is doing something else, or has begun, or has ended.
    pub(super) fn moved(&self, form: Form, from: Option<Activity>, to: Option<Activity>) {
        let counter =
            |activity: Activity| &self.connections[usize::from(form == Form::Sequenced)][activity as usize];
        if from != to {
            from.map(counter).into_iter().for_each(OwnCounter::decrement);
            to.map(counter).into_iter().for_each(OwnCounter::increment);
        }
    }

    /// Something has begun, and ends when it is dropped.
    pub(super) fn begin(self: &Arc<Self>, what: Ongoing) -> impl Drop + use<> {
        let begun = Begun { figures: Arc::clone(self), what };
        begun.counter().increment();
        begun
    }

    /// How many messages were given to connections as they came.
    pub(super) fn given_live(&self) -> u64 {
        self.given[0].get()
    }
}

/// Something that has begun and not ended.
struct Begun {
    figures: Arc<WorkerFigures>,
    what: Ongoing,
}

impl Begun {
    fn counter(&self) -> &OwnCounter {
        match self.what {
            Ongoing::Replay => &self.figures.replays,
            Ongoing::ScanWaiting => &self.figures.scans_waiting,
            Ongoing::Scan => &self.figures.scans,
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.counter().decrement();
    }
}

/// The counter of one of these codes.
fn place_of<'c, C: PartialEq>(codes: &[C], code: &C, counters: &'c [OwnCounter]) -> &'c OwnCounter {
    let place = codes.iter().position(|known| known == code).unwrap_or_default();
    &counters[place]
}

impl Source for WorkerFigures {
    fn collect(&self, snapshot: &mut Snapshot) {
        for (form, counters) in FORMS.iter().zip(&self.connections) {
            for (activity, counter) in ACTIVITIES.iter().zip(counters) {
                snapshot.count(&CONNECTIONS, &[form, activity], counter.get());
            }
        }
        for (source, counter) in SOURCES.iter().zip(&self.given) {
            snapshot.count(&DELIVERED, &[source], counter.get());
        }
        let plain = [
            (&SENT, &self.sent_bytes),
            (&RECEIVED, &self.received),
            (&RECEIVED_BYTES, &self.received_bytes),
            (&ACKNOWLEDGED, &self.acknowledged),
            (&FULL, &self.queue_full),
        ];
        for (metric, counter) in plain {
            snapshot.count(metric, &[], counter.get());
        }
        for (code, counter) in CloseCode::VARIANTS.iter().zip(&self.closed_by_gateway) {
            snapshot.count(&CLOSES, &["gateway", &u16::from(*code).to_string()], counter.get());
        }
        let codes = USUAL.iter().map(|(_, code)| *code).chain(["other"]);
        for (code, counter) in codes.zip(&self.closed_by_client) {
            snapshot.count(&CLOSES, &["client", code], counter.get());
        }
        snapshot.count(&CLOSES, &["nobody", "1006"], self.lost.get());
        for (code, counter) in ErrorCode::VARIANTS.iter().zip(&self.errors) {
            snapshot.count(&ERRORS, &[code.as_str()], counter.get());
        }
        let replays = [
            (["memory", "running"], &self.replays),
            (["scan", "waiting"], &self.scans_waiting),
            (["scan", "running"], &self.scans),
        ];
        for (labels, counter) in replays {
            snapshot.count(&REPLAYS, &labels, counter.get());
        }
        for (result, counter) in [("hit", &self.hits), ("miss", &self.misses)] {
            snapshot.count(&READS, &[result], counter.get());
        }
        snapshot.histogram(&DELIVERY, &[], &self.delivery);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_counts_until_it_ends() {
        let figures = Arc::new(WorkerFigures::default());
        let running = [Ongoing::Replay, Ongoing::Scan, Ongoing::ScanWaiting].map(|what| figures.begin(what));
        let counted = || [&figures.replays, &figures.scans, &figures.scans_waiting].map(OwnCounter::get);
        assert_eq!(counted(), [1; 3]);
        drop(running);
        assert_eq!(counted(), [0; 3]);
    }

    #[test]
    fn a_connection_is_counted_in_one_state() {
        let figures = WorkerFigures::default();
        figures.moved(Form::Plain, None, Some(Activity::CatchingUp));
        figures.moved(Form::Plain, Some(Activity::CatchingUp), Some(Activity::Live));
        figures.moved(Form::Plain, Some(Activity::Live), Some(Activity::Live));
        let counted = || figures.connections[0].each_ref().map(OwnCounter::get);
        assert_eq!(counted(), [1, 0, 0, 0]);
        figures.moved(Form::Plain, Some(Activity::Live), None);
        assert_eq!(counted(), [0; 4]);
    }

    #[test]
    fn each_code_is_counted_by_itself() {
        let figures = WorkerFigures::default();
        for code in CloseCode::VARIANTS {
            figures.count(Counted::ClosedByGateway(*code), 1);
        }
        for code in ErrorCode::VARIANTS {
            figures.count(Counted::Error(*code), 1);
        }
        for code in [Some(1000), Some(1001), None, Some(1011), Some(4711)] {
            figures.count(Counted::ClosedByClient(code), 1);
        }
        let counters =
            figures.closed_by_gateway.iter().chain(&figures.errors).chain(&figures.closed_by_client);
        assert!(counters.into_iter().all(|counter| counter.get() == 1));
    }
}
