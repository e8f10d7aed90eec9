//! The state that every route shares, and what the gateway is doing.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::context::Context;
use crate::shards::Shards;
use crate::worker::handle::Workers;

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(super) context: Arc<Context>,
    pub(super) stage: watch::Receiver<Stage>,
    pub(super) upgrades: TaskTracker,
}

impl Endpoint {
    /// `upgrades` holds the tasks that hand connections to workers.
    pub(crate) fn new(context: Arc<Context>, stage: watch::Receiver<Stage>, upgrades: TaskTracker) -> Self {
        Self { context, stage, upgrades }
    }
}

/// What a gateway is doing.
#[derive(Clone)]
pub(crate) enum Stage {
    /// It loads its index; new connections wait.
    Starting,
    /// It serves.
    Open(watch::Receiver<Arc<Shards>>, Workers),
    /// It is ending: it moves its connections to other gateways and refuses new ones.
    Draining,
}
