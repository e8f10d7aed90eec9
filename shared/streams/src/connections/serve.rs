//! The gateway's side: receives requests and answers with pages.

use std::collections::HashMap;

use async_nats::HeaderMap;
use async_nats::service::endpoint::Endpoint;
use async_nats::service::error::Error as RequestError;
use async_nats::service::{Request, Service, ServiceExt as _};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{Select, select};
use tidings_model::{Tenant, json, subject};

use super::{NEXT, Operation, Ordinal, SERVICE, Search};

/// The service with which a gateway answers requests for its connections.
pub struct ConnectionService {
    service: Service,
    requests: Select<Select<Endpoint, Endpoint>, Select<Endpoint, Endpoint>>,
}

/// A request for a page.
#[derive(Debug)]
pub struct Question {
    /// The requested operation.
    pub operation: Operation,
    /// The tenant of the connections.
    pub tenant: Tenant,
    /// The selection of connections.
    pub search: Search,
    request: Request,
}

/// One page of the answer.
#[derive(Debug, Default)]
pub struct Page {
    /// The reports, one per line.
    pub lines: Vec<u8>,
    /// The ordinal after which the next page begins; `None` on the last page.
    pub next: Option<Ordinal>,
}

impl ConnectionService {
    /// Starts the service for the gateway of this name. The client restores its subscriptions after a reconnect.
    pub async fn start(client: &async_nats::Client, gateway: &str) -> Result<Self, ServiceError> {
        let metadata = HashMap::from([("gateway".to_owned(), gateway.to_owned())]);
        let service = client
            .service_builder()
            .description("Tidings: who is connected")
            .metadata(metadata)
            // Instances do not share their work, as each has its own subjects.
            .queue_group(subject::encode(gateway))
            .start(SERVICE, env!("CARGO_PKG_VERSION"))
            .await
            .map_err(ServiceError)?;
        let endpoint = async |operation: Operation| {
            let builder = service.endpoint_builder().name(operation.as_str());
            builder.add(operation.subject(gateway, "*")).await.map_err(ServiceError)
        };
        let shown = select(endpoint(Operation::List).await?, endpoint(Operation::Close).await?);
        let done = select(endpoint(Operation::Save).await?, endpoint(Operation::Receive).await?);
        let requests = select(shown, done);
        Ok(Self { service, requests })
    }

    /// Returns the next request; answers malformed ones with an error. `None` when the client has ended.
    pub async fn next(&mut self) -> Option<Question> {
        loop {
            let request = self.requests.next().await?;
            match parse(&request) {
                Ok((operation, tenant, search)) => {
                    return Some(Question { operation, tenant, search, request });
                }
                Err(error) => respond(&request, Err(error), HeaderMap::new()).await,
            }
        }
    }

    /// Stops answering.
    pub async fn stop(self) {
        // Fails if the client has already ended.
        let _ = self.service.stop().await;
    }
}

impl Question {
    /// Sends the answer.
    pub async fn answer(self, page: Page) {
        let mut headers = HeaderMap::new();
        if let Some(next) = page.next {
            headers.insert(NEXT, next.to_string());
        }
        respond(&self.request, Ok(page.lines.into()), headers).await;
    }

    /// Sends the reason why there is no answer.
    pub async fn refuse(self, reason: String) {
        let error = RequestError { code: 503, status: reason };
        respond(&self.request, Err(error), HeaderMap::new()).await;
    }
}

fn parse(request: &Request) -> Result<(Operation, Tenant, Search), RequestError> {
    let bad = |status: String| RequestError { code: 400, status };
    let mut tokens = request.message.subject.rsplit('.');
    let tenant = Tenant::parse(tokens.next().unwrap_or_default()).map_err(|error| bad(error.to_string()))?;
    let operation = match tokens.next() {
        Some("close") => Operation::Close,
        Some("save") => Operation::Save,
        Some("receive") => Operation::Receive,
        _ => Operation::List,
    };
    let search = json::read(&request.message.payload);
    let search = search.map_err(|error| bad(format!("the request is not a search: {error}")))?;
    Ok((operation, tenant, search))
}

async fn respond(request: &Request, answer: Result<Bytes, RequestError>, headers: HeaderMap) {
    // The request has no reply subject.
    if let Err(error) = request.respond_with_headers(answer, headers).await {
        tracing::debug!(%error, "cannot answer a request for connections");
    }
}

/// The service cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the service that lists connections")]
pub struct ServiceError(#[source] async_nats::Error);
