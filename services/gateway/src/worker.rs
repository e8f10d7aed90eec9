//! A shard: one thread that serves a share of the connections.
//!
//! Each shard has its own single-threaded runtime, so what it shares among its connections needs
//! no locks. It hears of new connections and of the stream's news in one bounded queue, delivers
//! the news to whoever holds the keys, and never waits for a client.

mod acknowledge;
mod authenticate;
mod confirm;
mod connection;
mod drain;
mod event_loop;
mod fan_out;
mod inbound;
mod latest;
mod list_connections;
mod publish;
mod register;
mod replay;
mod replay_from_stream;
mod revalidate;
mod routing_table;
mod timers;

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mio::Registry;
use tidings_catalog::Catalogs;
use tidings_model::{Epoch, Position, Tenant};
use tidings_protocol::server::{GapReason, ServerMessage};
use tidings_streams::connections::Page;
use tidings_streams::consumers::Subscriptions;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub(crate) use self::confirm::{Changed, Confirmation};
use self::connection::Connection;
pub(crate) use self::connection::socket::Detached;
use self::connection::state::{Common, Deadlines, State, WindowLimits};
use self::event_loop::{Calls, Readiness};
use self::fan_out::Intake;
pub(crate) use self::latest::Lookup;
pub(crate) use self::list_connections::Survey;
use self::routing_table::{ConnectionId, Directory};
use crate::context::Shared;
use crate::limits::Seat;
use crate::replica::deflate::Deflate;
use crate::replica::frame::{Form, FramedEnvelope};
use crate::replica::generations::Generations;
use crate::replica::resume::Standing;
use crate::session::Passport;
use crate::shards::shard::Lane;

/// Commands that may wait for a shard. A full queue holds back the reading of the stream.
const QUEUE: usize = 64;
/// What one read takes at most, in bytes; shared by all connections of the shard.
const SCRATCH: usize = 64 * 1024;
/// Connections that are looked after before others get their turn.
const FAIR_SHARE: usize = 256;
/// Connections of a shard that read from the stream itself at once, because the mailbox does not
/// reach back to them: JetStream finds what is theirs by scanning.
const FALLBACKS: usize = 4;
/// How often timers are looked at.
const TICK: Duration = Duration::from_millis(250);

/// A client that has passed the handshake.
pub(crate) struct Newcomer {
    pub(crate) socket: Detached,
    /// What the client sent right behind its handshake.
    pub(crate) early_bytes: Bytes,
    /// Whom it comes from.
    pub(crate) from: IpAddr,
    pub(crate) form: Form,
    /// Whether it negotiated permessage-deflate.
    pub(crate) deflate: bool,
    pub(crate) passport: Passport,
    /// Held until the connection has ended.
    pub(crate) seat: Seat,
    /// Where its durable consumer stands.
    pub(crate) standing: Standing,
    /// What its durable consumer is subscribed to.
    pub(crate) subscriptions: Subscriptions,
}

/// What comes to every shard, in the same order.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// The next envelopes of the stream.
    Envelopes(Arc<[Arc<FramedEnvelope>]>),
    /// What follows of a tenant's envelopes is of this generation.
    Began {
        tenant: Tenant,
        generation: u32,
        /// The sequence behind which it follows.
        since: u64,
    },
    /// A tenant's envelopes are elsewhere, in this generation.
    Left { tenant: Tenant, generation: u32 },
    /// The stream was made anew; sequences begin at 1 again.
    Renewed(Epoch),
}

enum Command {
    Adopt(Box<Newcomer>),
    Tell(News),
    Survey(Box<Survey>, oneshot::Sender<Page>),
    MoveAway(Tenant, u32, Duration),
    Drain(Duration),
    Close,
}

/// The way to a shard.
#[derive(Clone)]
pub(crate) struct ShardHandle {
    commands: mpsc::Sender<Command>,
    connections: Arc<AtomicUsize>,
}

impl ShardHandle {
    /// Starts a shard whose cursor stands at `position`.
    pub(crate) fn start(
        index: usize,
        shared: Arc<Shared>,
        lane: Arc<Lane>,
        position: Position,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (commands, queue) = mpsc::channel(QUEUE);
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (readiness, registry) = {
            let _entered = runtime.enter();
            Readiness::new()?
        };
        let thread = std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
            let shard = Shard::new(index, shared, lane, position, registry, count);
            LocalSet::new().block_on(&runtime, Rc::new(shard).run(queue, readiness));
        })?;
        Ok((Self { commands, connections }, thread))
    }

    /// How many connections the shard serves.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Hands a client over; `false` if the shard has ended.
    pub(crate) async fn adopt(&self, newcomer: Newcomer) -> bool {
        self.commands.send(Command::Adopt(Box::new(newcomer))).await.is_ok()
    }

    /// Brings the stream's news.
    pub(crate) async fn tell(&self, news: News) {
        // A shard that has ended serves nobody who could miss anything.
        let _ = self.commands.send(Command::Tell(news)).await;
    }

    /// Looks at a share of the connections; `None` if the shard has ended.
    pub(crate) async fn survey(&self, survey: Survey) -> Option<Page> {
        let (answer, page) = oneshot::channel();
        self.commands.send(Command::Survey(Box::new(survey), answer)).await.ok()?;
        page.await.ok()
    }

    /// Has a tenant's connections go elsewhere within this time: its envelopes are in another lane, in this generation.
    pub(crate) async fn move_away(&self, tenant: Tenant, generation: u32, over: Duration) {
        let _ = self.commands.send(Command::MoveAway(tenant, generation, over)).await;
    }

    /// Ends the shard after it has moved its connections elsewhere within this time.
    pub(crate) async fn drain(&self, over: Duration) {
        let _ = self.commands.send(Command::Drain(over)).await;
    }

    /// Ends the shard after all of its connections have been told, without delay.
    pub(crate) async fn close(&self) {
        let _ = self.commands.send(Command::Close).await;
    }
}

struct Shard {
    index: usize,
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    /// Of the tenants of this lane, as far as everything was delivered.
    generations: RefCell<Generations>,
    common: Rc<Common>,
    directory: RefCell<Directory<Rc<Connection>>>,
    connections: RefCell<BTreeMap<ConnectionId, Rc<Connection>>>,
    /// The last of them has gone.
    deserted: Notify,
    /// By which the shard hears of its sockets.
    registry: Registry,
    next_id: Cell<ConnectionId>,
    /// Those that the sessions go by.
    catalogs: RefCell<Arc<Catalogs>>,
    /// The version of what is known of users by which the connections were last looked at.
    reviewed: Cell<u64>,
    /// One entry for each connection: when to look at it again.
    timers: RefCell<BinaryHeap<Reverse<(Instant, ConnectionId)>>>,
    epoch: Cell<Epoch>,
    /// Everything up to this sequence has been delivered to those who are live.
    cursor: Cell<u64>,
    scratch: RefCell<Box<[u8]>>,
    /// Once it is draining: by when everybody has to leave.
    drained_by: Cell<Option<Instant>>,
    /// How many may read from the stream itself at once.
    fallbacks: Arc<Semaphore>,
    /// Connections that have to be asked at the next tick what they have received.
    touched: RefCell<Vec<ConnectionId>>,
    /// Empty but while something is delivered.
    waiting: RefCell<Vec<Rc<Connection>>>,
    tasks: TaskTracker,
    count: Arc<AtomicUsize>,
}

impl Shard {
    fn new(
        index: usize,
        shared: Arc<Shared>,
        lane: Arc<Lane>,
        position: Position,
        registry: Registry,
        count: Arc<AtomicUsize>,
    ) -> Self {
        let settings = &shared.settings;
        let limits = WindowLimits { messages: settings.window_messages.get(), bytes: settings.window_bytes };
        let deflate = Rc::new(Deflate::new(settings.compression_threshold));
        let common =
            Rc::new(Common { limits, deflate, calls: Calls::default(), deadlines: Deadlines::default() });
        let catalogs = RefCell::new(shared.catalogs());
        Self {
            index,
            shared,
            catalogs,
            generations: RefCell::new(lane.retained.generations()),
            lane,
            common,
            directory: RefCell::default(),
            connections: RefCell::default(),
            deserted: Notify::new(),
            registry,
            next_id: Cell::new(1),
            reviewed: Cell::new(0),
            timers: RefCell::default(),
            epoch: Cell::new(position.epoch),
            cursor: Cell::new(position.sequence),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            drained_by: Cell::new(None),
            fallbacks: Arc::new(Semaphore::new(FALLBACKS)),
            touched: RefCell::default(),
            waiting: RefCell::default(),
            tasks: TaskTracker::new(),
            count,
        }
    }

    async fn run(self: Rc<Self>, queue: mpsc::Receiver<Command>, readiness: Readiness) {
        let attending = tokio::task::spawn_local(Rc::clone(&self).attend(readiness));
        let mut intake = Intake::new(queue);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.is_drained() {
            tokio::select! {
                command = intake.next() => match command {
                    Some(Command::Adopt(newcomer)) => self.adopt(*newcomer),
                    Some(Command::Tell(News::Envelopes(envelopes))) => {
                        self.deliver(&intake.gather(&envelopes)).await;
                    }
                    Some(Command::Tell(News::Began { tenant, generation, since })) => {
                        self.generations.borrow_mut().begin(&tenant, generation, since);
                        self.cursor.set(self.cursor.get().max(since));
                        self.send_back(&tenant);
                    }
                    Some(Command::Tell(News::Left { tenant, generation })) => {
                        self.generations.borrow_mut().leave(&tenant, generation);
                    }
                    Some(Command::Tell(News::Renewed(epoch))) => self.renew(epoch),
                    Some(Command::MoveAway(tenant, generation, over)) => {
                        self.move_away(&tenant, generation, over);
                    }
                    Some(Command::Survey(survey, answer)) => {
                        // Whoever asked may have gone.
                        let _ = answer.send(self.survey(&survey));
                    }
                    Some(Command::Drain(over)) => self.drain(over),
                    Some(Command::Close) | None => break,
                },
                _ = tick.tick() => {
                    self.look_at_timers();
                    self.settle();
                    self.review().await;
                    self.take_up_catalogs().await;
                }
            }
        }
        intake.close();
        while let Some(command) = intake.next().await {
            if let Command::Adopt(newcomer) = command {
                self.adopt(*newcomer);
            }
        }
        self.say_farewell().await;
        attending.abort();
    }

    /// A sequence as the connection counts.
    fn position(&self, state: &State, sequence: u64) -> Position {
        let tenant = state.session.passport().tenant();
        self.generations.borrow().position(tenant, state.generation, self.epoch.get(), sequence)
    }

    /// To which generation a sequence belongs for a connection, and up to which sequence that is so.
    fn generation(&self, state: &State, sequence: u64) -> (u32, u64) {
        self.generations.borrow().at(state.session.passport().tenant(), state.generation, sequence)
    }

    /// The stream was made anew: everybody goes on from its beginning.
    fn renew(&self, epoch: Epoch) {
        let connections = self.connections.borrow();
        let stood: Vec<_> = connections
            .values()
            .map(|connection| {
                let state = connection.state();
                self.position(&state, state.sent)
            })
            .collect();
        self.epoch.set(epoch);
        self.cursor.set(0);
        self.generations.borrow_mut().renew();
        for (connection, from) in connections.values().zip(stood) {
            let mut state = connection.state();
            let current = self.generations.borrow().current(state.session.passport().tenant());
            state.generation = current.unwrap_or_default();
            state.forget_positions((connection.form() == Form::Plain).then_some(0));
            state.move_on(0);
            if connection.form() == Form::Sequenced {
                let gap = ServerMessage::Gap { from, to: self.position(&state, 0), reason: GapReason::Epoch };
                state.say_text(&gap.to_json((self.shared.clock)()));
                connection.flush_now(&mut state);
            }
        }
    }
}
