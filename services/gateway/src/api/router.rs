//! The routes of the gateway: health, the WebSocket endpoint, administration.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::{Endpoint, Stage, admin, request, websocket};
use crate::error::{ApiCode, ApiError};

/// What is served at an address, besides health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routes {
    Clients,
    Admin,
    All,
}

pub(crate) fn router(routes: Routes, endpoint: Endpoint) -> Router {
    let mut router = Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready));
    if routes != Routes::Admin {
        let connect = get(websocket::connect);
        router = router.route("/api/ws", connect.clone()).route("/api/ws/", connect);
    }
    if routes != Routes::Clients {
        router = router.nest_service("/api/v1", admin::router(Arc::clone(&endpoint.context)));
    }
    let check = middleware::from_fn_with_state(Arc::clone(&endpoint.context), request::check);
    let nothing = move || async move { nothing_here(routes) };
    router
        .fallback(nothing)
        .method_not_allowed_fallback(request::method_not_allowed)
        .layer(check)
        .with_state(endpoint)
}

fn nothing_here(routes: Routes) -> ApiError {
    let text = match routes {
        Routes::Clients => {
            "there is nothing here; WebSockets connect to /api/ws, and `gateway.admin_listen` says where administrators do"
        }
        Routes::Admin => "there is nothing here; the admin interface is below /api/v1",
        Routes::All => "there is nothing here; WebSockets connect to /api/ws, administrators to /api/v1",
    };
    ApiError::new(ApiCode::NotFound, text)
}

/// Whether new connections are served.
async fn ready(State(endpoint): State<Endpoint>) -> Response {
    let stage = endpoint.stage.borrow().clone();
    let error = endpoint.context.readiness.error();
    let loading = || ApiError::new(ApiCode::Starting, "the gateway is loading its index");
    match stage {
        Stage::Open(..) => error.map_or_else(|| "ready\n".into_response(), ApiError::into_response),
        Stage::Starting => error.unwrap_or_else(loading).into_response(),
        Stage::Draining => ApiError::new(ApiCode::Draining, "the gateway is shutting down").into_response(),
    }
}
