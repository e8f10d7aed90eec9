//! What the projector would reject, as an answer. Pure.

use tidings_catalog::{Reason, Rejection};

use crate::error::{ApiCode, ApiError};

/// The refusal of an event that the projector would reject: with the same reason and the same pointer.
pub(super) fn rejected(rejection: &Rejection) -> ApiError {
    let code = match rejection.reason {
        Reason::TooLarge => ApiCode::EventTooLarge,
        _ => ApiCode::EventRejected,
    };
    let error = ApiError::new(code, rejection.text.clone()).with("reason", rejection.reason.as_str());
    match &rejection.pointer {
        Some(pointer) => error.with("pointer", pointer.as_str()),
        None => error,
    }
}
