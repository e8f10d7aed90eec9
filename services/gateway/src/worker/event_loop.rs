//! The loop of a worker: its commands, its sockets, its timers.
//!
//! A connection is run when its socket is ready or something else has happened to it, and only then. Only what takes
//! long is a task: to replay what a connection missed, and to save its position when it leaves. While that lasts nothing
//! is read from its client.

use std::cmp::Reverse;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::Events;
use tidings_model::ShardNumber;
use tidings_replica::FramedEnvelope;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::connection::{Batch, Connection, NewConnection, Readiness, Step};
use super::follow_tenant::follow_if_misplaced;
use super::interest::ShardUpdate;
use super::served_shard::ConnectionId;
use super::{Command, Worker, panicked, yield_after};
use crate::error::WorkerError;

/// How often timers are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Steps for one connection before others get their turn.
const STEPS: usize = 16;
/// Beyond this, a timer needs no precision.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

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
                    self.shards.borrow().values().for_each(|shard| shard.release_addresses());
                    self.revalidate().await;
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
            Command::Update(shard, update) => self.update(shard, &update),
            Command::MoveTenant { tenant, from, to, generation } => {
                self.move_tenant(tenant, from, to, generation);
            }
            Command::List(operation, question, answer) => {
                // The asking side may have gone.
                let _ = answer.send(self.list_connections(operation, &question.0, &question.1));
            }
            Command::Receive(id, message, answer) => {
                let ((tenant, user), text) = *message;
                // The client may have gone.
                let _ = answer.send(self.receive_text(id, (&tenant, &user), &text));
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
                woken = self.common.next_woken() => self.handle_wakeups(&woken).await,
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
    fn run_steps(self: &Rc<Self>, connection: &Rc<Connection>) {
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
    fn spawn_step(
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

    /// Serves a client that has passed the handshake.
    fn register(self: &Rc<Self>, new: NewConnection) {
        let (consumer, place) = new.consumer();
        let consumer = consumer.clone();
        #[cfg(debug_assertions)]
        self.fail_on_request(consumer.user());
        let Some(shard) = self.shard(new.shard()) else {
            tracing::error!(shard = %new.shard(), "a client's shard is not served");
            return self.context.consumers.give_up((&consumer, place));
        };
        let id = self.next_id.replace(self.next_id.get() + 1);
        let (settings, now) = (&self.context.settings, Instant::now());
        // Each is given another age, so that connections that began together do not end together.
        let lifetime = settings.max_connection_age.mul_f64(0.9 + 0.2 * (self.context.random)());
        let opened = Connection::open(
            new,
            (id, &self.registry),
            (Rc::clone(&self.common), Rc::clone(shard.progress())),
            Arc::clone(&self.catalogs.borrow()),
            (now, self.context.clock.unix_seconds()),
            (settings.heartbeat, lifetime),
            (self.context.random)() < settings.access_log,
        );
        let (connection, resume, mut early_bytes) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(%error, "cannot take over a connection");
                return self.context.consumers.give_up((&consumer, place));
            }
        };
        self.route(&connection, &mut connection.state(), true);
        self.connections.borrow_mut().insert(id, Rc::clone(&connection));
        self.count.fetch_add(1, Ordering::Relaxed);
        self.timers.borrow_mut().push(Reverse((now, id)));
        // The user may have been disabled since the handshake.
        self.close_if_blocked(&connection);
        connection.introduce(|| self.name(&connection));
        connection.welcome(resume, self.now());
        // It may have been translated from an earlier generation.
        self.note_position(&connection.state());
        // The tenant may have moved since the handshake.
        follow_if_misplaced(&connection);
        self.drain_new(&connection, now);
        if resume.gap.is_some() {
            self.want_ack(&connection);
        }
        if !early_bytes.is_empty() {
            self.receive(&connection, &mut early_bytes);
        }
        // One write has the welcome and all that the client missed.
        if connection.still_behind(self.now()).is_some() {
            self.spawn_step(&connection, async |worker, connection| worker.replay(connection).await);
        } else {
            connection.flush();
            self.run_steps(&connection);
        }
    }

    /// Runs every timer that is due.
    fn run_timers(&self) {
        let now = Instant::now();
        while let Some(id) = self.common.next_due(now) {
            if let Some(connection) = self.connection(id) {
                connection.check_deadline((now, self.now()));
            }
        }
        loop {
            let mut timers = self.timers.borrow_mut();
            match timers.peek() {
                Some(Reverse((due, _))) if *due <= now => {}
                _ => return,
            }
            let Some(Reverse((_, id))) = timers.pop() else { return };
            drop(timers);
            // The timer of a connection that has ended stays until now.
            let Some(connection) = self.connection(id) else { continue };
            let settings = &self.context.settings;
            let time_left = self.context.authenticator.time_left(connection.state().principal()).min(FAR);
            let times = (settings.heartbeat, settings.idle_timeout, settings.max_connection_age);
            if let Some(next) = connection.run_timer((now, self.now()), times, time_left) {
                self.timers.borrow_mut().push(Reverse((next, id)));
            }
            self.touch_place(&connection.state());
        }
    }

    /// Asks plain clients whether they have received what they were sent.
    fn request_acks(&self) {
        for connection in self.ack_wanted.take().into_iter().filter_map(|id| self.connection(id)) {
            connection.request_ack(&mut connection.state());
        }
    }
}

/// A worker's commands, in order.
struct Intake {
    queue: mpsc::Receiver<Command>,
    /// Taken from the queue too early.
    ahead: Option<Command>,
}

impl Intake {
    fn new(queue: mpsc::Receiver<Command>) -> Self {
        Self { queue, ahead: None }
    }

    /// Takes no more commands; those that have come can still be had.
    fn close(&mut self) {
        self.queue.close();
    }

    /// The next command. May be dropped while it waits without losing anything.
    async fn next(&mut self) -> Option<Command> {
        match self.ahead.take() {
            Some(command) => Some(command),
            None => self.queue.recv().await,
        }
    }

    /// These envelopes, with those of the same shard that have come behind them already, and how many updates they are.
    fn gather(
        &mut self,
        shard: ShardNumber,
        envelopes: &[Arc<FramedEnvelope>],
    ) -> (Vec<Arc<FramedEnvelope>>, u64) {
        let (mut envelopes, mut updates) = (envelopes.to_vec(), 1);
        while self.ahead.is_none() && envelopes.len() < Batch::MAX {
            match self.queue.try_recv() {
                Ok(Command::Update(of, ShardUpdate::Envelopes(more))) if of == shard => {
                    envelopes.extend_from_slice(&more);
                    updates += 1;
                }
                Ok(other) => self.ahead = Some(other),
                Err(_) => break,
            }
        }
        (envelopes, updates)
    }
}
