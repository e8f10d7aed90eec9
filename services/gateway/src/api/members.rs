//! Bodies of requests that are objects of JSON.

use std::error::Error;

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::read_body;
use crate::error::{ApiCode, ApiError};

/// The longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The body, an object of JSON; an absent one is what no member says.
pub(super) struct Members<T>(pub(super) T);

impl<T, S> FromRequest<S> for Members<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        let bytes = read_body(body, MAX_BODY).await?;
        let members = if bytes.is_empty() {
            Value::Object(serde_json::Map::new())
        } else {
            check_is_json(&head.headers)?;
            tidings_model::json::parse(&bytes).map_err(|error| wrong(&error))?
        };
        if !members.is_object() {
            return Err(ApiError::new(ApiCode::Body, "the body is not a JSON object"));
        }
        Ok(Self(T::deserialize(members).map_err(|error| wrong(&error))?))
    }
}

fn wrong(error: &dyn Error) -> ApiError {
    ApiError::new(ApiCode::Body, format!("the body is not understood: {error}"))
}

/// What is sent as something else was not meant for here.
fn check_is_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if tidings_model::media_type(given) == "application/json" {
        return Ok(());
    }
    let text = format!("a body of the type {given:?} is not read, expected Content-Type: application/json");
    Err(ApiError::new(ApiCode::ContentType, text))
}
