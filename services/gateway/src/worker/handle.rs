//! The gateway's workers: starting them, reaching them, and noticing when one fails.
//!
//! Workers belong to the gateway, not to a shard: each serves tenants of every shard, so their number does not depend on
//! the number of shards. A worker that ends by a panic or by an error is never left out silently: its end is reported, and
//! the gateway stops.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidings_model::{Position, ShardNumber, Tenant};
use tidings_replica::Replica;
use tidings_streams::connections::{Operation, Ordinal, Page, Search};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::connection::{NewConnection, Readiness};
use super::interest::{Interest, ShardUpdate};
use super::{Command, Shared, Worker, panicked};
use crate::context::Context;
use crate::error::{StartError, WorkerError};

/// Commands that may wait for a worker. A full queue holds back the reading of the streams.
const QUEUE: usize = 64;

/// The workers of a gateway. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Workers(Arc<[WorkerHandle]>);

struct WorkerHandle {
    commands: mpsc::Sender<Command>,
    connections: Arc<AtomicUsize>,
}

/// Sends the workers what is new in a shard.
#[derive(Clone)]
pub(crate) struct ShardFeed {
    number: ShardNumber,
    workers: Workers,
    interest: Arc<Interest>,
}

/// Receives how each worker ends.
pub(crate) struct Supervisor {
    ended: mpsc::Receiver<(usize, Result<(), WorkerError>)>,
}

impl Workers {
    /// Starts as many workers as are configured.
    pub(crate) fn start(context: &Arc<Context>) -> Result<(Self, Supervisor), StartError> {
        let count = match context.settings.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let (reports, ended) = mpsc::channel(count);
        let shared = Arc::new(Shared::default());
        let start = |index| {
            let parts = (Arc::clone(context), Arc::clone(&shared));
            start(index, parts, reports.clone()).map_err(StartError::Worker)
        };
        let workers = (0..count).map(start).collect::<Result<_, _>>()?;
        Ok((Self(workers), Supervisor { ended }))
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.0.iter().map(WorkerHandle::connections).sum()
    }

    /// Hands a client to the worker with the fewest connections; `false` if that has ended.
    pub(crate) async fn register(&self, new: NewConnection) -> bool {
        match self.0.iter().min_by_key(|worker| worker.connections()) {
            Some(worker) => worker.send(Command::Register(Box::new(new))).await,
            None => false,
        }
    }

    /// Has every worker serve a shard, whose replica has been read up to the position.
    pub(crate) async fn add_shard(
        &self,
        number: ShardNumber,
        replica: &Arc<Replica>,
        position: Position,
    ) -> ShardFeed {
        let interest = Arc::new(Interest::new(self.0.len(), position.sequence));
        let add = || Command::AddShard(number, Arc::clone(replica), position, Arc::clone(&interest));
        self.send_all(add).await;
        ShardFeed { number, workers: self.clone(), interest }
    }

    /// A tenant's envelopes have moved to another shard, in this generation; its connections follow.
    pub(crate) async fn move_tenant(
        &self,
        tenant: &Tenant,
        (from, to): (ShardNumber, ShardNumber),
        generation: u32,
    ) {
        self.send_all(|| Command::MoveTenant { tenant: tenant.clone(), from, to, generation }).await;
    }

    /// A page of the connections of one worker, and whether there is another worker behind it; `None` if there is no such
    /// worker.
    pub(crate) async fn list(
        &self,
        index: usize,
        operation: Operation,
        tenant: Tenant,
        search: Search,
    ) -> Option<(Page, bool)> {
        let (answer, page) = oneshot::channel();
        let worker = self.0.get(index)?;
        worker.send(Command::List(operation, Box::new((tenant, search)), answer)).await;
        // A worker that has ended has no connections.
        Some((page.await.unwrap_or_default(), index + 1 < self.0.len()))
    }

    /// Has a user's connection receive a message that its client has sent by another way; `false` if there is none that does.
    pub(crate) async fn receive(
        &self,
        (tenant, user): (&Tenant, &str),
        ordinal: Ordinal,
        message: String,
    ) -> bool {
        let Some(worker) = self.0.get(ordinal.worker) else { return false };
        let (answer, is_received) = oneshot::channel();
        let from = (tenant.clone(), user.to_owned());
        worker.send(Command::Receive(ordinal.number, Box::new((from, message)), answer)).await;
        is_received.await.unwrap_or_default()
    }

    async fn send_all(&self, command: impl Fn() -> Command) {
        for worker in self.0.iter() {
            // A worker that has ended serves no connection that could miss anything.
            worker.send(command()).await;
        }
    }
}

impl ShardFeed {
    /// Sends the workers what is new: all of them, or those that have connections where it goes.
    pub(crate) async fn send(&self, update: ShardUpdate) {
        let send = |index: usize, update| async move {
            if let Some(worker) = self.workers.0.get(index) {
                // One that takes nothing more is about to end, and never counts as having it.
                worker.send(Command::Update(self.number, update)).await;
            }
        };
        self.interest.send(&update, send).await;
    }
}

impl WorkerHandle {
    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// `false` if the worker has ended.
    async fn send(&self, command: Command) -> bool {
        self.commands.send(command).await.is_ok()
    }
}

impl Supervisor {
    /// Waits for a worker that fails.
    pub(crate) async fn failure(&mut self) -> StartError {
        while let Some((index, ended)) = self.ended.recv().await {
            if let Err(source) = ended {
                return StartError::WorkerFailed { index, source };
            }
        }
        std::future::pending().await
    }

    /// Ends the workers after they have closed their connections within this time, or without delay as soon as it is
    /// urgent. The failure of a worker, if one fails meanwhile.
    pub(crate) async fn drain(
        &mut self,
        workers: &Workers,
        over: Duration,
        urgent: impl Future<Output = ()>,
    ) -> Option<StartError> {
        workers.send_all(|| Command::Drain(over)).await;
        tokio::select! {
            failure = self.all_ended() => failure,
            () = urgent => {
                workers.send_all(|| Command::Close).await;
                self.all_ended().await
            }
        }
    }

    /// Waits until every worker has ended; a failure, if there was one.
    async fn all_ended(&mut self) -> Option<StartError> {
        let mut failure = None;
        while let Some((index, ended)) = self.ended.recv().await {
            if let Err(source) = ended {
                failure.get_or_insert(StartError::WorkerFailed { index, source });
            }
        }
        failure
    }
}

fn start(
    index: usize,
    parts: (Arc<Context>, Arc<Shared>),
    reports: mpsc::Sender<(usize, Result<(), WorkerError>)>,
) -> std::io::Result<WorkerHandle> {
    let (commands, queue) = mpsc::channel(QUEUE);
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (readiness, registry) = {
        let _entered = runtime.enter();
        Readiness::new()?
    };
    let run = move || {
        let worker = Worker::new(index, parts, registry, count);
        LocalSet::new().block_on(&runtime, Rc::new(worker).run(queue, readiness))
    };
    std::thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || supervise(index, &reports, run))?;
    Ok(WorkerHandle { commands, connections })
}

/// Runs a worker to its end and reports that, a panic included.
fn supervise(
    index: usize,
    reports: &mpsc::Sender<(usize, Result<(), WorkerError>)>,
    run: impl FnOnce() -> Result<(), WorkerError>,
) {
    let ended = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panicked(&*panic)));
    if let Err(error) = &ended {
        tracing::error!(worker = index, error = error as &dyn std::error::Error, "a worker failed");
    }
    // There is room for one report of each worker. Without a supervisor, the gateway has ended already.
    let _ = reports.try_send((index, ended));
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn report(
        run: impl FnOnce() -> Result<(), WorkerError> + Send + 'static,
    ) -> (Option<String>, Option<String>) {
        let (reports, ended) = mpsc::channel(2);
        let (second, mut supervisor) = (reports.clone(), Supervisor { ended });
        let failing = std::thread::spawn(move || supervise(0, &reports, run));
        let failed = tokio::time::timeout(Duration::from_secs(5), supervisor.failure()).await;
        failing.join().unwrap();
        supervise(1, &second, || Ok(()));
        drop(second);
        let text = |error: &StartError| crate::error::one_line(error);
        (failed.ok().as_ref().map(text), supervisor.all_ended().await.as_ref().map(text))
    }

    #[tokio::test]
    async fn a_worker_that_panics_is_reported_with_the_cause() {
        let (failed, _) = report(|| panic!("index {} is out of bounds", 7)).await;
        assert_eq!(failed.as_deref(), Some("worker 0 failed: it panicked: index 7 is out of bounds"));
    }

    #[tokio::test]
    async fn a_worker_whose_poll_fails_is_reported_with_the_cause() {
        let poll = || Err(WorkerError::Poll(std::io::Error::other("bad file descriptor")));
        let (failed, _) = report(poll).await;
        let expected = "worker 0 failed: it cannot poll its sockets: bad file descriptor";
        assert_eq!(failed.as_deref(), Some(expected));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_ends_as_it_should_is_no_failure() {
        assert_eq!(report(|| Ok(())).await, (None, None));
    }
}
