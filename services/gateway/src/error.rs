//! The errors of a gateway: why it cannot start, and what a request is refused with.

mod api;
mod start;

pub use self::api::error_codes;
pub(crate) use self::api::{ApiCode, ApiError, unread_head};
pub use self::start::{StartError, WorkerError};
pub(crate) use self::start::{one_line, panicked};
