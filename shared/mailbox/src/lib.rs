//! Which envelopes lie at which address, and the newest of them.
//!
//! A gateway reads the stream of envelopes once, in order, and keeps two things in memory:
//!
//! - [`Mailbox`], the index: (tenant, address) → ascending stream sequences. A returning user costs one
//!   [`Mailbox::merge`] of the lists that the user's keys open.
//! - [`HotTail`], the newest envelopes themselves, bounded in bytes.
//!
//! Nothing here does I/O, reads a clock or waits. Stream sequences, the stream's first sequence and the
//! time come in as arguments. The only randomness is the key of the hash functions; no answer depends on it.
//!
//! # Sharing
//! Both structures have one writer, the follower of the stream, and are read through `&self` without
//! interior mutability, so a lock for readers and one writer around each is enough. An append or a merge of
//! a page takes about a microsecond, so the lock may be taken per envelope or for a small batch.
//! [`Mailbox::retain_from`] and [`Mailbox::expire`] do work in proportion to what has changed since their
//! last call: call them often.
//!
//! # Cost
//! Measured by `examples/memory.rs` with 1,000,000 envelopes of 100,000 users whose ids are UUIDs, on two cores:
//! 17 MB in all, which is 123 bytes for an address with its first envelope (81 and the text of the address) and
//! 5 bytes for each further envelope; built in a quarter of a second; a merge of 20 from four addresses
//! takes one microsecond. A `latest` key adds 18 to 36 bytes, a time to live 26.

mod directory;
mod expiry;
mod held;
mod hot_tail;
mod latest;
mod list;
mod mailbox;
mod merge;

pub use hot_tail::{HotTail, HotTailError};
pub use mailbox::{AppendError, Delivery, Entry, Mailbox, REACH};
pub use merge::{Found, NotCovered, Page, Query};
