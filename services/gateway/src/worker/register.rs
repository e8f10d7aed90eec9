//! Coming in and going: what the shard knows of a connection from its handshake until its end.

use std::cmp::Reverse;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidings_model::{Place, Tenant};
use tidings_protocol::server::{GapReason, ServerMessage};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::connection::{Connection, Opening};
use super::{Newcomer, Shard};
use crate::replica::frame::Form;
use crate::replica::resume::{Gap, Standing};
use crate::replica::unix_seconds;
use crate::session::Session;
use crate::worker::connection::socket::Socket;

impl Shard {
    /// Takes up a client that has passed the handshake.
    pub(super) fn adopt(self: &Rc<Self>, newcomer: Newcomer) {
        let Newcomer { socket, early_bytes, from, form, deflate, passport, seat, standing, subscriptions } =
            newcomer;
        let (standing, generation) = self.in_this_life(passport.tenant(), standing);
        let id = self.next_id.replace(self.next_id.get() + 1);
        let socket = match Socket::attach(socket, &self.registry, id) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(%error, "cannot take over a connection");
                return self.shared.positions.leave(&passport.consumer, None);
            }
        };
        let (now, wall) = (Instant::now(), (self.shared.clock)());
        let settings = &self.shared.settings;
        let mut session = Session::new(Arc::clone(&self.catalogs.borrow()), passport, form);
        session.restore(subscriptions);
        let opening = Opening {
            from,
            since: unix_seconds(wall),
            session,
            is_compressed: deflate,
            seat,
            common: Rc::clone(&self.common),
            now,
            first_ping: now + settings.heartbeat,
            leaves: now + self.lifetime(),
            after: standing.after.sequence,
            generation,
            acknowledged: (form == Form::Plain || standing.gap.is_none()).then_some(standing.after.sequence),
        };
        let connection = Connection::new(id, form, socket, opening);
        self.admit_to_directory(&connection);
        self.connections.borrow_mut().insert(id, Rc::clone(&connection));
        self.count.fetch_add(1, Ordering::Relaxed);
        self.timers.borrow_mut().push(Reverse((now, id)));
        // It may have been settled since its handshake that it may not come in.
        self.bar(&connection);
        welcome(&connection, standing, wall);
        self.drain_newcomer(&connection, now);
        if !early_bytes.is_empty() {
            self.hear(&connection, &mut early_bytes.to_vec());
        }
        self.look_after(&connection);
    }

    /// The stream may have been made anew between a newcomer's handshake and now. Says in which generation the newcomer
    /// begins, too.
    fn in_this_life(&self, tenant: &Tenant, standing: Standing) -> (Standing, u32) {
        let current = self.generations.borrow().current(tenant).unwrap_or_default();
        // A shard may not have come to the notice yet of which the handshake knew.
        if let Some(generation) = Place::generation_of(standing.after.epoch, self.epoch.get(), u32::MAX) {
            return (standing, generation);
        }
        let after = self.generations.borrow().position(tenant, current, self.epoch.get(), 0);
        let gap = Gap { from: standing.after, to: after, reason: GapReason::Epoch };
        (Standing { after, gap: standing.gap.or(Some(gap)) }, current)
    }

    fn admit_to_directory(&self, connection: &Rc<Connection>) {
        let state = connection.state();
        let mut directory = self.directory.borrow_mut();
        for (address, subscription) in state.session.open_addresses() {
            let filter = subscription.map(|subscription| subscription.filter.clone()).unwrap_or_default();
            let tenant = state.session.passport().tenant();
            directory.open(tenant, address, &filter, connection.id, Rc::clone(connection));
        }
    }

    /// A connection has ended: nothing of it stays, but what is to be saved of where it stands.
    pub(super) fn forget(&self, connection: &Connection) {
        let state = connection.state();
        let mut connections = self.connections.borrow_mut();
        if connections.remove(&connection.id).is_none() {
            return;
        }
        connection.give_up();
        let tenant = state.session.passport().tenant();
        let mut directory = self.directory.borrow_mut();
        for (address, subscription) in state.session.open_addresses() {
            let filter = subscription.map(|subscription| subscription.filter.clone()).unwrap_or_default();
            directory.shut(tenant, address, &filter, connection.id);
        }
        self.shared.positions.leave(&state.session.passport().consumer, self.received(&state));
        self.count.fetch_sub(1, Ordering::Relaxed);
        if connections.is_empty() {
            self.deserted.notify_one();
        }
    }
}

/// Tells a client of `tidings.v1` whom the gateway takes it for and where it stands.
fn welcome(connection: &Connection, standing: Standing, now: OffsetDateTime) {
    if connection.form() != Form::Sequenced {
        return;
    }
    let mut state = connection.state();
    let passport = state.session.passport();
    let welcome = ServerMessage::Welcome {
        position: standing.after,
        consumer: &format!("{}/{}", passport.consumer.user(), passport.consumer.device()),
        expires: Some(passport.expires_at),
    };
    let welcome = welcome.to_json(now);
    state.say_text(&welcome);
    if let Some(Gap { from, to, reason }) = standing.gap {
        state.say_text(&ServerMessage::Gap { from, to, reason }.to_json(now));
    }
    connection.flush_now(&mut state);
}
