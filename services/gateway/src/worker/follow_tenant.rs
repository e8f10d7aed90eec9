//! What is new in a shard besides envelopes, and connections that follow their tenant to another shard.
//!
//! A connection is given nothing more until its client has acknowledged all that it was given; then its position is
//! translated, the client is told the new one, and only then comes what follows there, with the same guarantees as for a
//! client that reconnects. A client that does not acknowledge in time is closed, and reconnects.
//!
//! Each shard has sequences of its own, and a client may acknowledge again what it has acknowledged before, so an
//! acknowledgement of the shard before may arrive at any time. The invariant that keeps them apart: **on one connection,
//! sequences only ascend.** Whatever a client may say of the shard before lies at or below the position at which it begins
//! in the new one, and says nothing new there. Where the sequences of the new shard are lower, or something in between
//! cannot be delivered, the connection of a client of `tidings.v1` is closed instead, and resumes when it reconnects. A
//! plain client is asked, and answers once: it has no answer left to give when it has acknowledged everything.
//!
//! For a moment both shards write the same events, the new one perhaps later: what a connection has received in the old one
//! is left out in the new one until something newer comes.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidings_model::{Position, ShardNumber, Tenant};
use tidings_replica::{Replica, ResumePoint};
use tokio::time::Instant;

use super::connection::{Connection, State};
use super::interest::{Interest, ShardUpdate};
use super::served_shard::ServedShard;
use super::shard_progress::ShardProgress;
use super::{Shard, Translated, Worker};

/// How long a client may take to acknowledge what it was given before its connection follows.
const ACKNOWLEDGING: Duration = Duration::from_secs(5);
/// How long finding the position in the new shard may take, with all others that do so.
const RESOLVING: Duration = Duration::from_secs(30);
/// How long to wait before the next attempt.
const RETRY: Duration = Duration::from_millis(100);

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
    pub(super) fn update(&self, number: ShardNumber, update: &ShardUpdate) {
        let Some(shard) = self.shard(number) else { return };
        let progress = shard.progress();
        match update {
            ShardUpdate::Envelopes(_) | ShardUpdate::Left { .. } => progress.note(update),
            ShardUpdate::Began { tenant, .. } => {
                progress.note(update);
                self.resume_returned(tenant, number);
            }
            ShardUpdate::Restarted(_) => {
                let connections = self.connections_of(number, None);
                let positions = connections.iter().map(|connection| {
                    let state = connection.state();
                    state.position(state.sent())
                });
                let positions: Vec<_> = positions.collect();
                progress.note(update);
                let now = (Instant::now(), self.now());
                for (connection, from) in connections.iter().zip(positions) {
                    connection.restart(from, now);
                }
            }
        }
        progress.place().receive(1);
    }

    /// The tenant's envelopes have moved to another shard; its connections follow.
    pub(super) fn move_tenant(&self, tenant: Tenant, from: ShardNumber, to: ShardNumber, generation: u32) {
        if let Some(shard) = self.shard(from) {
            shard.progress().note(&ShardUpdate::Left { tenant: tenant.clone(), generation });
        }
        for connection in self.connections_of(from, Some(&tenant)) {
            begin_following(&connection);
        }
        self.translated.replace(None);
        self.homes.borrow_mut().insert(tenant, to);
    }

    /// Has the connections of a tenant resume that are open since before the tenant was in another shard. What was new there
    /// was rebuilt before the notice of its return and was given to no connection; so what follows the notice would come to
    /// them behind a hole.
    fn resume_returned(&self, tenant: &Tenant, shard: ShardNumber) {
        for connection in self.connections_of(shard, Some(tenant)) {
            let has_come_back = has_come_back(&connection.state());
            if has_come_back {
                begin_following(&connection);
            }
        }
    }

    /// Has a connection continue in the shard of its tenant, whose client has acknowledged everything.
    pub(super) async fn follow_tenant(&self, connection: &Rc<Connection>) {
        let (tenant, position) = {
            let state = connection.state();
            (state.principal().tenant().clone(), state.acknowledged_position())
        };
        let Some(position) = position.map(|placed| placed.position) else { return };
        let translated = tokio::time::timeout(RESOLVING, self.translate(connection, &tenant, position)).await;
        let (now, wall) = (Instant::now(), self.now());
        if !connection.state().is_moving() {
            return;
        }
        let Ok((shard, resume)) = translated else {
            tracing::debug!(%tenant, %position, "a client reconnects, as its position is not translated in time");
            return connection.state().leave(now);
        };
        let (resume, generation) = shard.progress().begin_at(&tenant, resume);
        if !connection.may_follow_to(resume) {
            let state = &mut *connection.state();
            connection.announce_close(state, Duration::ZERO, (now, wall));
            return state.leave(now);
        }
        self.route(connection, &mut connection.state(), false);
        connection.follow(Rc::clone(shard.progress()), (resume, generation), wall);
        {
            let state = &mut *connection.state();
            self.route(connection, state, true);
            self.note_position(state);
        }
        // The tenant may have moved on while its position was translated.
        follow_if_misplaced(connection);
    }

    /// The shard of the tenant, and where the connection resumes there. Tries until it is found.
    async fn translate(
        &self,
        connection: &Connection,
        tenant: &Tenant,
        from: Position,
    ) -> (Rc<Shard>, ResumePoint) {
        loop {
            // Only so many at a time, as each of them reads streams.
            let permit = self.shared.stream_replays.acquire().await;
            let home = self.homes.borrow().get(tenant).copied();
            let home = home.unwrap_or_else(|| connection.state().shard().shard());
            if let Some(shard) = self.shard(home)
                && let Some(resume) = self.resume_in(&shard, tenant, from).await
            {
                return (shard, resume);
            }
            drop(permit);
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn resume_in(&self, shard: &Shard, tenant: &Tenant, from: Position) -> Option<ResumePoint> {
        let (number, replica) = (shard.progress().shard(), shard.progress().replica());
        if let Some(known) = &*self.translated.borrow()
            && (&known.tenant, known.from, known.to.0) == (tenant, from, number)
        {
            return Some(known.to.1);
        }
        match replica.resume(tenant, from).await {
            Ok(resume) => {
                let resume = resume?;
                let tenant = tenant.clone();
                self.translated.replace(Some(Translated { tenant, from, to: (number, resume) }));
                Some(resume)
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, %tenant, "cannot translate a client's position to its tenant's shard; trying again");
                None
            }
        }
    }
}

/// Has a connection follow its tenant, if that has moved.
pub(super) fn follow_if_misplaced(connection: &Rc<Connection>) {
    let is_misplaced = is_misplaced(&connection.state());
    if is_misplaced {
        begin_following(connection);
    }
}

/// Has the connection follow its tenant once its client has acknowledged everything.
fn begin_following(connection: &Rc<Connection>) {
    let state = &mut *connection.state();
    state.begin_moving(Instant::now() + ACKNOWLEDGING);
    connection.request_ack(state);
}

/// Whether the connection is not where its tenant's envelopes are, or not since they came back.
pub(super) fn is_misplaced(state: &State) -> bool {
    state.shard().current(state.principal().tenant()).is_none() || has_come_back(state)
}

/// Whether the tenant was in another shard since the connection began, and is back.
fn has_come_back(state: &State) -> bool {
    state.shard().has_come_back(state.principal().tenant(), state.generation())
}
