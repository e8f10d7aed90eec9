//! The WebSocket endpoint: from a request to a connection with a worker.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use tidings_catalog::{Catalog, StartPolicy};
use tidings_model::headers::TRACE_PARENT;
use tidings_model::{PlacedPosition, Position, ShardNumber, Tenant};
use tidings_net::{ClientIp, Takeover};
use tidings_protocol::server::{Form, GapReason};
use tidings_replica::{Replica, ResumeError, ResumePoint};
use tidings_session::{Principal, initial_subscriptions};
use tidings_streams::consumers::{
    ConsumerName, ConsumerState, ConsumerStoreError, StoredConsumer, Subscriptions,
};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::Endpoint;
use super::handshake::{Handshake, Since, Visit, device_of, read_query};
use crate::consumers::PlaceId;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};
use crate::limits::MessageBudget;
use crate::shards::{Shards, find_shard, resume};
use crate::worker::{ClientSocket, HttpAnswer, NewConnection, Workers};

/// By how much what a device has received may have been stored later than the device was last seen: times are kept to the
/// minute, clocks differ, and positions are saved a second late.
const LATE: Duration = Duration::from_secs(120);

/// In place of the device of a client that names none and only looks: no device has a name like this.
const VISITOR: &str = "\0";

/// Serves the endpoint. A client is not kept waiting while the gateway cannot serve it.
pub(super) async fn connect(State(endpoint): State<Endpoint>, mut request: Request) -> Response {
    let context = Arc::clone(&endpoint.context);
    let from = ClientIp::of(request.extensions());
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, _) = request.into_parts();
    let admitted = tokio::select! {
        biased;
        error = context.readiness.lost() => Err(error),
        admitted = admit(&endpoint, &head, upgrade.clone(), from) => {
            admitted.inspect_err(|error| context.audit.refused("handshake", error, from))
        },
    };
    context.handshakes.increment(admitted.as_ref().err().map_or(0, |error| 1 + error.code() as usize));
    admitted.unwrap_or_else(|error| {
        let closed = endpoint.refuse_by_close(&head, upgrade, &error);
        closed.unwrap_or_else(|| error.into_response())
    })
}

async fn admit(
    endpoint: &Endpoint,
    head: &Parts,
    upgrade: OnUpgrade,
    from: IpAddr,
) -> Result<Response, ApiError> {
    let deadline = Instant::now() + endpoint.context.settings.handshake_timeout;
    let (shards, workers) = endpoint.when_open(deadline).await?;
    let Endpoint { context, upgrades, .. } = endpoint.clone();
    context.limits.check_room(workers.connections())?;
    let admission = Admission::of_websocket(&context, head).await?;
    let asks = admission.asks();
    let (presence, arrival) = arrive(&context, &shards, asks, deadline).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().clone_from(&admission.headers);
    let client = async move {
        let upgraded = upgrade.await.inspect_err(|error| {
            tracing::debug!(%error, "a client left during its handshake");
        });
        Some(ClientSocket::WebSocket(upgraded.ok()?))
    };
    upgrades.spawn(Newcomer { admission, arrival, presence, from }.hand_over(client, workers));
    Ok(response)
}

/// Has a request answered over HTTP, as a connection that asks for this and has sent these frames. The client's socket is taken from HTTP.
pub(super) async fn admit_over_http(
    endpoint: &Endpoint,
    head: &Parts,
    (ask, visit): (impl FnOnce() -> Result<(Option<String>, Option<Since>), ApiError>, Visit),
    (answer, sent): (HttpAnswer, Bytes),
) -> Result<(), ApiError> {
    let from = ClientIp::of(&head.extensions);
    let deadline = Instant::now() + endpoint.context.settings.handshake_timeout;
    let (shards, workers) = endpoint.when_open(deadline).await?;
    let context = &endpoint.context;
    context.limits.check_room(workers.connections())?;
    let negotiated = (Form::Sequenced, false, HeaderMap::new());
    let admission = Admission::of(context, head, negotiated, visit, ask).await?;
    let asks = admission.asks();
    let (presence, arrival) = arrive(context, &shards, asks, deadline).await?;
    let text = "the socket of the request cannot be taken over";
    let takeover = head.extensions.get::<Takeover>();
    let taken = takeover.ok_or_else(|| ApiError::new(ApiCode::Internal, text))?.take();
    let client = async move { Some(ClientSocket::Http(taken.await.ok()?, answer, sent)) };
    endpoint.upgrades.spawn(Newcomer { admission, arrival, presence, from }.hand_over(client, workers));
    Ok(())
}

/// A request that becomes a connection.
struct Admission {
    principal: Principal,
    /// Counts the connection from here on.
    budget: MessageBudget,
    form: Form,
    /// Whether permessage-deflate was negotiated.
    is_compressed: bool,
    visit: Visit,
    /// Whether it shares its device with others that name none.
    shares_device: bool,
    /// Where the client wants delivery to begin.
    since: Option<Since>,
    /// The trace that the request belongs to.
    trace: Option<Box<str>>,
    /// The headers of the answer, 101 Switching Protocols.
    headers: HeaderMap,
}

impl Admission {
    /// Decides about a request. Does I/O only for the key of a token that is signed with a new one.
    async fn of_websocket(context: &Context, request: &Parts) -> Result<Self, ApiError> {
        let takes_tokens = context.authenticator.takes_subprotocols();
        let negotiated = Handshake::read(request)?.answer(takes_tokens, context.settings.compression);
        Self::of(context, request, negotiated, Visit::Stay, || read_query(request.uri.query())).await
    }

    async fn of(
        context: &Context,
        request: &Parts,
        (form, is_compressed, headers): (Form, bool, HeaderMap),
        visit: Visit,
        ask: impl FnOnce() -> Result<(Option<String>, Option<Since>), ApiError>,
    ) -> Result<Self, ApiError> {
        let token = match visit {
            Visit::Stay => context.authenticator.client_token(request)?,
            Visit::Page | Visit::Look => context.authenticator.message_token(request)?,
        };
        let (device, since) = ask()?;
        let claims = context.authenticator.verify(&token).await?;
        let shares_device = device.is_none();
        let device = match visit {
            Visit::Look => Cow::Borrowed(VISITOR),
            _ => device.map_or_else(|| device_of(&claims, &context.settings.device_claims), Cow::Owned),
        };
        let principal = context.authenticator.principal(&claims, &device)?;
        let (tenant, user) = (principal.tenant(), principal.consumer.user());
        let budget = match visit {
            Visit::Stay => context.limits.admit(tenant, user, &context.settings)?,
            Visit::Page | Visit::Look => context.limits.admit_page(tenant, user, &context.settings)?,
        };
        context.claimed_contacts.note(&claims);
        let trace = trace_of(&request.headers);
        Ok(Self { principal, budget, form, is_compressed, visit, shares_device, since, trace, headers })
    }

    /// What decides where the connection begins.
    fn asks(&self) -> (&Principal, Visit, bool, Option<Since>) {
        (&self.principal, self.visit, self.shares_device, self.since)
    }
}

/// The trace id of a request (W3C Trace Context), if a proxy or the client has given it one.
fn trace_of(headers: &HeaderMap) -> Option<Box<str>> {
    let parent = headers.get(TRACE_PARENT)?.to_str().ok()?;
    let id = parent.split('-').nth(1)?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then(|| id.into())
}

/// Where a client's connection begins.
struct Arrival {
    /// The gateway that is stored to have the device.
    holder: Option<String>,
    shard: ShardNumber,
    resume: ResumePoint,
    subscriptions: Subscriptions,
}

/// Loads the client's consumer and finds where it resumes. Waits while the tenant is being moved.
async fn arrive(
    context: &Arc<Context>,
    shards: &watch::Receiver<Arc<Shards>>,
    (principal, visit, shares_device, since): (&Principal, Visit, bool, Option<Since>),
    deadline: Instant,
) -> Result<(Presence, Arrival), ApiError> {
    let tenant = principal.tenant();
    let (_, replica) = located(timeout_at(deadline, find_shard(shards, tenant)).await)?;
    let without = |error| without_consumer(principal, &error);
    let first = || first_position(context, principal, &replica);
    let catalogs = Arc::clone(&context.catalogs.borrow());
    let initial = |stored: Option<&Subscriptions>, since| {
        initial_subscriptions(catalogs.get(tenant), &principal.grants, stored, since)
    };
    let (state, consumer, place) = if visit == Visit::Look {
        (context.consumers.visit(first, initial), None, None)
    } else {
        let arrived = context.consumers.arrive(principal, shares_device, first, initial).await;
        let (StoredConsumer { state, .. }, place) = arrived.map_err(without)?;
        (state, Some(principal.consumer.clone()), place)
    };
    let presence = Presence { context: Arc::clone(context), consumer, place };
    let position = match since {
        None => state.position,
        Some(Since::Position(position)) => position,
        Some(Since::New) => replica.first_position(tenant, StartPolicy::New, context.clock.now()).position,
        Some(Since::Beginning) => {
            replica.first_position(tenant, StartPolicy::All, context.clock.now()).position
        }
    };
    let (shard, replica, resume) = located(timeout_at(deadline, resume(shards, tenant, position)).await)?;
    let from_lost_state = resume_from_lost_state(&replica, tenant, &state, position);
    let is_ahead = resume.gap.is_some_and(|gap| gap.reason == GapReason::Future);
    let must_rewind = from_lost_state.is_some() || (is_ahead && since.is_none());
    let resume = from_lost_state.unwrap_or(resume);
    // A stream that was recreated since is looked at when the connection begins.
    if let Some(after) = replica.placed(resume.after)
        && (must_rewind || after.is_in_older_place_than(state.placed()))
    {
        // A stream or the bucket of placements was restored from an older state. Otherwise what is stored there next would
        // count as received, or what is acknowledged there as older than what is stored of the device.
        context.consumers.rewind_to(&principal.consumer, after).await.map_err(without)?;
    }
    let holder = state.connected;
    let mut subscriptions = state.subscriptions;
    // A stream that was restored from a backup has the sequences that it had.
    let is_restored = resume.gap.is_none()
        && replica.placed(resume.after).is_some_and(|after| after.generation == state.generation);
    if state.position.epoch != resume.after.epoch && !is_restored {
        // All that comes in another life of the stream counts as newer than every subscription.
        subscriptions.iter_mut().for_each(|(_, subscription)| subscription.since = 0);
    }
    Ok((presence, Arrival { holder, shard, resume, subscriptions }))
}

/// Where a device resumes whose position is of a state of the stream that is lost. A position that an operator has set may
/// be any.
fn resume_from_lost_state(
    replica: &Replica,
    tenant: &Tenant,
    state: &ConsumerState,
    position: Position,
) -> Option<ResumePoint> {
    let last_seen = i64::try_from(state.last_seen).ok().filter(|_| state.resets == 0)?;
    let last_seen = OffsetDateTime::from_unix_timestamp(last_seen).ok()?;
    let resume = replica.resume_from_lost_state(tenant, position, (last_seen, last_seen + LATE))?;
    tracing::warn!(%position, after = %resume.after, "a position is of a state of the stream that is lost");
    Some(resume)
}

/// Where a consumer begins that has never been here.
fn first_position(context: &Context, principal: &Principal, replica: &Replica) -> PlacedPosition {
    let catalogs = context.catalogs.borrow();
    let policy = catalogs.get(principal.tenant()).map_or(StartPolicy::New, Catalog::start_policy);
    replica.first_position(principal.tenant(), policy, context.clock.now())
}

/// What was found before the deadline.
fn located<T>(found: Result<Result<T, ResumeError>, Elapsed>) -> Result<T, ApiError> {
    let text = "the messages of your tenant are just being moved; try again";
    let found = found.map_err(|_elapsed| ApiError::new(ApiCode::Moving, text))?;
    found.map_err(|error| without_position(&error))
}

fn without_position(error: &ResumeError) -> ApiError {
    if let ResumeError::Lost = error {
        // That the record cannot be read was logged when it was read.
        return ApiError::new(ApiCode::PlacementUnreadable, error.to_string());
    }
    tracing::warn!(error = error as &dyn std::error::Error, "a client cannot be served now");
    ApiError::new(ApiCode::NoPosition, "your position cannot be checked now; try again")
}

fn without_consumer(principal: &Principal, error: &ConsumerStoreError) -> ApiError {
    if let ConsumerStoreError::TooManyDevices { .. } = error {
        return ApiError::new(ApiCode::TooManyDevices, error.to_string()).of_user(principal.user());
    }
    if let ConsumerStoreError::Damaged { .. } = error {
        let text = "what is stored about this device cannot be read; ask the operators of the application";
        return ApiError::new(ApiCode::ConsumerUnreadable, text);
    }
    tracing::warn!(error = error as &dyn std::error::Error, "a client cannot be served now");
    ApiError::new(ApiCode::NoPosition, "your position cannot be read now; try again")
}

/// A consumer that has arrived and leaves again, unless a worker takes care of that from now on: a client can go away at
/// any moment of its handshake.
struct Presence {
    context: Arc<Context>,
    consumer: Option<ConsumerName>,
    place: Option<PlaceId>,
}

impl Presence {
    fn pass_on(mut self) {
        self.consumer = None;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(consumer) = &self.consumer {
            self.context.consumers.give_up((consumer, self.place));
        }
    }
}

/// A client that is served as soon as its socket has come.
struct Newcomer {
    admission: Admission,
    arrival: Arrival,
    presence: Presence,
    from: IpAddr,
}

impl Newcomer {
    /// Gives the client to a worker, whose own thread does all the work from here on.
    async fn hand_over(self, client: impl Future<Output = Option<ClientSocket>>, workers: Workers) {
        let Self { admission: Admission { principal, budget, form, is_compressed, trace, .. }, .. } = self;
        let Self { arrival, presence, from, .. } = self;
        let consumer = principal.consumer.clone();
        // While the client receives the answer. Nothing is delivered before.
        let taken_over =
            presence.context.consumers.take_over((&consumer, presence.place), arrival.holder.as_deref());
        let (client, ()) = tokio::join!(client, taken_over);
        let Some(client) = client else { return };
        let new = NewConnection::new(
            (client, from, trace),
            (form, is_compressed),
            (principal, budget),
            (arrival.shard, arrival.resume),
            (arrival.subscriptions, presence.place),
        );
        match new {
            Ok(new) => {
                if workers.register(new).await {
                    presence.pass_on();
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot take over a client's socket"
                );
            }
        }
    }
}
