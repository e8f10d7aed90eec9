//! Pages of other origins that use the admin interface (CORS): those of `gateway.admin_origins`, and by default none.
//!
//! Their requests have the token in a header that a page must set itself, and no cookie counts here, so a page that is not
//! allowed can do nothing in its visitor's name; it cannot even read an answer.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tidings_access::Origin;

/// Whose pages may use the admin interface.
pub(super) struct AdminPages(Vec<Origin>);

impl AdminPages {
    /// The configuration has checked the origins.
    pub(super) fn new(origins: &[String]) -> Self {
        Self(origins.iter().filter_map(|origin| origin.parse().ok()).collect())
    }

    /// The request's origin, if its pages are allowed.
    fn allowed(&self, request: &Request) -> Option<HeaderValue> {
        let mut given = request.headers().get_all(ORIGIN).iter();
        let (origin, None) = (given.next()?, given.next()) else { return None };
        self.0.contains(&origin.to_str().ok()?.parse().ok()?).then(|| origin.clone())
    }
}

/// Answers what browsers ask before a page sends a request, and has allowed pages read the answers.
pub(super) async fn to_pages(State(pages): State<Arc<AdminPages>>, request: Request, next: Next) -> Response {
    let allowed = pages.allowed(&request);
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if allowed.is_some() && is_preflight {
        let answer = [
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE"),
            (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
            (ACCESS_CONTROL_MAX_AGE, "600"),
        ];
        (StatusCode::NO_CONTENT, answer).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    if let Some(origin) = allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    }
    if !pages.0.is_empty() {
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
    response
}
