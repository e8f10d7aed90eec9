//! The task that stores events in order, one burst at a time.
//!
//! It sends a burst without waiting, and the next burst after all answers. So only the end of a burst can be missing
//! (see [`EventWriter`]), and the missing events are sent again first. After a failure bursts begin with one event and
//! double, so that events after a refused one are not stored before it.

use std::collections::VecDeque;
use std::error::Error;

use tidings_streams::{Backoff, EventWriteError, EventWriter, OpenWriterError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::entry::{Answer, Entry};
use crate::error::{ConnectError, NotStored};
use crate::settings::Settings;

pub(crate) struct Drain {
    settings: Settings,
    entries: mpsc::Receiver<Entry>,
    /// Events from `entries`, in order. The first is the oldest without a known result.
    waiting: VecDeque<Entry>,
    done: watch::Sender<u64>,
    writer: Option<EventWriter>,
    /// The size of the next burst, in events.
    burst: usize,
    backoff: Backoff,
}

impl Drain {
    pub(crate) async fn open(
        settings: Settings,
        entries: mpsc::Receiver<Entry>,
        done: watch::Sender<u64>,
    ) -> Result<Self, ConnectError> {
        let writer = Some(open(&settings).await?);
        let (waiting, backoff) = (VecDeque::new(), Backoff::new());
        Ok(Self { settings, entries, waiting, done, writer, burst: 1, backoff })
    }

    /// Runs until cancelled, or until all senders are dropped. Returns the events without a known result.
    pub(crate) async fn run(mut self, end: CancellationToken) -> Vec<NotStored> {
        end.run_until_cancelled(self.drain()).await;
        self.entries.close();
        while let Ok(entry) = self.entries.try_recv() {
            self.waiting.push_back(entry);
        }
        if !self.waiting.is_empty() {
            let events = self.waiting.len();
            tracing::error!(events, "a producer ends with events that are not known to be stored");
        }
        let left = self.waiting.into_iter().map(|Entry { id, event, .. }| NotStored {
            id,
            subject: event.subject,
            cloud_event: event.cloud_event,
        });
        left.collect()
    }

    async fn drain(&mut self) {
        let mut taken = Vec::new();
        loop {
            if self.waiting.is_empty() {
                if self.entries.recv_many(&mut taken, self.settings.in_flight).await == 0 {
                    return;
                }
                self.waiting.extend(taken.drain(..));
            }
            match self.store().await {
                Ok(()) => {
                    self.burst = (self.burst * 2).min(self.settings.in_flight);
                    self.backoff.succeeded();
                }
                Err(error) => {
                    let first = self.waiting.front().map(|entry| entry.id.as_str());
                    tracing::warn!(error, event = first, "events cannot be stored now; trying again");
                    self.writer = None;
                    self.burst = 1;
                    self.backoff.failed();
                    self.backoff.wait().await;
                }
            }
        }
    }

    /// Sends one burst and processes its answers.
    async fn store(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.writer.is_none() {
            self.writer = Some(open(&self.settings).await?);
        }
        let Some(writer) = &self.writer else { return Ok(()) };
        let mut pending = Vec::with_capacity(self.burst);
        let mut unsent = None;
        for entry in self.waiting.iter().take(self.burst) {
            match writer.send(&entry.event).await {
                Ok(sent) => pending.push(sent),
                Err(error) => {
                    unsent = Some(error);
                    break;
                }
            }
        }
        for sent in pending {
            self.answer(sent.await)?;
        }
        unsent.map_or(Ok(()), |error| self.answer(Err(error)))?;
        Ok(())
    }

    /// Reports the result of the oldest event, if it is known.
    fn answer(&mut self, outcome: Result<u64, EventWriteError>) -> Result<(), EventWriteError> {
        let answer: Answer = match outcome {
            Ok(stored) => Ok(stored),
            Err(EventWriteError::Refused(reason)) => Err(reason),
            Err(error) => return Err(error),
        };
        if let Some(entry) = self.waiting.pop_front() {
            if let Err(reason) = &answer {
                tracing::error!(
                    event = entry.id,
                    subject = entry.event.subject,
                    reason,
                    "NATS refused an event"
                );
            }
            // The receipt may have been dropped.
            let _ = entry.answer.send(answer);
            self.done.send_modify(|done| *done += 1);
        }
        Ok(())
    }
}

async fn open(settings: &Settings) -> Result<EventWriter, OpenWriterError> {
    EventWriter::open(&settings.servers, settings.options.clone(), settings.patience).await
}
