//! The routes of the gateway: health, the WebSocket endpoint, publishing events, administration; and what every request passes before it is
//! routed.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, Version};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio_util::task::TaskTracker;

use super::cors::{self, AdminPages};
use super::{
    Endpoint, Stage, admin, descriptions, events, method_not_allowed, preferences, push, unsubscribe,
    websocket, without_websocket,
};
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

/// What is served at an address, besides health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routes {
    Clients,
    Admin,
    All,
}

pub(crate) fn router(routes: Routes, endpoint: &Endpoint) -> (Router, TaskTracker) {
    let upgrades = TaskTracker::new();
    let endpoint = endpoint.with_upgrades(upgrades.clone());
    let mut router = Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready));
    router = router.merge(descriptions::router());
    if routes != Routes::Admin {
        let connect = get(websocket::connect);
        router = router.route("/api/ws", connect.clone()).route("/api/ws/", connect).merge(events::router());
        router = router.merge(without_websocket::router()).merge(preferences::router());
        router = router.merge(unsubscribe::router()).merge(push::router());
    }
    if routes != Routes::Clients {
        let pages = Arc::new(AdminPages::new(&endpoint.settings().admin_origins));
        let admin =
            admin::router(Arc::clone(&endpoint.context)).layer(from_fn_with_state(pages, cors::to_pages));
        router = router.nest_service("/api/v1", admin);
    }
    let check = from_fn_with_state(Arc::clone(&endpoint.context), check);
    let nothing = move || async move { nothing_here(routes) };
    let router = router.fallback(nothing).method_not_allowed_fallback(method_not_allowed).layer(check);
    (router.with_state(endpoint), upgrades)
}

fn nothing_here(routes: Routes) -> ApiError {
    let text = match routes {
        Routes::Clients => {
            "there is nothing here; WebSockets connect to /api/ws, producers publish at /api/v1/events, and \
             `gateway.admin_listen` says where administrators connect"
        }
        Routes::Admin => "there is nothing here; the admin interface is below /api/v1",
        Routes::All => {
            "there is nothing here; WebSockets connect to /api/ws, producers publish at /api/v1/events, and \
             administrators are served below /api/v1"
        }
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

/// Refuses requests that can be read in two ways. Forbids caches to keep answers.
async fn check(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    let mut response = match check_head(&request, context.settings.max_header_bytes) {
        Err(error) => error.into_response(),
        Ok(()) => next.run(request).await,
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn check_head(request: &Request, max: usize) -> Result<(), ApiError> {
    let bytes = head_bytes(request);
    if bytes > max {
        let text = format!(
            "the request line and the headers have {bytes} bytes; at most {max} are accepted (`gateway.max_header_bytes`)"
        );
        return Err(ApiError::new(ApiCode::HeadersTooLarge, text));
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        let text = "the request has several headers host, expected one";
        return Err(ApiError::new(ApiCode::HeaderRepeated, text));
    }
    match host {
        // As load balancers check whether the gateway is there (RFC 9112, section 3.2).
        None if request.version() < Version::HTTP_11 => Ok(()),
        Some(host) if names_host(host, request.uri().authority()) => Ok(()),
        _ => {
            let text =
                "the header Host is missing or names no host, expected one such as `gateway.example:8080`";
            Err(ApiError::new(ApiCode::Host, text))
        }
    }
}

/// Whether a `Host` is one, and the same as in the request's target, if that has one.
fn names_host(host: &HeaderValue, target: Option<&Authority>) -> bool {
    let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    host.is_some_and(|host| !host.as_str().contains('@') && target.is_none_or(|target| *target == host))
}

fn head_bytes(request: &Request) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    request.method().as_str().len() + target + "  HTTP/1.1\r\n".len() + headers.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(version: Version, target: &str, hosts: &[&str]) -> Request {
        let request = Request::builder().version(version).uri(target);
        hosts.iter().fold(request, |request, host| request.header(HOST, *host)).body(Body::empty()).unwrap()
    }

    #[test]
    fn every_request_names_one_host() {
        let check = |version, target: &str, hosts: &[&str], expected: Option<ApiCode>| {
            let checked = check_head(&request(version, target, hosts), 1000);
            assert_eq!(checked.err().map(|error| error.code()), expected, "{version:?} {target} {hosts:?}");
        };
        for host in ["gateway", "gateway.example:8080", "127.0.0.1:8080", "[::1]:80"] {
            check(Version::HTTP_11, "/x", &[host], None);
        }
        check(Version::HTTP_10, "/x", &[], None);
        check(Version::HTTP_11, "/x", &[], Some(ApiCode::Host));
        for host in ["", "a b", "ada@gateway", "gateway/x", "a,b c"] {
            check(Version::HTTP_11, "/x", &[host], Some(ApiCode::Host));
        }
        for version in [Version::HTTP_10, Version::HTTP_11] {
            check(version, "/x", &["a", "a"], Some(ApiCode::HeaderRepeated));
            check(version, "/x", &["a", "b"], Some(ApiCode::HeaderRepeated));
        }
        check(Version::HTTP_11, "http://gateway/x", &["GATEWAY"], None);
        check(Version::HTTP_11, "http://gateway/x", &["other"], Some(ApiCode::Host));
    }

    #[test]
    fn a_head_has_so_many_bytes_and_no_more() {
        let request = request(Version::HTTP_11, "/x?y", &["gateway"]);
        let bytes = "GET /x?y HTTP/1.1\r\nhost: gateway\r\n".len();
        assert_eq!(check_head(&request, bytes), Ok(()));
        let error = check_head(&request, bytes - 1).unwrap_err();
        assert_eq!(error.code(), ApiCode::HeadersTooLarge);
        assert!(error.to_string().contains(&format!("{bytes} bytes; at most {}", bytes - 1)), "{error}");
    }
}
