//! The queue of events to store: bounded, ordered and lossless.
//!
//! An event has a slot from its acceptance until its result is known. So slots bound the waiting events and those in
//! flight together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidings_streams::OutgoingEvent;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::drain::Drain;
use crate::entry::{Answer, Entry};
use crate::error::{ConnectError, NotStored, PublishError};
use crate::settings::Settings;

/// The result of a stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The event's id.
    pub id: String,
    /// Its sequence in the stream `EVENTS`.
    pub sequence: u64,
}

/// A receipt for an accepted event. It may be dropped: the event is stored all the same, and a failure is logged.
#[derive(Debug)]
pub struct Receipt {
    id: String,
    answer: oneshot::Receiver<Answer>,
}

impl Receipt {
    /// The event's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns when the event is stored, or when it is known that it is not.
    pub async fn stored(self) -> Result<Stored, PublishError> {
        let id = self.id;
        match self.answer.await {
            Ok(Ok(sequence)) => Ok(Stored { id, sequence }),
            Ok(Err(reason)) => Err(PublishError::Refused { id, reason }),
            Err(_) => Err(PublishError::NotStored { id }),
        }
    }
}

/// Room for one event, or none.
pub(crate) enum Slot {
    Free(OwnedSemaphorePermit),
    Full { limit: usize },
}

#[derive(Debug)]
pub(crate) struct Queue {
    slots: Arc<Semaphore>,
    limit: usize,
    /// Its capacity is the number of slots, so that a slot's owner can always send.
    entries: mpsc::Sender<Entry>,
    taken: AtomicU64,
    /// The number of accepted events that are stored or refused.
    done: watch::Receiver<u64>,
    task: Mutex<Option<JoinHandle<Vec<NotStored>>>>,
    end: CancellationToken,
    _end_when_dropped: DropGuard,
}

impl Queue {
    pub(crate) async fn open(settings: Settings) -> Result<Self, ConnectError> {
        let limit = settings.buffer;
        let (entries, waiting) = mpsc::channel(limit);
        let (done, watched) = watch::channel(0);
        let drain = Drain::open(settings, waiting, done).await?;
        let end = CancellationToken::new();
        Ok(Self {
            slots: Arc::new(Semaphore::new(limit)),
            limit,
            entries,
            taken: AtomicU64::new(0),
            done: watched,
            task: Mutex::new(Some(tokio::spawn(drain.run(end.clone())))),
            _end_when_dropped: end.clone().drop_guard(),
            end,
        })
    }

    pub(crate) async fn slot(&self) -> Result<OwnedSemaphorePermit, PublishError> {
        Arc::clone(&self.slots).acquire_owned().await.map_err(|_| PublishError::Closed)
    }

    pub(crate) fn try_slot(&self) -> Result<Slot, PublishError> {
        match Arc::clone(&self.slots).try_acquire_owned() {
            Ok(slot) => Ok(Slot::Free(slot)),
            Err(TryAcquireError::NoPermits) => Ok(Slot::Full { limit: self.limit }),
            Err(TryAcquireError::Closed) => Err(PublishError::Closed),
        }
    }

    pub(crate) fn push(
        &self,
        slot: OwnedSemaphorePermit,
        id: String,
        event: OutgoingEvent,
    ) -> Result<Receipt, PublishError> {
        let (answer, answered) = oneshot::channel();
        // It is counted before it is queued: a flush may wait for one event too many, never for one too few.
        self.taken.fetch_add(1, Ordering::SeqCst);
        let entry = Entry::new(id.clone(), event, answer, slot);
        self.entries.try_send(entry).map_err(|_| PublishError::Closed)?;
        Ok(Receipt { id, answer: answered })
    }

    pub(crate) async fn flush(&self) -> Result<(), PublishError> {
        let taken = self.taken.load(Ordering::SeqCst);
        let mut done = self.done.clone();
        done.wait_for(|done| *done >= taken).await.map(drop).map_err(|_| PublishError::Closed)
    }

    /// Closes the queue and returns the events without a known result after this time.
    pub(crate) async fn close(&self, within: Duration) -> Vec<NotStored> {
        self.slots.close();
        // After a timeout, the task returns the remaining events.
        let _ = timeout(within, self.flush()).await;
        self.end.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        match task {
            Some(task) => task.await.unwrap_or_default(),
            None => Vec::new(),
        }
    }
}
