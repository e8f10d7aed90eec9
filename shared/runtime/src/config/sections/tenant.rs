//! The limits of one tenant.

use std::num::{NonZeroU32, NonZeroUsize};

use schemars::JsonSchema;
use serde::Deserialize;

use super::ByteSizeSchema;
use crate::config::format::optional_byte_size;

/// The limits of one tenant's users, where they differ from `[gateway]`. The keys have the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TenantConfig {
    /// Connections at once of all users of the tenant.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub connections_per_tenant: Option<NonZeroUsize>,
    /// Connections at once of one user.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub connections_per_user: Option<NonZeroUsize>,
    /// Attempts to connect per minute of one user in the long run.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub attempts_per_minute_per_user: Option<NonZeroU32>,
    /// Attempts to connect of one user at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempt_burst_per_user: Option<NonZeroU32>,
    /// Messages per minute on one connection in the long run.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub messages_per_minute: Option<NonZeroU32>,
    /// Messages on one connection at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub message_burst: Option<NonZeroU32>,
    /// Messages per minute on all connections of one user in the long run.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub user_messages_per_minute: Option<NonZeroU32>,
    /// Messages on all connections of one user at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub user_message_burst: Option<NonZeroU32>,
    /// WebSocket frames per minute on one connection in the long run.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub frames_per_minute: Option<NonZeroU32>,
    /// Frames on one connection at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub frame_burst: Option<NonZeroU32>,
    /// Bytes per minute from one connection in the long run.
    #[serde(deserialize_with = "optional_byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub bytes_per_minute: Option<usize>,
    /// Bytes from one connection at once after a pause.
    #[serde(deserialize_with = "optional_byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub byte_burst: Option<usize>,
    /// Events per minute that all clients of the tenant publish in the long run.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub publish_per_minute: Option<NonZeroU32>,
    /// Events that all clients of the tenant publish at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub publish_burst: Option<NonZeroU32>,
    /// Events per minute that one producer publishes over HTTP in the long run.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub producer_events_per_minute: Option<NonZeroU32>,
    /// Events that one producer publishes over HTTP at once after a pause.
    #[schemars(range(min = 1_000, max = 1_000_000))]
    pub producer_event_burst: Option<NonZeroU32>,
    /// Bytes that one message from a client may have.
    #[serde(deserialize_with = "optional_byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub max_frame_bytes: Option<usize>,
    /// Bytes that one message to a client may have.
    #[serde(deserialize_with = "optional_byte_size")]
    #[schemars(with = "ByteSizeSchema")]
    pub max_message_bytes: Option<usize>,
}
