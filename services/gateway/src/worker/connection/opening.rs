//! The beginning of a connection: what a client that has passed the handshake brings, and what it begins with.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use mio::Registry;
use tidings_catalog::Catalogs;
use tidings_model::ShardNumber;
use tidings_net::ClientStream;
use tidings_protocol::framing::Inbound;
use tidings_protocol::server::Form;
use tidings_replica::{Gap, ResumePoint};
use tidings_session::{Principal, Session};
use tidings_streams::connections::Traffic;
use tidings_streams::consumers::{ConsumerName, Subscriptions};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::page::HttpAnswer;
use super::phase::Phase;
use super::send_queue::{SendQueue, Shape};
use super::socket::{DetachError, Detached, Socket};
use super::{Common, Connection, State, Unread, one_more};
use crate::consumers::PlaceId;
use crate::limits::MessageBudget;
use crate::worker::served_shard::ConnectionId;
use crate::worker::shard_progress::ShardProgress;

/// The socket of a client that has passed the handshake.
pub(crate) enum ClientSocket {
    WebSocket(Upgraded),
    /// With the frames that the client has sent with its request.
    Http(ClientStream, HttpAnswer, Bytes),
}

/// A client that has passed the handshake.
pub(crate) struct NewConnection {
    socket: Detached,
    /// The bytes that the client sent right behind its handshake.
    early_bytes: Bytes,
    /// The client's address.
    from: IpAddr,
    /// The trace of its handshake.
    trace: Option<Box<str>>,
    form: Form,
    /// Whether it negotiated permessage-deflate.
    is_compressed: bool,
    principal: Principal,
    /// Held until the connection has ended.
    budget: MessageBudget,
    /// The shard that its tenant's envelopes are in.
    shard: ShardNumber,
    /// Where delivery begins.
    resume: ResumePoint,
    /// The subscriptions of its durable consumer.
    subscriptions: Subscriptions,
    /// Its place in the durable consumer, if it shares that.
    place: Option<PlaceId>,
}

impl NewConnection {
    /// Takes the raw socket from hyper, to serve a client at this address in the negotiated form, compressed or not. Delivery
    /// begins where the client resumes in the shard of its tenant.
    pub(crate) fn new(
        (client, from, trace): (ClientSocket, IpAddr, Option<Box<str>>),
        (form, is_compressed): (Form, bool),
        (principal, budget): (Principal, MessageBudget),
        (shard, resume): (ShardNumber, ResumePoint),
        (subscriptions, place): (Subscriptions, Option<PlaceId>),
    ) -> Result<Self, DetachError> {
        let (socket, early_bytes) = match client {
            ClientSocket::WebSocket(upgraded) => Detached::from_upgraded(upgraded)?,
            ClientSocket::Http(taken, answer, sent) => (Detached::from_request(taken, answer)?, sent),
        };
        Ok(Self {
            socket,
            early_bytes,
            from,
            trace,
            form,
            is_compressed,
            principal,
            budget,
            shard,
            resume,
            subscriptions,
            place,
        })
    }

    pub(in crate::worker) fn shard(&self) -> ShardNumber {
        self.shard
    }

    pub(in crate::worker) fn consumer(&self) -> (&ConsumerName, Option<PlaceId>) {
        (&self.principal.consumer, self.place)
    }
}

impl Connection {
    /// Begins a connection that has not written anything yet: with where it resumes, since the stream may have been recreated
    /// since its handshake, and with what the client has sent already. It is pinged first after the heartbeat and lives for
    /// about its lifetime.
    pub(in crate::worker) fn open(
        new: NewConnection,
        (id, registry): (ConnectionId, &Registry),
        (common, shard): (Rc<Common>, Rc<ShardProgress>),
        catalogs: Arc<Catalogs>,
        (now, unix_seconds): (Instant, u64),
        (heartbeat, lifetime): (Duration, Duration),
        is_logged: bool,
    ) -> io::Result<(Rc<Self>, ResumePoint, Vec<u8>)> {
        let NewConnection { form, is_compressed, budget, .. } = new;
        let (resume, generation) = shard.begin_at(new.principal.tenant(), new.resume);
        let socket = Socket::attach(new.socket, registry, id)?;
        let lifetime = socket.page().map_or(lifetime, |page| page.wait());
        let mut session = Session::new(catalogs, new.principal, form);
        session.restore(new.subscriptions);
        // No longer message has a frame.
        let most = u32::try_from(budget.max_message_bytes()).unwrap_or(u32::MAX);
        let after = resume.after.sequence;
        let gap = |Gap { from, to, reason }| session.gap(from, to, reason, OffsetDateTime::UNIX_EPOCH);
        // What a client is not told of, it cannot acknowledge.
        let is_received = resume.gap.and_then(gap).is_none();
        let state = State {
            session,
            inbound: Inbound::default(),
            budget,
            phase: Phase::CatchingUp { after },
            last_heard: now,
            next_ping: now + heartbeat,
            leaves_at: now + lifetime,
            is_close_announced: false,
            has_followed: false,
            sequences_begun: 0,
            place: new.place,
            acknowledged: is_received.then(|| one_more(after)),
            ack_requested: after,
            missed_after: u64::MAX,
            wants_ack: false,
            catching_up: true,
            pending: None,
            is_held_back: false,
            sent: after,
            generation,
            messages: Traffic::default(),
            queue: SendQueue::default(),
            blocked: false,
            has_room: false,
            unread: Unread::Nothing,
            is_busy: false,
            is_woken: false,
            last_message: None,
            common,
            shard,
            id,
        };
        if is_logged {
            state.common.access_log.add(id, new.trace);
        }
        state.common.figures.moved(form, None, Some(state.phase.activity()));
        let since = u32::try_from(unix_seconds).unwrap_or(u32::MAX);
        let shape = Shape { form, is_compressed, most };
        let (from, too_long, state) = (new.from, Cell::new(0), RefCell::new(state));
        let connection = Self { from, too_long, since, id, shape, socket, state };
        Ok((Rc::new(connection), resume, new.early_bytes.to_vec()))
    }
}
