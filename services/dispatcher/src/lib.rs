//! The dispatcher: sends a message by another channel to a user none of whose devices has received it by then.
//!
//! ```text
//!   ENVELOPES ──▶ schedule ──▶ DELIVERIES: waiting ──(JetStream, when it is due)──▶ due ──▶ deliver ──▶ channel
//!                 who is meant                                                      received?  │
//!                                                                                              └──▶ facts
//! ```
//!
//! Beside it, `presence` tells as facts when users connect and disconnect.
//!
//! One dispatcher leads per shard; others stand by. It guarantees, whatever is killed in between:
//!
//! - Each fallback of each message is decided once for each user: sent, skipped or failed, and told as a fact.
//! - It is not sent if a device of the user had acknowledged the message before the attempt began.
//! - What its user has switched off is not sent, and nothing is sent in quiet hours, unless the catalog calls it critical; nothing is
//!   sent to users who are disabled.
//! - It is sent to each contact of the user that the channel has, and not again to one that has it.
//! - An attempt is noted before it is made. One of which it is not known whether it reached the receiver is repeated once,
//!   with the same id, and not again.
//!
//! Nothing here counts time: what waits is a scheduled message. All state is in the stream `DELIVERIES`. The decisions are
//! pure functions (`attempt`, `audience`, `step`, `generations`); the rest is I/O around them.

mod addressed;
mod attempt;
mod contact_targets;
mod deliver;
mod error;
mod generations;
mod metrics;
mod parts;
mod presence;
mod reception;
mod schedule;
mod senders;
mod skip;
mod start;
mod step;
mod unsubscribe;
mod wishes;

pub use addressed::{Addressed, Reach};
pub use contact_targets::ContactTargets;
pub use error::DispatcherError;
pub use metrics::METRICS;
pub use parts::{Destination, Parts, PresenceSettings, Targets, Unreachable};
pub use start::run;
pub use unsubscribe::UnsubscribeLinks;
