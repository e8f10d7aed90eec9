//! Why a dispatcher cannot start, or cannot go on right now.

use tidings_contacts::ContactsError;
use tidings_streams::consumers::ConsumerStoreError;
use tidings_streams::deliveries::DeliveryError;
use tidings_streams::preferences::PreferencesError;
use tidings_streams::users::UsersError;
use tidings_streams::{
    ExtentError, FollowError, HomeError, PlacementError, ReadEnvelopeError, TopologyError, TranslateError,
};

/// Why the dispatcher cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DispatcherError {
    /// A stream is not as required.
    #[error("the dispatcher cannot use its streams")]
    Topology(#[from] TopologyError),
    /// The tenant's place is unknown.
    #[error("the dispatcher cannot find a tenant's envelopes")]
    Home(#[from] HomeError),
    /// The tenants of the shard are unknown.
    #[error("the dispatcher cannot determine the tenants of its shard")]
    Placement(#[from] PlacementError),
    /// The state of `ENVELOPES` cannot be read.
    #[error("the dispatcher cannot read the state of stream ENVELOPES")]
    Extent(#[from] ExtentError),
    /// `ENVELOPES` cannot be read.
    #[error("the dispatcher cannot read envelopes")]
    Follow(#[from] FollowError),
    /// An envelope cannot be read.
    #[error("the dispatcher cannot read a message that is due")]
    Envelope(#[from] ReadEnvelopeError),
    /// A device's position cannot be compared.
    #[error("the dispatcher cannot compare a device's position")]
    Translate(#[from] TranslateError),
    /// Where devices stand is unknown.
    #[error("the dispatcher cannot read where devices stand")]
    Consumers(#[from] ConsumerStoreError),
    /// Whether the user is disabled is unknown.
    #[error("the dispatcher cannot read whether a user is disabled")]
    Users(#[from] UsersError),
    /// What the user wants is unknown.
    #[error("the dispatcher cannot read what a user wants")]
    Preferences(#[from] PreferencesError),
    /// `DELIVERIES` cannot be read or written.
    #[error("the dispatcher cannot read or write deliveries")]
    Deliveries(#[from] DeliveryError),
    /// A user's contacts cannot be read.
    #[error("the dispatcher cannot read where a user is reached")]
    Contacts(#[from] ContactsError),
    /// Another dispatcher has written since.
    #[error("another dispatcher has written to stream DELIVERIES since, or it came back with an older state")]
    Overtaken,
}
