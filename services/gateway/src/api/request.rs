//! Checks that every request passes before it is routed, and headers that every answer has.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::context::Context;
use crate::error::{ApiCode, ApiError};

/// Refuses requests that can be read in two ways. Forbids caches to keep answers.
pub(super) async fn check(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    let mut response = match fault(&request, context.settings.max_header_bytes) {
        Some(fault) => ApiError::from(fault).into_response(),
        None => next.run(request).await,
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The answer where a path is served and a method is not; the header `Allow` names those that are.
pub(super) async fn method_not_allowed(method: Method) -> ApiError {
    let text = format!("{method} is not served here; the header Allow names what is");
    ApiError::new(ApiCode::MethodNotAllowed, text)
}

/// Why a request is refused before it is routed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error(
        "the request line and the headers have {bytes} bytes; at most {max} are accepted (`gateway.max_header_bytes`)"
    )]
    Large { bytes: usize, max: usize },
    #[error("the request has several headers host, expected one")]
    Hosts,
    #[error("the header Host is missing or names no host, expected one such as `gateway.example:8080`")]
    Host,
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let code = match fault {
            Fault::Large { .. } => ApiCode::HeadersTooLarge,
            Fault::Hosts => ApiCode::HeaderRepeated,
            Fault::Host => ApiCode::Host,
        };
        Self::new(code, fault.to_string())
    }
}

fn fault(request: &Request, max: usize) -> Option<Fault> {
    let bytes = head_bytes(request);
    if bytes > max {
        return Some(Fault::Large { bytes, max });
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Some(Fault::Hosts);
    }
    match host {
        // As load balancers check whether the gateway is there (RFC 9112, section 3.2).
        None if request.version() < Version::HTTP_11 => None,
        Some(host) if names_host(host, request.uri().authority()) => None,
        _ => Some(Fault::Host),
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
        let check = |version, target: &str, hosts: &[&str], expected: Option<Fault>| {
            assert_eq!(
                fault(&request(version, target, hosts), 1000),
                expected,
                "{version:?} {target} {hosts:?}"
            );
        };
        for host in ["gateway", "gateway.example:8080", "127.0.0.1:8080", "[::1]:80"] {
            check(Version::HTTP_11, "/x", &[host], None);
        }
        check(Version::HTTP_10, "/x", &[], None);
        check(Version::HTTP_11, "/x", &[], Some(Fault::Host));
        for host in ["", "a b", "ada@gateway", "gateway/x", "a,b c"] {
            check(Version::HTTP_11, "/x", &[host], Some(Fault::Host));
        }
        for version in [Version::HTTP_10, Version::HTTP_11] {
            check(version, "/x", &["a", "a"], Some(Fault::Hosts));
            check(version, "/x", &["a", "b"], Some(Fault::Hosts));
        }
        check(Version::HTTP_11, "http://gateway/x", &["GATEWAY"], None);
        check(Version::HTTP_11, "http://gateway/x", &["other"], Some(Fault::Host));
    }

    #[test]
    fn a_head_has_so_many_bytes_and_no_more() {
        let request = request(Version::HTTP_11, "/x?y", &["gateway"]);
        let bytes = "GET /x?y HTTP/1.1\r\nhost: gateway\r\n".len();
        assert_eq!(fault(&request, bytes), None);
        assert_eq!(fault(&request, bytes - 1), Some(Fault::Large { bytes, max: bytes - 1 }));
    }
}
