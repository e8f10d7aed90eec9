//! The shards that a gateway reads: which tenant is served from which, reading them, and resuming in them.

mod connection_service;
mod follow;
mod manager;
mod probe;
mod resolve;
mod shard;

pub(crate) use self::connection_service::answer_questions;
pub(crate) use self::manager::{ShardManager, Shards};
pub(crate) use self::probe::watch_readiness;
pub(crate) use self::resolve::{find_shard, resume};
