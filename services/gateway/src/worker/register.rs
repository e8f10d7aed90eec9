//! Beginning: a shard that the worker is to serve, and a connection that has passed its handshake.

use std::cmp::Reverse;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidings_model::{Position, ShardNumber};
use tidings_protocol::server::Form;
use tidings_replica::Replica;
use tidings_session::Session;
use tokio::time::Instant;

use super::command::{NewConnection, ShardUpdate};
use super::connection::{Connection, Socket, Start};
use super::follow_tenant::{begin_following, is_misplaced};
use super::interest::Interest;
use super::shard_progress::ShardProgress;
use super::{ServedShard, Worker};

impl Worker {
    /// Serves a shard's tenants from here on; the worker has everything up to `position`.
    pub(super) fn add_shard(
        &self,
        (number, replica): (ShardNumber, Arc<Replica>),
        position: Position,
        interest: Arc<Interest>,
    ) {
        let progress = ShardProgress::new((number, replica), position, (interest, self.index));
        self.shards.borrow_mut().insert(number, Rc::new(ServedShard::new(progress)));
    }

    /// Notes what is new in a shard, but for envelopes.
    pub(super) fn update(&self, number: ShardNumber, update: ShardUpdate) {
        let Some(shard) = self.shard(number) else { return };
        match update {
            ShardUpdate::Envelopes(_) => {}
            ShardUpdate::Began { tenant, generation, since } => {
                shard.progress.begin(&tenant, generation, since);
                self.resume_returned(&tenant, number);
            }
            ShardUpdate::Left { tenant, generation } => shard.progress.leave(&tenant, generation),
            ShardUpdate::Restarted(epoch) => {
                let connections = self.connections_of(number, None);
                let positions = connections.iter().map(|connection| {
                    let state = connection.state();
                    state.position(state.sent())
                });
                let positions: Vec<_> = positions.collect();
                shard.progress.restart(epoch);
                let now = (Instant::now(), self.now());
                for (connection, from) in connections.iter().zip(positions) {
                    connection.restart(from, now);
                }
            }
        }
        shard.progress.place().receive(1);
    }

    /// Serves a client that has passed the handshake.
    pub(super) fn register(self: &Rc<Self>, new: NewConnection) {
        let NewConnection { socket, early_bytes, from, form, principal, permit, resume, .. } = new;
        #[cfg(debug_assertions)]
        self.fail_on_request(principal.consumer.user());
        let Some(shard) = self.shard(new.shard) else {
            tracing::error!(shard = %new.shard, "a client's shard is not served");
            return self.context.consumers.leave(&principal.consumer, None);
        };
        let (resume, generation) = shard.progress.begin_at(principal.tenant(), resume);
        let id = self.next_id.replace(self.next_id.get() + 1);
        let socket = match Socket::attach(socket, &self.registry, id) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(%error, "cannot take over a connection");
                return self.context.consumers.leave(&principal.consumer, None);
            }
        };
        let now = Instant::now();
        let mut session = Session::new(Arc::clone(&self.catalogs.borrow()), principal, form);
        session.restore(new.subscriptions);
        let after = resume.after.sequence;
        let start = Start {
            now,
            first_ping: now + self.context.settings.heartbeat,
            leaves_at: now + self.lifetime(),
            after,
            generation,
            acknowledged: (form == Form::Plain || resume.gap.is_none()).then_some(after),
        };
        let connection = Connection::new(
            id,
            (socket, from, self.context.clock.unix_seconds()),
            (form, new.is_compressed),
            (session, permit),
            (Rc::clone(&self.common), Rc::clone(&shard.progress)),
            &start,
        );
        self.route(&connection, &mut connection.state(), true);
        self.connections.borrow_mut().insert(id, Rc::clone(&connection));
        self.count.fetch_add(1, Ordering::Relaxed);
        self.timers.borrow_mut().push(Reverse((now, id)));
        // The user may have been disabled since the handshake.
        self.close_if_blocked(&connection);
        connection.welcome(resume, self.now());
        // It may have been translated from an earlier generation.
        self.note_position(&connection.state());
        // The tenant may have moved since the handshake.
        let is_misplaced = is_misplaced(&connection.state());
        if is_misplaced {
            begin_following(&connection);
        }
        self.drain_new(&connection, now);
        if !early_bytes.is_empty() {
            self.receive(&connection, &mut early_bytes.to_vec());
        }
        // One write has the welcome and all that the client missed.
        if connection.still_behind(self.now()).is_some() {
            self.spawn_step(&connection, async |worker, connection| worker.replay(connection).await);
        } else {
            connection.flush();
            self.run_steps(&connection);
        }
    }

    /// How old a new connection may become: each is given another age, so that connections that began together do not end
    /// together.
    fn lifetime(&self) -> Duration {
        self.context.settings.max_connection_age.mul_f64(0.9 + 0.2 * (self.context.random)())
    }
}
