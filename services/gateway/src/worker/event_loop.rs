//! Looking after connections when there is something to do, and only then.
//!
//! The shard hears of its sockets through a poll of its own: the runtime would keep a registration and a task for each,
//! which is as much memory as all else of an idle connection, where here it is a number that the system hands back. What
//! happens to a connection otherwise calls for attention by the same number. Only what takes long is a task: to read what
//! a connection missed, and to save where it stands when it leaves. While that lasts nothing is read from its client.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use mio::{Events, Poll, Registry};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::connection::{Connection, Step};
use super::{FAIR_SHARE, Shard};
use crate::worker::routing_table::ConnectionId;

/// Sockets of which is heard at once.
const EVENTS: usize = 1024;
/// Steps for one connection before others get their turn.
const STEPS: usize = 16;

/// Connections that call for attention.
#[derive(Default)]
pub(super) struct Calls {
    waiting: RefCell<Vec<ConnectionId>>,
    added: Notify,
}

impl Calls {
    pub(super) fn add(&self, id: ConnectionId) {
        self.waiting.borrow_mut().push(id);
        self.added.notify_one();
    }

    async fn take(&self) -> Vec<ConnectionId> {
        self.added.notified().await;
        self.waiting.take()
    }
}

/// What tells which sockets are ready.
pub(super) struct Readiness {
    poll: AsyncFd<Poll>,
    events: Events,
}

impl Readiness {
    /// On the runtime that is entered; with that by which sockets are registered.
    #[expect(
        deprecated,
        reason = "its successor is unsafe, for descriptors that others may close; this one is owned"
    )]
    pub(super) fn new() -> io::Result<(Self, Registry)> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        Ok((Self { poll: AsyncFd::new(poll)?, events: Events::with_capacity(EVENTS) }, registry))
    }

    /// The next sockets that are ready. May be dropped while it waits without losing anything.
    async fn next(&mut self) -> io::Result<&Events> {
        loop {
            let mut ready = self.poll.readable_mut().await?;
            match ready.get_inner_mut().poll(&mut self.events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let count = self.events.iter().count();
            if count < EVENTS {
                ready.clear_ready();
            }
            if count > 0 {
                return Ok(&self.events);
            }
        }
    }
}

impl Shard {
    /// Looks after the connections as long as the shard lives.
    pub(super) async fn attend(self: Rc<Self>, mut readiness: Readiness) {
        loop {
            tokio::select! {
                ready = readiness.next() => match ready {
                    Ok(events) => self.attend_sockets(events).await,
                    Err(error) => return tracing::error!(%error, "a shard does not hear of its sockets any more"),
                },
                called = self.common.calls.take() => self.attend_calls(&called).await,
            }
        }
    }

    async fn attend_sockets(self: &Rc<Self>, events: &Events) {
        for (index, event) in events.iter().enumerate() {
            if let Some(connection) = self.connection(event.token().0 as ConnectionId) {
                connection.note(event);
                self.look_after(&connection);
            }
            give_way(index).await;
        }
    }

    async fn attend_calls(self: &Rc<Self>, called: &[ConnectionId]) {
        for (index, id) in called.iter().enumerate() {
            if let Some(connection) = self.connection(*id) {
                self.look_after(&connection);
            }
            give_way(index).await;
        }
    }

    /// `None` if it has ended.
    pub(super) fn connection(&self, id: ConnectionId) -> Option<Rc<Connection>> {
        self.connections.borrow().get(&id).cloned()
    }

    /// Does what there is to do for a connection.
    pub(super) fn look_after(self: &Rc<Self>, connection: &Rc<Connection>) {
        for _ in 0..STEPS {
            match connection.next_step() {
                None => return,
                Some(Step::Answer) => self.answer_next(connection),
                Some(Step::Read) => self.read(connection),
                Some(Step::Write) => {
                    connection.flush();
                    self.touch(connection);
                }
                // Most have nothing to catch up with.
                Some(Step::Return) if self.still_behind(connection).is_none() => {}
                Some(Step::Return) => {
                    return self
                        .set_to_work(connection, async |shard, connection| shard.catch_up(connection).await);
                }
                Some(Step::Part) => {
                    return self
                        .set_to_work(connection, async |shard, connection| shard.part(connection).await);
                }
                Some(Step::End) => return self.forget(connection),
            }
        }
        connection.state().wake();
    }

    /// Starts what takes long. Nothing else is done for the connection until its end.
    fn set_to_work(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        work: impl AsyncFnOnce(&Shard, &Rc<Connection>) + 'static,
    ) {
        connection.state().is_busy = true;
        let (shard, connection) = (Rc::clone(self), Rc::clone(connection));
        self.tasks.spawn_local(async move {
            work(&shard, &connection).await;
            connection.state().is_busy = false;
            shard.look_after(&connection);
        });
    }
}

/// Lets others have their turn after a share of the work.
async fn give_way(index: usize) {
    if (index + 1).is_multiple_of(FAIR_SHARE) {
        tokio::task::yield_now().await;
    }
}
