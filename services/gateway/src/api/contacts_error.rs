//! What a request is answered with when a user's contacts cannot be read or changed.

use std::error::Error;

use tidings_contacts::ContactsError;

use crate::error::{ApiCode, ApiError};

pub(super) fn refused(error: &ContactsError) -> ApiError {
    let code = match error {
        ContactsError::Off => return ApiError::new(ApiCode::ContactsOff, error.to_string()),
        error if error.is_unreadable() => ApiCode::ContactsUnreadable,
        _ => ApiCode::Unavailable,
    };
    tracing::warn!(error = error as &dyn Error, "a request about contacts failed");
    ApiError::new(code, error.to_string())
}
