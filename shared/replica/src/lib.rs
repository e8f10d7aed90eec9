//! A local copy of one shard's stream of envelopes, from which consumers are served without asking NATS.
//!
//! One reader of the stream keeps a [`Replica`] up to date; any number of threads read it. It answers two questions: where
//! does a consumer resume that has read up to a position ([`Replica::resume`], with a [`Gap`] where something is missing),
//! and what lies at its addresses after that ([`Replica::read`])?
//!
//! ```text
//!   Replica ── mailbox           index: address → sequences (tidings-mailbox)
//!          ├── hot tail          the newest envelopes, each framed once for all connections: FramedEnvelope
//!          ├── generations       which of a tenant's generations is current, from which sequence on
//!          ├── time_index        from a time to a sequence
//!          └── resume            where a consumer resumes, and what it misses: pure
//! ```
//!
//! Invariants: an envelope that was removed, replaced or is of another life of the stream is never served as if it were
//! there; a position moves only with a gap; and no lock is held across an await.

mod deflate;
mod digest;
mod frame;
mod generations;
mod read;
mod replica;
mod resume;
mod time_index;

pub use deflate::Deflate;
pub use digest::DigestFrame;
pub use frame::{FramedEnvelope, MessageIdentity};
pub use generations::Generations;
pub use read::{Footprint, ReadError, ReplicaPage};
pub use replica::Replica;
pub use resume::{Gap, ResumeError, ResumePoint};
