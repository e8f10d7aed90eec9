//! The commands to a worker, which come in order through its one bounded queue.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidings_model::{Epoch, Position, ShardNumber, Tenant};
use tidings_protocol::server::Form;
use tidings_replica::{Replica, ResumePoint};
use tidings_session::Principal;
use tidings_streams::connections::{Operation, Page, Search};
use tidings_streams::consumers::Subscriptions;
use tokio::sync::oneshot;

use super::connection::Detached;
use super::interest::{Envelopes, Interest};
use crate::limits::ConnectionPermit;

/// A command to a worker.
pub(super) enum Command {
    /// Serve a connection.
    Register(Box<NewConnection>),
    /// Serve tenants of another shard, whose replica has been read up to the position.
    AddShard(ShardNumber, Arc<Replica>, Position, Arc<Interest>),
    /// What is new in a shard.
    Update(ShardNumber, ShardUpdate),
    /// Send a page of the list of connections.
    List(Operation, Box<(Tenant, Search)>, oneshot::Sender<Page>),
    /// A tenant's envelopes have moved to another shard, in this generation; its connections follow.
    MoveTenant { tenant: Tenant, from: ShardNumber, to: ShardNumber, generation: u32 },
    /// Move every connection to another gateway within this time, and end.
    Drain(Duration),
    /// Close every connection at once, and end.
    Close,
}

/// What is new in a shard, in order. Every worker receives all of it, but of the envelopes only those at addresses at which
/// it has connections.
#[derive(Debug, Clone)]
pub(crate) enum ShardUpdate {
    /// The next envelopes of the stream.
    Envelopes(Envelopes),
    /// The tenant's envelopes are of this generation from here on.
    Began {
        tenant: Tenant,
        generation: u32,
        /// The sequence of the notice.
        since: u64,
    },
    /// The tenant's envelopes are in another shard, in this generation.
    Left { tenant: Tenant, generation: u32 },
    /// The stream was recreated; sequences begin at 1 again.
    Restarted(Epoch),
}

/// A client that has passed the handshake.
pub(crate) struct NewConnection {
    pub(crate) socket: Detached,
    /// The bytes that the client sent right behind its handshake.
    pub(crate) early_bytes: Bytes,
    /// The client's address.
    pub(crate) from: IpAddr,
    pub(crate) form: Form,
    /// Whether it negotiated permessage-deflate.
    pub(crate) is_compressed: bool,
    pub(crate) principal: Principal,
    /// Held until the connection has ended.
    pub(crate) permit: ConnectionPermit,
    /// The shard that its tenant's envelopes are in.
    pub(crate) shard: ShardNumber,
    /// Where delivery begins.
    pub(crate) resume: ResumePoint,
    /// The subscriptions of its durable consumer.
    pub(crate) subscriptions: Subscriptions,
}
