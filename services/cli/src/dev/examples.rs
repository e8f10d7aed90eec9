//! Serves the pages of `shared/client-ts/examples` at `/examples/`, with what their backends would have: tokens, records,
//! and a way to publish events.
//!
//! Whoever reaches this listener may act as any user. So it is bound to the loopback interface only, answers only requests
//! that name it, which a foreign page cannot make a browser do by a name of its own, and accepts only bodies that a browser
//! sends to another origin after asking first; nobody answers that question.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidings_model::{CloudEvent, EventName, Position, Tenant};
use tidings_net::{Listener, PendingLimits, Server, Settings, TrustedProxies};
use tidings_runtime::config::Config;
use tidings_runtime::shutdown::Shutdown;
use tidings_streams::{EventHistory, Topology, last_event};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::failure::{self, Failure};
use crate::{catalogs, publish, token};

/// Beside the gateway's default port.
const PORT: u16 = 8081;
/// The tenants that have a page.
const PAGES: [&str; 5] = ["cnc", "documents", "ops", "shelter", "uploads"];
/// Short, so that pages show how a token is replaced on the same connection.
const VALID: Duration = Duration::from_secs(600);
/// How many of the newest events of a tenant are looked through for records.
const RECENT: u64 = 1000;
/// How many records are returned.
const MOST: usize = 100;
/// How long NATS may take to return events, and a browser to ask.
const PATIENCE: Duration = Duration::from_secs(10);
/// A few browsers, each with several connections.
const LIMITS: PendingLimits = PendingLimits {
    per_address: const { NonZeroUsize::new(64).unwrap() },
    all: const { NonZeroUsize::new(64).unwrap() },
};

const SHELL: &str = include_str!("../../../../shared/client-ts/examples/index.html");
const STYLE: &str = include_str!("../../../../shared/client-ts/examples/style.css");
/// Built from the sources beside it; `tests/clients` holds that it is what they build.
const SCRIPT: &str = include_str!("../../../../shared/client-ts/examples/built/examples.js");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct Examples {
    config: Config,
    topology: Topology,
    settings: Value,
    /// How requests may name this listener.
    names: [String; 2],
}

/// Serves the pages until shutdown, and returns the line that says where; nothing, if none of their tenants is served.
pub(super) fn start(
    config: &Config,
    topology: &Topology,
    gateway: &str,
    shutdown: &Shutdown,
) -> Result<String, Failure> {
    let served = catalogs::tenants(&config.schemas)?;
    let pages: Vec<_> =
        PAGES.into_iter().filter(|page| served.iter().any(|one| one.as_str() == *page)).collect();
    if pages.is_empty() {
        return Ok(String::new());
    }
    let listener = listen(config.gateway.listen)?;
    let address = listener.address();
    let examples = Arc::new(Examples {
        config: config.clone(),
        topology: topology.clone(),
        settings: json!({ "gateway": format!("{gateway}/api/ws"), "pages": pages }),
        names: ["127.0.0.1", "localhost"].map(|name| format!("{name}:{}", address.port())),
    });
    let (server, stopped) = (Server::new(settings(), None, router(examples)), shutdown.token());
    shutdown.spawn("examples", async move {
        server.run(&listener, LIMITS, &TaskTracker::new(), &stopped).await;
    });
    let mut line = String::new();
    _ = writeln!(line, "  examples   http://{address}/examples/ (open it in a browser)");
    Ok(line)
}

/// At the usual port, or at any if that is taken.
fn listen(gateway: SocketAddr) -> Result<Listener, Failure> {
    let bind = |port| Listener::bind("gateway.listen", (Ipv4Addr::LOCALHOST, port).into());
    let port = if gateway.port() == 0 { 0 } else { PORT };
    Ok(bind(port).or_else(|_taken| bind(0))?)
}

fn settings() -> Settings {
    Settings {
        section: "gateway",
        trusted_proxies: TrustedProxies::new([]),
        proxy_protocol: false,
        handshake_timeout: PATIENCE,
        response_timeout: PATIENCE,
        max_headers: 100,
        max_header_bytes: 16 * 1024,
        error_body: |_| None,
    }
}

fn router(examples: Arc<Examples>) -> Router {
    let file = |content_type, text| get(async move || ([(CONTENT_TYPE, content_type)], text));
    let shell = file("text/html; charset=utf-8", SHELL);
    let mut router = Router::new()
        .route("/", get(Redirect::temporary("/examples/")))
        .route("/examples", get(Redirect::temporary("/examples/")))
        .route("/examples/", shell.clone())
        .route("/examples/style.css", file("text/css; charset=utf-8", STYLE))
        .route("/examples/examples.js", file("text/javascript; charset=utf-8", SCRIPT))
        .route("/examples/settings", get(async |State(examples): Shared| Json(examples.settings.clone())))
        .route("/examples/token", post(sign))
        .route("/examples/events/{tenant}/{event}", post(store))
        .route("/examples/records/{tenant}/{entity}", get(records));
    for page in PAGES {
        router = router.route(&format!("/examples/{page}/"), shell.clone());
    }
    let nothing = async || (StatusCode::NOT_FOUND, "there is nothing here; see /examples/\n");
    router.fallback(nothing).layer(from_fn_with_state(Arc::clone(&examples), check)).with_state(examples)
}

type Shared = State<Arc<Examples>>;

/// Refuses requests that do not name this listener, and forbids pages whatever they do not need.
async fn check(State(examples): Shared, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if !examples.names.iter().any(|name| host == Some(name)) {
        let text = format!("open http://{}/examples/\n", examples.names[0]);
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    let mut response = next.run(request).await;
    let headers =
        [(CONTENT_SECURITY_POLICY, POLICY), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "no-store")];
    response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

/// Why a request failed.
struct Refused(StatusCode, Failure);

impl Refused {
    fn request(error: impl Into<Failure>) -> Self {
        Self(StatusCode::BAD_REQUEST, error.into())
    }

    fn now(error: impl Into<Failure>) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, failure::line(&*self.1) + "\n").into_response()
    }
}

#[derive(Deserialize)]
struct TokenRequest {
    tenant: String,
    claims: Map<String, Value>,
}

/// What an application's backend does for a user who has logged in.
async fn sign(State(examples): Shared, Json(asked): Json<TokenRequest>) -> Result<String, Refused> {
    let tenant = Tenant::parse(&asked.tenant).map_err(Refused::request)?;
    let signed = token::sign(&examples.config.access, &tenant, asked.claims, VALID);
    Ok(signed.map_err(Refused::now)?.expose().to_owned())
}

/// Publishes an event as a microservice would, unless the projector would reject it.
async fn store(
    State(examples): Shared,
    Path((tenant, event)): Path<(String, String)>,
    Json(data): Json<Value>,
) -> Result<Json<Value>, Refused> {
    let tenant = Tenant::parse(&tenant).map_err(Refused::request)?;
    let wrong = || format!("{event:?} is not of the form entity.action, such as incident.created");
    let name = EventName::parse(&event).ok_or_else(|| Refused::request(wrong()))?;
    let (id, now) = (Uuid::now_v7().to_string(), OffsetDateTime::now_utc());
    let time = now.format(&Rfc3339).map_err(Refused::now)?;
    let event = CloudEvent {
        id: &id,
        source: "/examples",
        name: &name,
        time: &time,
        subject: None,
        deliver_at: None,
        data,
    }
    .into_json();
    let checked = publish::check(&examples.config, &examples.topology, &tenant, &name, &event).await;
    checked.map_err(Refused::request)?;
    let (subject, message_id) = (name.subject(&tenant), format!("{}/{id}", name.subject(&tenant)));
    let stored = examples.topology.publish_event(&subject, &message_id, event.into()).await;
    Ok(Json(json!({ "id": id, "sequence": stored.map_err(Refused::now)? })))
}

/// The newest events about an entity, newest first: what the REST API of a system would know.
async fn records(
    State(examples): Shared,
    Path((tenant, entity)): Path<(String, String)>,
) -> Result<Json<Vec<Value>>, Refused> {
    let tenant = Tenant::parse(&tenant).map_err(Refused::request)?;
    let Some(last) = last_event(&examples.topology, &tenant).await.map_err(Refused::now)? else {
        return Ok(Json(Vec::new()));
    };
    let reading = timeout(PATIENCE, read(&examples.topology, &tenant, &entity, last)).await;
    Ok(Json(reading.map_err(Refused::now)?.map_err(Refused::now)?))
}

async fn read(
    topology: &Topology,
    tenant: &Tenant,
    entity: &str,
    last: Position,
) -> Result<Vec<Value>, Failure> {
    let after = Position { sequence: last.sequence.saturating_sub(RECENT), ..last };
    let mut history = EventHistory::open(topology, tenant, Some(after), None).await?;
    let mut found = VecDeque::new();
    loop {
        history.ready().await;
        while let Some(raw) = history.take() {
            // What cannot be read is among the rejected events.
            if let Some(event) = raw.read().ok().filter(|event| event.name.entity == entity) {
                found.truncate(MOST - 1);
                let (action, time) = (event.name.action, event.time);
                found.push_front(json!({ "action": action, "time": time, "data": event.data }));
            }
            if raw.position.sequence >= last.sequence {
                return Ok(found.into());
            }
        }
    }
}
