//! The scenes, each written once for both systems.

mod arrive;
mod fanout;
mod kill;
mod memory;
mod personal;
mod slow;
mod storm;

pub(super) use self::arrive::Arrive;
pub(super) use self::fanout::{Alone, Fanout};
pub(super) use self::kill::Kill;
pub(super) use self::memory::Memory;
pub(super) use self::personal::Personal;
pub(super) use self::slow::Slow;
pub(super) use self::storm::Storm;
