//! The client of the service: asks all gateways, one page of each at a time.

use std::collections::HashSet;
use std::time::Duration;

use async_nats::service::{NATS_SERVICE_ERROR, PingResponse};
use async_nats::{Client, Message, RequestError, RequestErrorKind, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::future;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use tidings_model::{Tenant, json};
use tokio::time::Instant;

use super::{ANSWERS, ConnectionName, ConnectionReport, NEXT, Operation, Ordinal, SERVICE, Search};

/// How long to wait for gateways to report their names.
const ROLL_CALL: Duration = Duration::from_secs(1);
/// How long a gateway may take to answer with a page.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many gateways are asked at once.
const AT_ONCE: usize = 8;

/// Connections as they arrive. An error concerns one gateway; others follow.
pub type ConnectionList = BoxStream<'static, Result<ConnectionReport, AskError>>;

/// Asks every gateway for a tenant's connections, or those of one user. Takes at least a second, since the number of
/// gateways is unknown: only those that report their names in time are asked.
#[must_use]
pub fn ask(client: &Client, operation: Operation, tenant: &Tenant, search: Search) -> ConnectionList {
    let (client, tenant) = (client.clone(), tenant.clone());
    let answers = RollCall::of(client.clone()).flat_map_unordered(AT_ONCE, move |called| match called {
        Ok(gateway) => Asking::new(&client, operation, &tenant, gateway, search.clone()).answers().boxed(),
        Err(error) => stream::iter([Err(error)]).boxed(),
    });
    answers.boxed()
}

/// Asks the gateway of this connection for it alone. A gateway that does not run has no connections.
#[must_use]
pub fn ask_about(
    client: &Client,
    operation: Operation,
    tenant: &Tenant,
    connection: ConnectionName,
    by: String,
) -> ConnectionList {
    let ConnectionName { gateway, ordinal } = connection;
    let search = Search { ordinal: Some(ordinal), by, ..Search::default() };
    let answers = Asking::new(client, operation, tenant, gateway, search).answers();
    answers
        .take_while(|answer| future::ready(!matches!(answer, Err(error) if error.says_nobody_listens())))
        .boxed()
}

/// Collects the names of all gateways.
enum RollCall {
    Before(Client),
    Listening { answers: Subscriber, until: Instant, names: HashSet<String> },
    Over,
}

impl RollCall {
    /// Returns the names of all gateways as they arrive; an error if there are none.
    fn of(client: Client) -> impl Stream<Item = Result<String, AskError>> + Send {
        let names = stream::unfold(Self::Before(client), |mut call| async move {
            let name = call.next().await?;
            Some((name, call))
        });
        names.boxed()
    }

    async fn next(&mut self) -> Option<Result<String, AskError>> {
        if let Self::Before(client) = self {
            let begun = Self::begin(client).await;
            match begun {
                Ok(begun) => *self = begun,
                Err(source) => {
                    *self = Self::Over;
                    return Some(Err(AskError::RollCall { source }));
                }
            }
        }
        let Self::Listening { answers, until, names } = self else { return None };
        while let Ok(Some(answer)) = tokio::time::timeout_at(*until, answers.next()).await {
            if answer.status == Some(StatusCode::NO_RESPONDERS) {
                break;
            }
            let ping = json::read::<PingResponse>(&answer.payload).ok();
            let name = ping.and_then(|ping| ping.metadata.get("gateway").cloned());
            if let Some(name) = name.filter(|name| names.insert(name.clone())) {
                return Some(Ok(name));
            }
        }
        let nobody = names.is_empty();
        *self = Self::Over;
        nobody.then_some(Err(AskError::Nobody))
    }

    async fn begin(client: &Client) -> Result<Self, async_nats::Error> {
        let inbox = inbox(client);
        let answers = client.subscribe(inbox.clone()).await?;
        client.publish_with_reply(format!("$SRV.PING.{SERVICE}"), inbox, Bytes::new()).await?;
        Ok(Self::Listening { answers, until: Instant::now() + ROLL_CALL, names: HashSet::new() })
    }
}

/// The remaining requests to one gateway.
struct Asking {
    client: Client,
    gateway: String,
    subject: String,
    search: Search,
    step: Step,
}

enum Step {
    Page,
    /// Reports of the page that are not returned yet, in reverse order, and where the next page begins.
    Reports(Vec<ConnectionReport>, Option<Ordinal>),
    Over,
}

impl Asking {
    fn new(client: &Client, operation: Operation, tenant: &Tenant, gateway: String, search: Search) -> Self {
        let subject = operation.subject(&gateway, tenant.as_str());
        Self { client: client.clone(), gateway, subject, search, step: Step::Page }
    }

    fn answers(self) -> impl Stream<Item = Result<ConnectionReport, AskError>> + Send {
        stream::unfold(self, |mut asking| async move {
            let answer = asking.next().await?;
            Some((answer, asking))
        })
    }

    async fn next(&mut self) -> Option<Result<ConnectionReport, AskError>> {
        loop {
            match &mut self.step {
                Step::Over => return None,
                Step::Reports(reports, next) => match (reports.pop(), *next) {
                    (Some(report), _) => return Some(Ok(report)),
                    (None, None) => self.step = Step::Over,
                    (None, Some(next)) => {
                        self.search.after = next;
                        self.step = Step::Page;
                    }
                },
                Step::Page => match self.page().await {
                    Ok((reports, next)) => self.step = Step::Reports(reports, next),
                    Err(error) => {
                        self.step = Step::Over;
                        return Some(Err(error));
                    }
                },
            }
        }
    }

    async fn page(&self) -> Result<(Vec<ConnectionReport>, Option<Ordinal>), AskError> {
        let search = serde_json::json!(self.search).to_string();
        let request = async_nats::Request::new().payload(search.into()).timeout(Some(PATIENCE));
        let request = request.inbox(inbox(&self.client));
        let silent = |source| AskError::Silent { gateway: self.gateway.clone(), source };
        let answer = self.client.send_request(self.subject.clone(), request).await.map_err(silent)?;
        let misunderstood = |text: String| AskError::Misunderstood { gateway: self.gateway.clone(), text };
        if let Some(error) = header(&answer, NATS_SERVICE_ERROR) {
            return Err(misunderstood(error.to_owned()));
        }
        let next = header(&answer, NEXT).map(str::parse::<Ordinal>).transpose();
        let next = next.map_err(|error| misunderstood(error.to_string()))?;
        // Otherwise a gateway whose pages do not advance would be asked forever.
        if next.is_some_and(|next| next <= self.search.after) {
            return Err(misunderstood("its pages do not ascend".to_owned()));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "reports contain only texts and numbers, without nesting"
        )]
        let lines = serde_json::Deserializer::from_slice(&answer.payload).into_iter();
        let mut reports = lines
            .collect::<Result<Vec<_>, serde_json::Error>>()
            .map_err(|error| misunderstood(error.to_string()))?;
        reports.reverse();
        Ok((reports, next))
    }
}

/// A subject for one answer, on which gateways may publish.
pub(super) fn inbox(client: &Client) -> String {
    let unique = client.new_inbox();
    let (_, unique) = unique.rsplit_once('.').unwrap_or_default();
    format!("{ANSWERS}.{unique}")
}

pub(super) fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
}

/// Why connections cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The gateways cannot be asked.
    #[error("cannot ask for the running gateways")]
    RollCall {
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
    /// There is no gateway, or none may answer.
    #[error(
        "no gateway answered within {ROLL_CALL:?}; check that one runs, and that its NATS user has \
         the permissions of deploy/nats-accounts.sh"
    )]
    Nobody,
    /// A gateway does not answer.
    #[error(
        "gateway {gateway} did not answer within {PATIENCE:?}, so its connections are missing here; \
         if it has stopped, they are closed"
    )]
    Silent {
        /// The name of the gateway.
        gateway: String,
        /// The error of the client.
        #[source]
        source: RequestError,
    },
    /// A gateway of another version.
    #[error("gateway {gateway} sent an answer that cannot be read: {text}")]
    Misunderstood {
        /// The name of the gateway.
        gateway: String,
        /// Why the answer cannot be read.
        text: String,
    },
}

impl AskError {
    /// Whether the request had no responder: the gateway has stopped, or never existed.
    fn says_nobody_listens(&self) -> bool {
        matches!(self, Self::Silent { source, .. } if source.kind() == RequestErrorKind::NoResponders)
    }
}
