//! A worker: one thread that serves a share of the connections.
//!
//! Each worker has its own single-threaded runtime, so what it shares among its connections needs no locks. It receives
//! new connections and the shards' updates in one bounded queue, delivers the updates to the connections that may have
//! them, and never waits for a client.

mod closing;
mod connection;
mod event_loop;
#[cfg(test)]
mod example;
mod fan_out;
#[cfg(debug_assertions)]
mod fault;
mod figures;
mod follow_tenant;
mod handle;
mod inbound;
mod interest;
mod replay;
mod requests;
mod served_shard;
mod shard_progress;
mod traced;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use mio::Registry;
use tidings_catalog::Catalogs;
use tidings_model::{Position, ShardNumber, Tenant};
use tidings_protocol::error::ErrorMessage;
use tidings_protocol::server::Form;
use tidings_replica::{Deflate, Replica, ResumePoint};
use tidings_session::Effect;
use tidings_streams::RepeatedFault;
use tidings_streams::connections::{ConnectionName, Operation, Ordinal, Page, Search};
use time::OffsetDateTime;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub(crate) use self::connection::{ClientSocket, HttpAnswer, NewConnection, PageKind, PageRequest};
use self::connection::{Common, Connection, State};
use self::figures::{Counted, WorkerFigures};
pub(crate) use self::handle::{ShardFeed, Supervisor, Workers};
use self::interest::Interest;
pub(crate) use self::interest::ShardUpdate;
use self::served_shard::{ConnectionId, ServedShard};
use self::traced::TracedDeliveries;
use crate::context::Context;
use crate::error::WorkerError;

/// What one read takes at most, in bytes; shared by all connections of the worker.
const SCRATCH: usize = 64 * 1024;
/// Connections that are served before others get their turn.
const FAIR_SHARE: usize = 256;
/// Replays of a gateway that read from streams at once, because the mailbox does not cover them: JetStream finds their
/// envelopes by scanning.
const STREAM_REPLAYS: usize = 16;

type Shard = ServedShard<Rc<Connection>>;

/// The commands to a worker, which come in order through its one bounded queue.
enum Command {
    /// Serve a connection.
    Register(Box<NewConnection>),
    /// Serve tenants of another shard, whose replica has been read up to the position.
    AddShard(ShardNumber, Arc<Replica>, Position, Arc<Interest>),
    /// What is new in a shard.
    Update(ShardNumber, ShardUpdate),
    /// Send a page of the list of connections.
    List(Operation, Box<(Tenant, Search)>, oneshot::Sender<Page>),
    /// Have the connection of a tenant's user receive a message that its client has sent by another way; say whether it
    /// does.
    Receive(ConnectionId, Box<((Tenant, String), String)>, oneshot::Sender<bool>),
    /// A tenant's envelopes have moved to another shard, in this generation; its connections follow.
    MoveTenant { tenant: Tenant, from: ShardNumber, to: ShardNumber, generation: u32 },
    /// Move every connection to another gateway within this time, and end.
    Drain(Duration),
    /// Close every connection at once, and end.
    Close,
}

/// What the workers of a gateway share. Faults of NATS meet many connections at once; each is logged with how often it
/// occurred.
struct Shared {
    /// Bounds how many read streams for one connection.
    stream_replays: Semaphore,
    /// Envelopes could not be read.
    failed_reads: RepeatedFault,
    /// Subscriptions could not be stored.
    failed_subscriptions: RepeatedFault,
    /// Clients' events could not be stored.
    failed_publishes: RepeatedFault,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            stream_replays: Semaphore::new(STREAM_REPLAYS),
            failed_reads: RepeatedFault::default(),
            failed_subscriptions: RepeatedFault::default(),
            failed_publishes: RepeatedFault::default(),
        }
    }
}

/// The state of a worker.
struct Worker {
    index: usize,
    context: Arc<Context>,
    shared: Arc<Shared>,
    figures: Arc<WorkerFigures>,
    common: Rc<Common>,
    shards: RefCell<BTreeMap<ShardNumber, Rc<Shard>>>,
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
    /// Connections that are asked for an acknowledgement at the next tick.
    ack_wanted: RefCell<Vec<ConnectionId>>,
    traced: TracedDeliveries,
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
        (context, shared): (Arc<Context>, Arc<Shared>),
        registry: Registry,
        count: Arc<AtomicUsize>,
    ) -> Self {
        let settings = &context.settings;
        let bounds = (settings.window_messages.get(), settings.window_bytes);
        let catalogs = Arc::clone(&context.catalogs.borrow());
        let figures = Arc::new(WorkerFigures::default());
        context.registry.register(&figures);
        let deflate = Deflate::new(settings.compression_threshold);
        Self {
            index,
            common: Common::new(bounds, deflate, Arc::clone(&figures)),
            figures,
            context,
            shared,
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
            ack_wanted: RefCell::default(),
            traced: TracedDeliveries::default(),
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

    fn shard(&self, number: ShardNumber) -> Option<Rc<Shard>> {
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
            self.figures.count(Counted::Acknowledged, 1);
            self.context.consumers.acknowledge(state.consumer(), position);
            self.traced.acknowledged(state.id(), state.shard(), sequence);
        }
        state.save_if_acknowledged();
    }

    /// Has the position of a connection's consumer saved that has been found in another generation or shard.
    fn note_position(&self, state: &State) {
        if let Some(position) = state.acknowledged_position() {
            self.context.consumers.acknowledge(state.consumer(), position);
        }
    }

    /// Notes how far a client has come that shares its device, even if it is sent nothing: the others' places must not wait
    /// for it.
    fn touch_place(&self, state: &State) {
        if let ((consumer, Some(place)), Some(position)) = (state.consumer(), state.acknowledged_position()) {
            self.context.consumers.touch(consumer, place, position);
        }
    }

    /// Adds the connection to the routing table, or removes it.
    fn route(&self, connection: &Rc<Connection>, state: &mut State, is_open: bool) {
        let Some(shard) = self.shard(state.shard().shard()) else { return };
        let tenant = state.principal().tenant().clone();
        for (address, filter) in state.session().open_addresses() {
            let filter = filter.cloned().unwrap_or_default();
            if is_open {
                shard.open(&tenant, (address, &filter), (connection.id(), Rc::clone(connection)));
            } else {
                shard.close(&tenant, (address, &filter), connection.id());
            }
        }
        if is_open {
            state.join_worker();
        }
    }

    /// Asks the connection at the next tick for an acknowledgement, if its client does not acknowledge by itself.
    ///
    /// A client of `tidings.v1` does. A plain client is asked with a Ping that carries the last sequence; its Pong, which
    /// every browser returns by itself and in order (RFC 6455, section 5.5.3), proves that everything before it arrived.
    /// Asked at the worker's tick, so that a stream of messages costs one question and not one each; stored at once, so
    /// that a client that acknowledges and reconnects, however quickly, resumes behind what it acknowledged.
    fn want_ack(&self, connection: &Rc<Connection>) {
        if connection.form() == Form::Plain && connection.state().want_ack() {
            self.ack_wanted.borrow_mut().push(connection.id());
        }
    }

    /// Carries out what a session has decided.
    fn apply(self: &Rc<Self>, connection: &Rc<Connection>, state: &mut State, effect: Effect) {
        let shard = self.shard(state.shard().shard());
        let tenant = state.principal().tenant();
        match effect {
            Effect::Reply(json) => state.send_text(&json),
            Effect::Refuse(error) => self.refuse(state, &error),
            Effect::OpenAddress(address, filter) => {
                if let Some(shard) = shard {
                    shard.open(tenant, (&address, &filter), (connection.id(), Rc::clone(connection)));
                }
            }
            Effect::CloseAddress(address, filter) => {
                if let Some(shard) = shard {
                    shard.close(tenant, (&address, &filter), connection.id());
                }
            }
            Effect::Acknowledge(sequence) => self.acknowledge(state, sequence),
            Effect::Remember { topic, edit } => {
                let position = state.acknowledged_position();
                self.context.consumers.remember(state.consumer(), position, topic, edit);
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
        connection.log_ending(&state, self.context.clock.unix_seconds(), || self.name(connection));
        self.route(connection, &mut state, false);
        self.context.consumers.leave(state.consumer(), state.acknowledged_position());
        self.count.fetch_sub(1, Ordering::Relaxed);
        if self.connections.borrow().is_empty() {
            self.emptied.notify_one();
        }
    }
}

/// The error of a worker that panicked with this payload.
fn panicked(panic: &(dyn Any + Send)) -> WorkerError {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    WorkerError::Panicked(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
}

/// Lets others have their turn after a share of the work.
async fn yield_after(index: usize) {
    if (index + 1).is_multiple_of(FAIR_SHARE) {
        tokio::task::yield_now().await;
    }
}
