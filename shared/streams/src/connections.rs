//! Who is connected: asked of every gateway over the NATS service API (NATS ADR-32), stored nowhere.
//!
//! Each gateway is an instance of the service `tidings-gateway`, whose metadata has its name, and answers
//! requests on subjects of its own:
//!
//! | subject | answer |
//! | --- | --- |
//! | `$SRV.PING.tidings-gateway` | there is a gateway, and this is its name |
//! | `tidings.gateway.<gateway>.list.<tenant>` | connections, a page of JSON lines |
//! | `tidings.gateway.<gateway>.close.<tenant>` | the same of those that it has just closed |
//!
//! Answers go to subjects below `tidings.answers`: a gateway that may answer everybody on `_INBOX.>` could answer
//! in JetStream's name.
//!
//! Whoever asks gets a page at a time and, in the header `Tidings-Next`, where the next one begins; so
//! neither side ever holds more than a page per gateway, however many connections there are. A connection
//! that exists all the while is told once. The request and the lines are JSON: [`Search`] and
//! [`ConnectionReport`].

mod ask;
mod name;
mod serve;

use serde::{Deserialize, Serialize};
use tidings_model::{Tenant, subject};

pub use ask::{AskError, ConnectionList, ask, ask_about};
pub use name::{ConnectionName, ConnectionNameError, Ordinal};
pub use serve::{ConnectionService, Page, Question, ServiceError};

/// The name of the service that gateways are.
pub const SERVICE: &str = "tidings-gateway";

/// What the subjects of answers begin with.
const ANSWERS: &str = "tidings.answers";

/// Says where the next page begins; the last page has no such header.
const NEXT: &str = "Tidings-Next";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Who is connected?
    List,
    /// Close connections, and say which.
    Close,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Close => "close",
        }
    }

    fn subject(self, gateway: &str, tenant: &str) -> String {
        format!("tidings.gateway.{}.{}.{tenant}", subject::encode(gateway), self.as_str())
    }
}

/// Which of a tenant's connections are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// Those of this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The one with this ordinal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<Ordinal>,
    /// Those that come after this ordinal.
    #[serde(default)]
    pub after: Ordinal,
    /// Who asks, for the log.
    #[serde(default)]
    pub by: String,
}

/// A connection as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionReport {
    /// `<gateway>.<shard>.<number>`; no other connection ever has it.
    pub id: String,
    /// The application.
    pub tenant: Tenant,
    /// The user.
    pub user: String,
    /// The user's device.
    pub device: String,
    /// The gateway that serves it.
    pub gateway: String,
    /// The address that the client comes from.
    pub address: String,
    /// When it was opened, in seconds since 1970-01-01T00:00:00Z.
    pub since: u64,
    /// Topics that the client asked for.
    pub subscriptions: Vec<String>,
    /// Everything up to here was received, as far as is known; a position such as `18f3a0c2b41-42`.
    pub acknowledged: Option<String>,
    /// Everything up to here was sent.
    pub sent: String,
    /// Messages since it was opened.
    pub messages: Traffic,
    /// The same per minute, on average.
    pub per_minute: Traffic<f64>,
}

/// Messages on a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic<N = u32> {
    /// Envelopes sent to the client.
    pub sent: N,
    /// Messages received from it.
    pub received: N,
}
