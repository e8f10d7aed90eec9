//! The loop of a worker: its commands, its sockets, its timers.
//!
//! A connection is run when its socket is ready or something else has happened to it, and only then. Only what takes
//! long is a task: to replay what a connection missed, and to save its position when it leaves. While that lasts nothing
//! is read from its client.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use mio::Events;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::command::{Command, ShardUpdate};
use super::connection::{Connection, Readiness, Step};
use super::fan_out::Intake;
use super::routing_table::ConnectionId;
use super::{Worker, yield_after};
use crate::error::{WorkerError, panicked};

/// How often timers are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Steps for one connection before others get their turn.
const STEPS: usize = 16;

impl Worker {
    /// Serves until it is drained, closed, or fails.
    pub(super) async fn run(
        self: Rc<Self>,
        queue: mpsc::Receiver<Command>,
        readiness: Readiness,
    ) -> Result<(), WorkerError> {
        let mut running = tokio::task::spawn_local(Rc::clone(&self).run_connections(readiness));
        let mut intake = Intake::new(queue);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ended = Ok(());
        while !self.is_drained() {
            tokio::select! {
                error = &mut running => {
                    ended = Err(match error {
                        Ok(error) => WorkerError::Poll(error),
                        Err(error) => match error.try_into_panic() {
                            Ok(panic) => panicked(&*panic),
                            Err(error) => WorkerError::Panicked(error.to_string()),
                        },
                    });
                    break;
                }
                error = self.failed() => {
                    ended = Err(error);
                    break;
                }
                command = intake.next() => match command {
                    Some(Command::Close) | None => break,
                    Some(command) => self.obey(command, &mut intake).await,
                },
                _ = tick.tick() => {
                    self.run_timers();
                    self.request_acks();
                    self.release_addresses();
                    self.revalidate_users().await;
                    self.revalidate_catalogs().await;
                }
            }
        }
        intake.close();
        while let Some(command) = intake.next().await {
            if let Command::Register(new) = command {
                self.register(*new);
            }
        }
        self.close_all().await;
        running.abort();
        ended
    }

    async fn obey(self: &Rc<Self>, command: Command, intake: &mut Intake) {
        match command {
            Command::Register(new) => self.register(*new),
            Command::AddShard(number, replica, position, interest) => {
                self.add_shard((number, replica), position, interest);
            }
            Command::Update(shard, ShardUpdate::Envelopes(envelopes)) => {
                let (envelopes, updates) = intake.gather(shard, &envelopes);
                self.fan_out((shard, updates), &envelopes).await;
            }
            Command::Update(shard, update) => self.update(shard, update),
            Command::MoveTenant { tenant, from, to, generation } => {
                self.move_tenant(tenant, from, to, generation);
            }
            Command::List(operation, question, answer) => {
                // The asking side may have gone.
                let _ = answer.send(self.list_connections(operation, &question.0, &question.1));
            }
            Command::Drain(over) => self.drain(over),
            Command::Close => {}
        }
    }

    /// Runs connections as long as the worker lives, or until the sockets cannot be polled.
    async fn run_connections(self: Rc<Self>, mut readiness: Readiness) -> io::Error {
        loop {
            tokio::select! {
                ready = readiness.next() => match ready {
                    Ok(events) => self.handle_sockets(events).await,
                    Err(error) => return error,
                },
                woken = self.common.wakeups.take() => self.handle_wakeups(&woken).await,
            }
        }
    }

    async fn handle_sockets(self: &Rc<Self>, events: &Events) {
        for (index, event) in events.iter().enumerate() {
            if let Some(connection) = self.connection(event.token().0 as ConnectionId) {
                connection.note(event);
                self.run_steps(&connection);
            }
            yield_after(index).await;
        }
    }

    async fn handle_wakeups(self: &Rc<Self>, woken: &[ConnectionId]) {
        for (index, id) in woken.iter().enumerate() {
            if let Some(connection) = self.connection(*id) {
                self.run_steps(&connection);
            }
            yield_after(index).await;
        }
    }

    /// Does what there is to do for a connection.
    pub(super) fn run_steps(self: &Rc<Self>, connection: &Rc<Connection>) {
        for _ in 0..STEPS {
            match connection.next_step() {
                None => return,
                Some(Step::SendLatest) => self.send_latest(connection),
                Some(Step::Read) => self.read(connection),
                Some(Step::Write) => {
                    connection.flush();
                    self.want_ack(connection);
                }
                // Most have nothing to catch up with.
                Some(Step::Replay) if connection.still_behind(self.now()).is_none() => {}
                Some(Step::Replay) => {
                    return self
                        .spawn_step(connection, async |worker, connection| worker.replay(connection).await);
                }
                Some(Step::FollowTenant) => {
                    return self.spawn_step(connection, async |worker, connection| {
                        worker.follow_tenant(connection).await;
                    });
                }
                Some(Step::SavePosition) => {
                    return self.spawn_step(connection, async |worker, connection| {
                        worker.save_and_close(connection).await;
                    });
                }
                Some(Step::End) => return self.unregister(connection),
            }
        }
        connection.state().wake();
    }

    /// Starts a step that takes long. Nothing else is done for the connection until its end.
    pub(super) fn spawn_step(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        step: impl AsyncFnOnce(&Worker, &Rc<Connection>) + 'static,
    ) {
        connection.set_busy(true);
        let (worker, connection) = (Rc::clone(self), Rc::clone(connection));
        self.spawn(async move {
            step(&worker, &connection).await;
            connection.set_busy(false);
            worker.run_steps(&connection);
        });
    }
}
