//! A shard: one thread that serves a share of the connections.
//!
//! Each shard has its own single-threaded runtime, so what it shares among its connections needs
//! no locks. It hears of new connections and of the stream's news in one bounded queue, delivers
//! the news to whoever holds the keys, and never waits for a client.

mod answer;
mod authenticate;
mod batch;
mod catch_up;
mod connection;
mod conversation;
mod deflate;
mod deliver;
mod directory;
mod drain;
mod fallback;
mod publish;
mod review;
mod settle;
mod socket;
mod survey;
mod timers;
mod window;

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidings_model::{Epoch, Place, Position, Tenant};
use tidings_protocol::server::{GapReason, ServerMessage};
use tidings_streams::connections::Page;
use tidings_streams::consumers::Subscriptions;
use time::OffsetDateTime;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use self::connection::{Connection, Opening, Phase, Ready, State, WindowLimits};
pub(crate) use self::deflate::Deflate;
use self::deliver::Intake;
use self::directory::{ConnectionId, Directory};
pub(crate) use self::socket::Detached;
use self::socket::Socket;
pub(crate) use self::survey::Survey;
use crate::framed::{Form, FramedEnvelope};
use crate::generations::Generations;
use crate::lane::Lane;
use crate::limits::Seat;
use crate::retained::unix_seconds;
use crate::session::{Passport, Session};
use crate::shared::Shared;
use crate::standing::{Gap, Standing};

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
    /// The stream was made anew; sequences begin at 1 again.
    Renewed(Epoch),
}

enum Command {
    Adopt(Box<Newcomer>),
    Tell(News),
    Survey(Box<Survey>, oneshot::Sender<Page>),
    MoveAway(Tenant, Duration),
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
        let thread = std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
            let shard = Shard::new(index, shared, lane, position, count);
            LocalSet::new().block_on(&runtime, Rc::new(shard).run(queue));
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

    /// Has a tenant's connections go elsewhere within this time: its envelopes are in another lane.
    pub(crate) async fn move_away(&self, tenant: Tenant, over: Duration) {
        let _ = self.commands.send(Command::MoveAway(tenant, over)).await;
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
    limits: WindowLimits,
    directory: RefCell<Directory<Rc<Connection>>>,
    connections: RefCell<BTreeMap<ConnectionId, Rc<Connection>>>,
    next_id: Cell<ConnectionId>,
    /// The version of what is known of users by which the connections were last looked at.
    reviewed: Cell<u64>,
    /// One entry for each connection: when to look at it again.
    timers: RefCell<BinaryHeap<Reverse<(Instant, ConnectionId)>>>,
    epoch: Cell<Epoch>,
    /// Everything up to this sequence has been delivered to those who are live.
    cursor: Cell<u64>,
    scratch: RefCell<Box<[u8]>>,
    deflate: Rc<Deflate>,
    /// Once it is draining: by when everybody has to leave.
    drained_by: Cell<Option<Instant>>,
    /// How many may read from the stream itself at once.
    fallbacks: Arc<Semaphore>,
    /// Connections that have to be asked at the next tick what they have received.
    touched: RefCell<Vec<Rc<Connection>>>,
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
        count: Arc<AtomicUsize>,
    ) -> Self {
        let settings = &shared.settings;
        let limits = WindowLimits { messages: settings.window_messages.get(), bytes: settings.window_bytes };
        let deflate = Rc::new(Deflate::new(settings.compression_threshold));
        Self {
            index,
            shared,
            generations: RefCell::new(lane.retained.generations()),
            lane,
            limits,
            directory: RefCell::default(),
            connections: RefCell::default(),
            next_id: Cell::new(1),
            reviewed: Cell::new(0),
            timers: RefCell::default(),
            epoch: Cell::new(position.epoch),
            cursor: Cell::new(position.sequence),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            deflate,
            drained_by: Cell::new(None),
            fallbacks: Arc::new(Semaphore::new(FALLBACKS)),
            touched: RefCell::default(),
            waiting: RefCell::default(),
            tasks: TaskTracker::new(),
            count,
        }
    }

    async fn run(self: Rc<Self>, queue: mpsc::Receiver<Command>) {
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
                    }
                    Some(Command::Tell(News::Renewed(epoch))) => self.renew(epoch),
                    Some(Command::MoveAway(tenant, over)) => self.move_away(&tenant, over),
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
    }

    fn adopt(self: &Rc<Self>, newcomer: Newcomer) {
        let Newcomer { socket, early_bytes, from, form, deflate, passport, seat, standing, subscriptions } =
            newcomer;
        let (standing, generation) = self.in_this_life(passport.tenant(), standing);
        let socket = match Socket::attach(socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(%error, "cannot take over a connection");
                return self.shared.positions.leave(&passport.consumer, None);
            }
        };
        let (now, wall) = (Instant::now(), (self.shared.clock)());
        let settings = &self.shared.settings;
        let id = self.next_id.replace(self.next_id.get() + 1);
        let token_expires = self.instant_of(passport.expires_at, wall);
        let mut session = Session::new(Arc::clone(&self.shared.catalogs), passport, form);
        session.restore(subscriptions);
        let opening = Opening {
            from,
            since: unix_seconds(wall),
            token_expires,
            session,
            deflate: deflate.then(|| Rc::clone(&self.deflate)),
            allowance: seat.allowance(),
            limits: self.limits,
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
        self.tasks.spawn_local(Rc::clone(self).serve(connection, seat));
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

    /// A sequence as the connection counts.
    fn position(&self, state: &State, sequence: u64) -> Position {
        let tenant = state.session.passport().tenant();
        self.generations.borrow().position(tenant, state.generation, self.epoch.get(), sequence)
    }

    /// To which generation a sequence belongs for a connection, and up to which sequence that is so.
    fn generation(&self, state: &State, sequence: u64) -> (u32, u64) {
        self.generations.borrow().at(state.session.passport().tenant(), state.generation, sequence)
    }

    /// The life of one connection.
    async fn serve(self: Rc<Self>, connection: Rc<Connection>, seat: Seat) {
        loop {
            match connection.ready().await {
                Ready::Read => self.read(&connection),
                Ready::Write => {
                    connection.flush();
                    self.touch(&connection);
                }
                // Boxed, so that a connection that keeps up does not pay for the room.
                Ready::Return => Box::pin(self.catch_up(&connection)).await,
                Ready::Part => Box::pin(self.part(&connection)).await,
                Ready::Over => break,
            }
        }
        self.forget(&connection);
        drop(seat);
    }

    fn forget(&self, connection: &Connection) {
        let state = connection.state();
        let tenant = state.session.passport().tenant();
        let mut directory = self.directory.borrow_mut();
        for (address, subscription) in state.session.open_addresses() {
            let filter = subscription.map(|subscription| subscription.filter.clone()).unwrap_or_default();
            directory.shut(tenant, address, &filter, connection.id);
        }
        self.shared.positions.leave(&state.session.passport().consumer, self.received(&state));
        self.connections.borrow_mut().remove(&connection.id);
        self.count.fetch_sub(1, Ordering::Relaxed);
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
            state.forget_positions((connection.form == Form::Plain).then_some(0));
            if let Phase::Returning { .. } = state.phase {
                state.phase = Phase::Returning { after: 0 };
            }
            if connection.form == Form::Sequenced {
                let gap = ServerMessage::Gap { from, to: self.position(&state, 0), reason: GapReason::Epoch };
                state.say_text(&gap.to_json((self.shared.clock)()));
                connection.flush_now(&mut state);
            }
        }
    }
}

/// Tells a client of `tidings.v1` whom the gateway takes it for and where it stands.
fn welcome(connection: &Connection, standing: Standing, now: OffsetDateTime) {
    if connection.form != Form::Sequenced {
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
