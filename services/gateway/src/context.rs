//! What all parts of a running gateway use. Holds, and does nothing itself.

use std::sync::Arc;

use tidings_access::UnsubscribeKeys;
use tidings_catalog::Catalogs;
use tidings_contacts::Contacts;
use tidings_metrics::{Registry, Tally};
use tidings_runtime::config::GatewayConfig;
use tidings_streams::preferences::PreferenceStore;
use tidings_streams::{Receipts, RepeatedFault, Topology};
use tokio::sync::watch;

use crate::audit::Audit;
use crate::auth::Authenticator;
use crate::claimed_contacts::ClaimedContacts;
use crate::clock::Clock;
use crate::consumers::ConsumerCache;
use crate::limits::Limits;
use crate::readiness::Readiness;

/// What all parts of a running gateway use.
pub(crate) struct Context {
    /// The name of this gateway.
    pub(crate) name: String,
    pub(crate) settings: GatewayConfig,
    pub(crate) clock: Clock,
    /// A number from 0 to below 1.
    pub(crate) random: fn() -> f64,
    pub(crate) catalogs: watch::Receiver<Arc<Catalogs>>,
    pub(crate) topology: Topology,
    pub(crate) receipts: Receipts,
    pub(crate) contacts: Contacts,
    pub(crate) claimed_contacts: ClaimedContacts,
    pub(crate) max_event_bytes: usize,
    pub(crate) limits: Arc<Limits>,
    pub(crate) authenticator: Authenticator,
    pub(crate) consumers: ConsumerCache,
    pub(crate) preferences: PreferenceStore,
    pub(crate) unsubscribe_keys: UnsubscribeKeys,
    pub(crate) audit: Audit,
    pub(crate) readiness: Readiness,
    /// Events of producers could not be stored.
    pub(crate) event_faults: RepeatedFault,
    /// Receipts could not be read or written.
    pub(crate) receipt_faults: RepeatedFault,
    pub(crate) registry: Registry,
    /// How handshakes end: accepted, or with a code, in the order of their numbers.
    pub(crate) handshakes: Arc<Tally>,
}
