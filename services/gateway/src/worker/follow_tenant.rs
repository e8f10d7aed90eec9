//! Connections follow their tenant to another shard.
//!
//! Each shard has sequences of its own, so a client's acknowledgements mean something else from the moment on in which its
//! connection changes the shard. Therefore a connection is given nothing more until its client has acknowledged all that it
//! was given; then its position is translated, and it continues behind it in the new shard, with the same guarantees as a
//! client that reconnects. A client that does not acknowledge in time is closed, and reconnects.

use std::rc::Rc;
use std::time::Duration;

use tidings_model::{Position, ShardNumber, Tenant};
use tidings_replica::ResumePoint;
use tokio::time::Instant;

use super::connection::{Connection, State};
use super::{ServedShard, Translated, Worker};

/// How long a client may take to acknowledge what it was given before its connection follows.
const ACKNOWLEDGING: Duration = Duration::from_secs(5);
/// How long finding the position in the new shard may take, with all others that do so.
const RESOLVING: Duration = Duration::from_secs(30);
/// How long to wait before the next attempt.
const RETRY: Duration = Duration::from_millis(100);

impl Worker {
    /// The tenant's envelopes have moved to another shard; its connections follow.
    pub(super) fn move_tenant(&self, tenant: Tenant, from: ShardNumber, to: ShardNumber, generation: u32) {
        if let Some(shard) = self.shard(from) {
            shard.progress.leave(&tenant, generation);
        }
        for connection in self.connections_of(from, Some(&tenant)) {
            begin_following(&connection);
        }
        self.homes.borrow_mut().insert(tenant, to);
    }

    /// Has the connections of a tenant resume that are open since before the tenant was in another shard. What was new there
    /// was rebuilt before the notice of its return and was given to no connection; so what follows the notice would come to
    /// them behind a hole.
    pub(super) fn resume_returned(&self, tenant: &Tenant, shard: ShardNumber) {
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
        let Some(position) = position else { return };
        let translated = tokio::time::timeout(RESOLVING, self.translate(connection, &tenant, position)).await;
        let (now, wall) = (Instant::now(), self.now());
        if !connection.state().is_moving() {
            return;
        }
        let Ok((shard, resume)) = translated else {
            tracing::debug!(%tenant, %position, "a client reconnects, as its position is not translated in time");
            return connection.state().leave(now);
        };
        let begin = shard.progress.begin_at(&tenant, resume);
        self.route(connection, &mut connection.state(), false);
        connection.follow(Rc::clone(&shard.progress), begin, wall);
        let state = &mut *connection.state();
        self.route(connection, state, true);
        if let Some(position) = state.acknowledged_position() {
            self.context.consumers.acknowledge(&state.principal().consumer, position);
        }
    }

    /// The shard of the tenant, and where the connection resumes there. Tries until it is found.
    async fn translate(
        &self,
        connection: &Connection,
        tenant: &Tenant,
        from: Position,
    ) -> (Rc<ServedShard>, ResumePoint) {
        loop {
            // Only so many at a time, as each of them reads streams.
            let permit = self.stream_replays.acquire().await;
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

    async fn resume_in(&self, shard: &ServedShard, tenant: &Tenant, from: Position) -> Option<ResumePoint> {
        let (number, replica) = (shard.progress.shard(), shard.progress.replica());
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

/// Has the connection follow its tenant once its client has acknowledged everything.
pub(super) fn begin_following(connection: &Rc<Connection>) {
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
