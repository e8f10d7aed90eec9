//! A worker: one thread that serves a share of the connections.
//!
//! Each worker has its own single-threaded runtime, so what it shares among its connections needs no locks. It receives
//! new connections and the shards' updates in one bounded queue, delivers the updates to the connections that may have
//! them, and never waits for a client.

mod acknowledge;
mod authenticate;
pub(crate) mod command;
mod confirm;
mod connection;
mod cursor;
mod drain;
mod event_loop;
#[cfg(test)]
mod example;
mod fan_out;
#[cfg(debug_assertions)]
mod fault;
mod follow_tenant;
pub(crate) mod handle;
mod inbound;
mod interest;
mod latest;
mod list_connections;
mod publish;
mod register;
mod replay;
mod replay_from_stream;
mod revalidate;
mod routing_table;
pub(crate) mod shard_progress;
mod timers;
mod worker_set;

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use mio::Registry;
use tidings_catalog::Catalogs;
use tidings_model::{Address, Position, ShardNumber, Tenant};
use tidings_protocol::Filter;
use tidings_protocol::error::ErrorMessage;
use tidings_replica::{Deflate, ResumePoint};
use tidings_session::Effect;
use tidings_streams::connections::{ConnectionName, Ordinal};
use time::OffsetDateTime;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub(crate) use self::connection::Detached;
use self::connection::{Common, Connection, State};
use self::routing_table::{ConnectionId, RoutingTable};
use self::shard_progress::ShardProgress;
use crate::context::Context;
use crate::error::{WorkerError, panicked};

/// What one read takes at most, in bytes; shared by all connections of the worker.
const SCRATCH: usize = 64 * 1024;
/// Connections that are served before others get their turn.
const FAIR_SHARE: usize = 256;

/// The state of a worker.
struct Worker {
    index: usize,
    context: Arc<Context>,
    common: Rc<Common>,
    shards: RefCell<BTreeMap<ShardNumber, Rc<ServedShard>>>,
    /// The shards of the tenants that have moved.
    homes: RefCell<HashMap<Tenant, ShardNumber>>,
    translated: RefCell<Option<Translated>>,
    connections: RefCell<BTreeMap<ConnectionId, Rc<Connection>>>,
    /// The last of them has ended.
    emptied: Notify,
    /// With which sockets are registered.
    registry: Registry,
    next_id: Cell<ConnectionId>,
    /// The catalogs that the sessions use.
    catalogs: RefCell<Arc<Catalogs>>,
    /// The version of the disabled users that the connections were checked against.
    users_version: Cell<u64>,
    /// One entry for each connection: when it has something to do next.
    timers: RefCell<BinaryHeap<Reverse<(Instant, ConnectionId)>>>,
    scratch: RefCell<Box<[u8]>>,
    /// Once it is draining: when the last connection is closed.
    drained_by: Cell<Option<Instant>>,
    /// Bounds how many read streams for one connection, of all workers.
    stream_replays: Arc<Semaphore>,
    /// Connections that are asked for an acknowledgement at the next tick.
    ack_wanted: RefCell<Vec<ConnectionId>>,
    /// Empty except during a fan-out.
    to_flush: RefCell<Vec<Rc<Connection>>>,
    tasks: TaskTracker,
    failure: Rc<Failure>,
    count: Arc<AtomicUsize>,
}

/// The panic of a task, which ends the worker: what it left undone would otherwise wait for ever.
#[derive(Default)]
struct Failure {
    error: RefCell<Option<WorkerError>>,
    occurred: Notify,
}

/// A shard whose tenants the worker serves.
struct ServedShard {
    progress: Rc<ShardProgress>,
    routes: RefCell<RoutingTable<Rc<Connection>>>,
    /// Addresses at which the last connection has ended; they are given up at the next tick, so that a connection that is
    /// about to come back there changes nothing.
    vacated: RefCell<Vec<(Tenant, Address)>>,
}

impl ServedShard {
    fn new(progress: ShardProgress) -> Self {
        Self { progress: Rc::new(progress), routes: RefCell::default(), vacated: RefCell::default() }
    }

    /// Delivers to the connection what comes to the address and passes the filter.
    fn open(&self, tenant: &Tenant, address: &Address, filter: &Filter, connection: &Rc<Connection>) {
        let (id, member) = (connection.id(), Rc::clone(connection));
        if self.routes.borrow_mut().open(tenant, address, filter, id, member) {
            self.progress.place().add(tenant, address);
        }
    }

    /// The opposite of [`ServedShard::open`].
    fn close(&self, tenant: &Tenant, address: &Address, filter: &Filter, connection: &Connection) {
        if self.routes.borrow_mut().close(tenant, address, filter, connection.id()) {
            self.vacated.borrow_mut().push((tenant.clone(), address.clone()));
        }
    }

    /// Gives up the addresses at which there is still no connection.
    fn release_addresses(&self) {
        let routes = self.routes.borrow();
        for (tenant, address) in self.vacated.take() {
            if !routes.is_open(&tenant, &address) {
                self.progress.place().remove(&tenant, &address);
            }
        }
    }
}

/// The last position that was translated: most connections of a tenant have the same.
struct Translated {
    tenant: Tenant,
    from: Position,
    to: (ShardNumber, ResumePoint),
}

impl Worker {
    /// A worker that serves nothing yet. `count` is how many connections it has.
    fn new(
        index: usize,
        context: Arc<Context>,
        registry: Registry,
        stream_replays: Arc<Semaphore>,
        count: Arc<AtomicUsize>,
    ) -> Self {
        let settings = &context.settings;
        let bounds = (settings.window_messages.get(), settings.window_bytes);
        let catalogs = Arc::clone(&context.catalogs.borrow());
        Self {
            index,
            common: Common::new(bounds, Deflate::new(settings.compression_threshold)),
            context,
            catalogs: RefCell::new(catalogs),
            shards: RefCell::default(),
            homes: RefCell::default(),
            translated: RefCell::default(),
            connections: RefCell::default(),
            emptied: Notify::new(),
            registry,
            next_id: Cell::new(1),
            users_version: Cell::new(0),
            timers: RefCell::default(),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            drained_by: Cell::new(None),
            stream_replays,
            ack_wanted: RefCell::default(),
            to_flush: RefCell::default(),
            tasks: TaskTracker::new(),
            failure: Rc::default(),
            count,
        }
    }

    /// Starts a task.
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let failure = Rc::clone(&self.failure);
        self.tasks.spawn_local(async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                failure.error.borrow_mut().get_or_insert_with(|| panicked(&*panic));
                failure.occurred.notify_one();
            }
        });
    }

    /// Waits for the panic of a task.
    async fn failed(&self) -> WorkerError {
        loop {
            self.failure.occurred.notified().await;
            if let Some(error) = self.failure.error.take() {
                return error;
            }
        }
    }

    fn now(&self) -> OffsetDateTime {
        self.context.clock.now()
    }

    /// `None` if it has ended.
    fn connection(&self, id: ConnectionId) -> Option<Rc<Connection>> {
        self.connections.borrow().get(&id).cloned()
    }

    fn shard(&self, number: ShardNumber) -> Option<Rc<ServedShard>> {
        self.shards.borrow().get(&number).cloned()
    }

    /// The connections of a shard's tenants, of one tenant if it is given.
    fn connections_of(&self, shard: ShardNumber, tenant: Option<&Tenant>) -> Vec<Rc<Connection>> {
        let connections = self.connections.borrow();
        let is_meant = |connection: &&Rc<Connection>| {
            let state = connection.state();
            state.shard().shard() == shard && tenant.is_none_or(|tenant| state.principal().tenant() == tenant)
        };
        connections.values().filter(is_meant).cloned().collect()
    }

    /// The connection's name among those of all gateways.
    fn name(&self, connection: &Connection) -> ConnectionName {
        let ordinal = Ordinal { worker: self.index, number: connection.id() };
        ConnectionName { gateway: self.context.name.clone(), ordinal }
    }

    fn refuse(&self, state: &mut State, error: &ErrorMessage) {
        state.refuse(error, self.now());
    }

    /// Stores how far the client has received, if that is new.
    fn acknowledge(&self, state: &mut State, sequence: u64) {
        if let Some(position) = state.acknowledge(sequence) {
            self.context.consumers.acknowledge(&state.principal().consumer, position);
        }
        state.save_if_acknowledged();
    }

    /// Has the position of a connection's consumer saved that has been found in another generation or shard.
    fn note_position(&self, state: &State) {
        if let Some(position) = state.acknowledged_position() {
            self.context.consumers.acknowledge(&state.principal().consumer, position);
        }
    }

    /// Adds the connection to the routing table, or removes it.
    fn route(&self, connection: &Rc<Connection>, state: &mut State, is_open: bool) {
        let Some(shard) = self.shard(state.shard().shard()) else { return };
        let tenant = state.principal().tenant().clone();
        for (address, filter) in state.session().open_addresses() {
            let filter = filter.cloned().unwrap_or_default();
            if is_open {
                shard.open(&tenant, address, &filter, connection);
            } else {
                shard.close(&tenant, address, &filter, connection);
            }
        }
        if is_open {
            state.join_worker();
        }
    }

    /// Gives up the addresses at which no connection is left.
    fn release_addresses(&self) {
        self.shards.borrow().values().for_each(|shard| shard.release_addresses());
    }

    /// Carries out what a session has decided.
    fn apply(self: &Rc<Self>, connection: &Rc<Connection>, state: &mut State, effect: Effect) {
        let shard = self.shard(state.shard().shard());
        let tenant = state.principal().tenant();
        match effect {
            Effect::Reply(json) => state.send_text(&json),
            Effect::OpenAddress(address, filter) => {
                if let Some(shard) = shard {
                    shard.open(tenant, &address, &filter, connection);
                }
            }
            Effect::CloseAddress(address, filter) => {
                if let Some(shard) = shard {
                    shard.close(tenant, &address, &filter, connection);
                }
            }
            Effect::Acknowledge(sequence) => self.acknowledge(state, sequence),
            Effect::Remember { topic, edit } => {
                let position = state.acknowledged_position();
                self.context.consumers.remember(&state.principal().consumer, position, topic, edit);
            }
            Effect::Confirm(change, id) => self.confirm(connection, state, change, id),
            Effect::Authenticate { token, id } => self.authenticate(connection, state, token.as_str(), id),
            Effect::Publish { said, id } => self.publish(connection, state, &said, id),
            Effect::Latest(request) => self.enqueue_latest(state, request),
        }
    }

    /// A connection has ended: only what is to be saved of its consumer stays.
    fn unregister(&self, connection: &Rc<Connection>) {
        if self.connections.borrow_mut().remove(&connection.id()).is_none() {
            return;
        }
        let mut state = connection.state();
        connection.abort();
        self.route(connection, &mut state, false);
        self.context.consumers.leave(&state.principal().consumer, state.acknowledged_position());
        self.count.fetch_sub(1, Ordering::Relaxed);
        if self.connections.borrow().is_empty() {
            self.emptied.notify_one();
        }
    }
}

/// Lets others have their turn after a share of the work.
async fn yield_after(index: usize) {
    if (index + 1).is_multiple_of(FAIR_SHARE) {
        tokio::task::yield_now().await;
    }
}
