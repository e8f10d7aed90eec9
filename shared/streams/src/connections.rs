//! Lists connections by asking every gateway over the NATS service API (NATS ADR-32); nothing is stored.
//!
//! Each gateway is an instance of the service `tidings-gateway`, has its name in the metadata, and answers requests on
//! its own subjects:
//!
//! | subject | answer |
//! | --- | --- |
//! | `$SRV.PING.tidings-gateway` | the name of the gateway |
//! | `tidings.gateway.<gateway>.list.<tenant>` | connections, a page of JSON lines |
//! | `tidings.gateway.<gateway>.close.<tenant>` | the connections that it has just closed, likewise |
//! | `tidings.gateway.<gateway>.save.<tenant>` | empty, once what is known of a device is saved |
//! | `tidings.gateway.<gateway>.receive.<tenant>` | empty, once a connection has what its client sent by another gateway |
//!
//! Answers go to subjects below `tidings.answers`: a gateway that may publish to `_INBOX.>` could forge answers of
//! JetStream.
//!
//! The caller receives one page at a time and, in the header `Tidings-Next`, where the next one begins. Neither side
//! ever holds more than one page per gateway, however many connections there are. A connection that exists during the
//! whole listing is returned once. The request and the lines are JSON: [`Search`] and [`ConnectionReport`].

mod ask;
mod name;
mod receive;
mod save;
mod serve;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_model::{Tenant, rfc3339_of_seconds, subject};

pub use ask::{AskError, ConnectionList, ask, ask_about};
pub use name::{ConnectionName, ConnectionNameError, Ordinal};
pub use receive::ask_to_receive;
pub use save::{SaveAnswer, ask_to_save};
pub use serve::{ConnectionService, Page, Question, ServiceError};

/// The name of the service of which each gateway is an instance.
pub const SERVICE: &str = "tidings-gateway";

/// The prefix of the subjects of answers.
const ANSWERS: &str = "tidings.answers";

/// The header with the start of the next page; the last page has no such header.
const NEXT: &str = "Tidings-Next";

/// The requested operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// List connections.
    List,
    /// Close connections, and list them.
    Close,
    /// Save what is known of a device, which has come to another gateway.
    Save,
    /// Take a client's message to one of its connections.
    Receive,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Close => "close",
            Self::Save => "save",
            Self::Receive => "receive",
        }
    }

    fn subject(self, gateway: &str, tenant: &str) -> String {
        format!("tidings.gateway.{}.{}.{tenant}", subject::encode(gateway), self.as_str())
    }
}

/// Selects connections of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// Only those of this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Only those of this device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Only the one with this ordinal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<Ordinal>,
    /// Only those after this ordinal.
    #[serde(default)]
    pub after: Ordinal,
    /// The caller, for the log.
    #[serde(default)]
    pub by: String,
    /// The client's message to take to the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A connection as shown to operators.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionReport {
    /// `<gateway>.<worker>.<number>`; never used for another connection.
    pub id: String,
    /// The tenant.
    pub tenant: Tenant,
    /// The user.
    pub user: String,
    /// The user's device.
    pub device: String,
    /// The gateway that serves it.
    pub gateway: String,
    /// The client's IP address.
    pub address: String,
    /// When it was opened, in seconds since 1970-01-01T00:00:00Z.
    pub since: u64,
    /// The subscribed topics.
    pub subscriptions: Vec<String>,
    /// The last position known to be acknowledged, such as `18f3a0c2b41-42`.
    pub acknowledged: Option<String>,
    /// The position up to which everything was sent.
    pub sent: String,
    /// Messages since it was opened.
    pub messages: Traffic,
    /// The same as an average per minute.
    pub per_minute: Traffic<f64>,
}

impl ConnectionReport {
    /// The report as operators see it.
    #[must_use]
    pub fn shown(&self) -> Value {
        let mut shown = json!(self);
        if let Value::Object(members) = &mut shown {
            members.insert("since".to_owned(), json!(rfc3339_of_seconds(self.since)));
        }
        shown
    }
}

/// Counts of messages on a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic<N = u32> {
    /// Envelopes sent to the client.
    pub sent: N,
    /// Messages received from the client.
    pub received: N,
}
