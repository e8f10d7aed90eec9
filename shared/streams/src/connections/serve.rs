//! A gateway's side: questions come, pages go.

use std::collections::HashMap;

use async_nats::HeaderMap;
use async_nats::service::endpoint::Endpoint;
use async_nats::service::error::Error as Complaint;
use async_nats::service::{Request, Service, ServiceExt as _};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{Select, select};
use tidings_model::{Tenant, json, subject};

use super::{NEXT, Operation, Ordinal, SERVICE, Search};

/// A gateway that can be asked.
pub struct ConnectionService {
    service: Service,
    requests: Select<Endpoint, Endpoint>,
}

/// A request for a page.
#[derive(Debug)]
pub struct Question {
    /// What to do.
    pub operation: Operation,
    /// Of whose connections.
    pub tenant: Tenant,
    /// With which.
    pub search: Search,
    request: Request,
}

/// A part of the answer.
#[derive(Debug, Default)]
pub struct Page {
    /// Reports, a line each.
    pub lines: Vec<u8>,
    /// After which ordinal to go on, unless this is the end.
    pub next: Option<Ordinal>,
}

impl ConnectionService {
    /// Lets the gateway of this name be asked. After a loss of the connection to NATS, the client sees to it
    /// that it still can.
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
        let requests = select(endpoint(Operation::List).await?, endpoint(Operation::Close).await?);
        Ok(Self { service, requests })
    }

    /// The next question; what is none is told so and passed over. `None` when the client has ended.
    pub async fn next(&mut self) -> Option<Question> {
        loop {
            let request = self.requests.next().await?;
            match parse(&request) {
                Ok((operation, tenant, search)) => {
                    return Some(Question { operation, tenant, search, request });
                }
                Err(complaint) => respond(&request, Err(complaint), HeaderMap::new()).await,
            }
        }
    }

    /// Answers nobody any more.
    pub async fn stop(self) {
        // Fails if there is nobody left to be told.
        let _ = self.service.stop().await;
    }
}

impl Question {
    /// Answers.
    pub async fn answer(self, page: Page) {
        let mut headers = HeaderMap::new();
        if let Some(next) = page.next {
            headers.insert(NEXT, next.to_string());
        }
        respond(&self.request, Ok(page.lines.into()), headers).await;
    }
}

fn parse(request: &Request) -> Result<(Operation, Tenant, Search), Complaint> {
    let bad = |status: String| Complaint { code: 400, status };
    let mut tokens = request.message.subject.rsplit('.');
    let tenant = Tenant::parse(tokens.next().unwrap_or_default()).map_err(|error| bad(error.to_string()))?;
    let operation = match tokens.next() {
        Some("close") => Operation::Close,
        _ => Operation::List,
    };
    let search = json::read(&request.message.payload);
    let search = search.map_err(|error| bad(format!("the request is no search: {error}")))?;
    Ok((operation, tenant, search))
}

async fn respond(request: &Request, answer: Result<Bytes, Complaint>, headers: HeaderMap) {
    // A request without a subject to answer on was none.
    if let Err(error) = request.respond_with_headers(answer, headers).await {
        tracing::debug!(%error, "a question about connections is not answered");
    }
}

/// A gateway cannot be asked about its connections.
#[derive(Debug, thiserror::Error)]
#[error("the gateway cannot be asked who is connected")]
pub struct ServiceError(#[source] async_nats::Error);
