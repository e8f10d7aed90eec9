//! Ways to a user who is not connected.
//!
//! A [`Channel`] makes one attempt to send one [`Delivery`] to one [`Target`], and says what became of it in terms that
//! decide what happens next: accepted, later, never, or the target is gone. It keeps no state and retries nothing:
//! when an attempt is made, and whether it is still needed, is decided elsewhere; [`RetryPlan`] says how long to wait.
//!
//! ```text
//!   Delivery ──► Channel ──► one attempt ──► Accepted             the receiver has taken it over
//!                                        └─► Failed::Later        try again, not before …
//!                                            Failed::Never        the same attempt would fail again
//!                                            Failed::Gone         the target does not exist any more: forget it
//! ```
//!
//! Two invariants. An attempt that is repeated, by a plan or after a crash, is recognisable to the receiver: its
//! [`DeliveryId`] is the same. And what a tenant or a user chose (a URL, a subscription) leads to no address of the
//! operator's own network.

mod channel;
mod channels;
mod check;
mod delivery;
mod email;
mod exchange;
mod id;
mod reach;
mod resolve;
mod retry;
mod setup;
mod sns;
mod target;
mod web_push;
mod webhook;

pub use channel::{Accepted, Channel, Failed};
pub use channels::Channels;
pub use check::TargetError;
pub use delivery::{Delivery, Urgency};
pub use email::Email;
pub use id::{DeliveryId, DeliveryIdError};
pub use resolve::Resolve;
pub use retry::RetryPlan;
pub use setup::SetupError;
pub use sns::Sns;
pub use target::{
    SigningKey, SigningKeyError, SnsTarget, Subscription, SubscriptionKeys, Target, WebhookTarget,
};
pub use web_push::WebPush;
pub use webhook::Webhook;
