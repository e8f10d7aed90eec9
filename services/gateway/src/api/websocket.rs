//! What is answered over HTTP: health, and the WebSocket endpoint up to the moment of the upgrade.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hyper::upgrade::OnUpgrade;
use tidings_protocol::server::GapReason;
use tidings_streams::consumers::{ConsumerName, ConsumerStoreError, StoredConsumer};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::api::respond::{self as answers, deny, refuse, unavailable};
use crate::api::{admin, request};
use crate::audit::Refused;
use crate::auth::authenticate::{self as handshake, Admission};
use crate::context::Shared;
use crate::net::serve::Peer;
use crate::replica::resume::{Standing, StandingError, find, stand};
use crate::session::Passport;
use crate::shards::Lanes;
use crate::worker::{Detached, Newcomer, ShardHandle};

/// What the answers need.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stage: watch::Receiver<Stage>,
    pub(crate) upgrades: TaskTracker,
}

/// What a gateway is at.
#[derive(Clone)]
pub(crate) enum Stage {
    /// It learns what lies where; whoever comes waits.
    Starting,
    /// It serves.
    Open(watch::Receiver<Arc<Lanes>>),
    /// It is about to end: whoever is connected is moved elsewhere, and whoever comes is sent there.
    Draining,
}

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
        router = router.route("/api/ws", get(connect)).route("/api/ws/", get(connect));
    }
    if routes != Routes::Clients {
        router = router.nest_service("/api/v1", admin::router(Arc::clone(&endpoint.shared)));
    }
    let check = middleware::from_fn_with_state(Arc::clone(&endpoint.shared), request::check);
    let nothing = move || async move { nothing_here(routes) };
    router
        .fallback(nothing)
        .method_not_allowed_fallback(answers::method_not_allowed)
        .layer(check)
        .with_state(endpoint)
}

fn nothing_here(routes: Routes) -> Response {
    let text = match routes {
        Routes::Clients => {
            "there is nothing here; WebSockets connect to /api/ws, and `gateway.admin_listen` says where administrators do"
        }
        Routes::Admin => "there is nothing here; the admin interface is below /api/v1",
        Routes::All => "there is nothing here; WebSockets connect to /api/ws, administrators to /api/v1",
    };
    refuse(StatusCode::NOT_FOUND, "NOT_FOUND", text)
}

/// Whether new connections are welcome.
async fn ready(State(endpoint): State<Endpoint>) -> Response {
    let stage = endpoint.stage.borrow().clone();
    match stage {
        Stage::Open(_) => match endpoint.shared.readiness.trouble() {
            None => "ready\n".into_response(),
            Some(trouble) => trouble.response(),
        },
        Stage::Starting => match endpoint.shared.readiness.trouble() {
            None => unavailable("STARTING", "the gateway is learning what lies where"),
            Some(trouble) => trouble.response(),
        },
        Stage::Draining => unavailable("DRAINING", "the gateway is shutting down"),
    }
}

/// Whoever comes is not kept waiting for something that is not there.
async fn connect(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let shared = Arc::clone(&endpoint.shared);
    tokio::select! {
        biased;
        trouble = shared.readiness.lost() => trouble.response(),
        response = admit(endpoint, request) => response,
    }
}

async fn admit(endpoint: Endpoint, mut request: Request) -> Response {
    let Endpoint { shared, stage, upgrades } = endpoint;
    let deadline = Instant::now() + shared.settings.handshake_timeout;
    let lanes = match when_open(stage, deadline).await {
        Ok(lanes) => lanes,
        Err(response) => return response,
    };
    if is_full(&shared, &lanes.borrow()) {
        let text = "the gateway has as many connections as it may; try another one, or later";
        return unavailable("TOO_MANY_CONNECTIONS", text);
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, _) = request.into_parts();
    let from = Peer::of(&head.extensions);
    let admission = match handshake::admit(&shared, &head).await {
        Ok(admission) => admission,
        Err(denied) => {
            shared.audit.refused(&denied.at("handshake", from));
            return deny(&denied);
        }
    };
    let passport = &admission.passport;
    let tenant = passport.tenant();
    let (open, view) = match timeout_at(deadline, find(&lanes, tenant)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return without_position(&error),
        Err(_elapsed) => return moving(),
    };
    let first = || shared.first_position(tenant, &open.lane, view);
    let stored = shared.positions.arrive(passport, first).await;
    let mut stored = match stored {
        Ok(stored) => stored,
        Err(error) => return without_consumer(&shared, passport, from, &error),
    };
    let presence = Presence { shared: Arc::clone(&shared), consumer: Some(passport.consumer.clone()) };
    let position = admission.since.unwrap_or(stored.state.position);
    let (open, standing) = match timeout_at(deadline, stand(&lanes, tenant, position)).await {
        Ok(Ok(standing)) => standing,
        Ok(Err(error)) => return without_position(&error),
        Err(_elapsed) => return moving(),
    };
    let is_ahead = standing.gap.is_some_and(|gap| gap.reason == GapReason::Future);
    if is_ahead && admission.since.is_none() {
        // The stream came back with less than it had. What is stored in its place would otherwise be taken for received.
        let rewound = shared.positions.rewind_to(&passport.consumer, standing.after.sequence).await;
        if let Err(error) = rewound {
            return without_consumer(&shared, passport, from, &error);
        }
    }
    if stored.state.position.epoch != standing.after.epoch {
        // Whatever comes in another life of the stream comes after every subscription.
        stored.state.subscriptions.iter_mut().for_each(|(_, subscription)| subscription.since = 0);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().clone_from(&admission.headers);
    let arrival = Arrival { admission, standing, stored, from };
    upgrades.spawn(async move {
        if hand_over(upgrade, arrival, &open.shards).await {
            presence.pass_on();
        }
    });
    response
}

/// Whoever comes while the gateway is starting waits, but not for ever.
async fn when_open(
    mut stage: watch::Receiver<Stage>,
    deadline: Instant,
) -> Result<watch::Receiver<Arc<Lanes>>, Response> {
    let decided = stage.wait_for(|stage| !matches!(stage, Stage::Starting));
    let stage = match timeout_at(deadline, decided).await {
        Ok(Ok(stage)) => stage.clone(),
        Ok(Err(_)) => Stage::Draining,
        Err(_) => Stage::Starting,
    };
    match stage {
        Stage::Open(lanes) => Ok(lanes),
        Stage::Starting => Err(unavailable("STARTING", "the gateway is not ready yet; try again")),
        Stage::Draining => Err(unavailable("DRAINING", "the gateway is shutting down; connect again")),
    }
}

fn without_position(error: &StandingError) -> Response {
    if let StandingError::Lost = error {
        // That the record cannot be read was logged when it was read.
        return unavailable("PLACEMENT_UNREADABLE", &error.to_string());
    }
    tracing::warn!(error = error as &dyn std::error::Error, "a client cannot be served now");
    unavailable("NO_POSITION", "your position cannot be checked now; try again")
}

fn moving() -> Response {
    unavailable("MOVING", "the messages of your tenant are just being moved; try again")
}

/// A client that is coming in.
struct Arrival {
    admission: Admission,
    standing: Standing,
    stored: StoredConsumer,
    from: IpAddr,
}

/// A consumer that has arrived and leaves again, unless a shard takes care of that from now on: a client can go away at
/// any moment of its handshake.
struct Presence {
    shared: Arc<Shared>,
    consumer: Option<ConsumerName>,
}

impl Presence {
    fn pass_on(mut self) {
        self.consumer = None;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(consumer) = &self.consumer {
            self.shared.positions.leave(consumer, None);
        }
    }
}

fn without_consumer(
    shared: &Shared,
    passport: &Passport,
    from: IpAddr,
    error: &ConsumerStoreError,
) -> Response {
    if let ConsumerStoreError::TooManyDevices { .. } = error {
        let (status, code) = (StatusCode::FORBIDDEN, "TOO_MANY_DEVICES");
        let who = passport.user();
        shared.audit.refused(&Refused {
            what: "handshake",
            status,
            code,
            why: error,
            who: who.as_ref(),
            from,
        });
        return refuse(status, code, &error.to_string());
    }
    if let ConsumerStoreError::Damaged { .. } = error {
        let text =
            "what is stored about this device cannot be read; ask those who look after the application";
        return unavailable("CONSUMER_UNREADABLE", text);
    }
    tracing::warn!(error = error as &dyn std::error::Error, "a client cannot be served now");
    unavailable("NO_POSITION", "your position cannot be read now; try again")
}

fn is_full(shared: &Shared, lanes: &Lanes) -> bool {
    shared.settings.max_connections.is_some_and(|max| lanes.connections() >= max.get())
}

/// Takes the raw socket from hyper and gives it to the shard with the fewest connections.
///
/// Off this runtime and onto the shard's: the shard's own thread does all the work from here on. `false` if
/// the client did not get there.
async fn hand_over(upgrade: OnUpgrade, arrival: Arrival, shards: &[ShardHandle]) -> bool {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "a client left during its handshake");
            return false;
        }
    };
    let (socket, early_bytes) = match Detached::from_upgraded(upgraded) {
        Ok(detached) => detached,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot take over a client's socket");
            return false;
        }
    };
    let Arrival { admission, standing, stored, from } = arrival;
    let Admission { passport, seat, form, deflate, .. } = admission;
    let subscriptions = stored.state.subscriptions;
    let newcomer =
        Newcomer { socket, early_bytes, from, form, deflate, passport, seat, standing, subscriptions };
    match shards.iter().min_by_key(|shard| shard.connections()) {
        Some(shard) => shard.adopt(newcomer).await,
        None => false,
    }
}
