//! The asking side: all gateways, a page of each at a time.

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

/// How long gateways may take to say that they are there.
const ROLL_CALL: Duration = Duration::from_secs(1);
/// How long a gateway may take for a page.
const PATIENCE: Duration = Duration::from_secs(2);
/// Gateways that are asked at once.
const AT_ONCE: usize = 8;

/// Connections as they are told; an error is about one gateway, and others go on.
pub type ConnectionList = BoxStream<'static, Result<ConnectionReport, AskError>>;

/// Asks every gateway about a tenant's connections, or those of one user. Takes a second at least, since
/// nobody knows how many gateways there are: those count that answer the roll call.
#[must_use]
pub fn ask(client: &Client, operation: Operation, tenant: &Tenant, search: Search) -> ConnectionList {
    let (client, tenant) = (client.clone(), tenant.clone());
    let answers = RollCall::of(client.clone()).flat_map_unordered(AT_ONCE, move |called| match called {
        Ok(gateway) => Asking::new(&client, operation, &tenant, gateway, search.clone()).answers().boxed(),
        Err(error) => stream::iter([Err(error)]).boxed(),
    });
    answers.boxed()
}

/// Asks the gateway of this connection about it alone. A gateway that is not there has no connections.
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

/// Asking which gateways there are.
enum RollCall {
    Before(Client),
    Listening { answers: Subscriber, until: Instant, names: HashSet<String> },
    Over,
}

impl RollCall {
    /// The names of all gateways, as they answer; an error if none does.
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

/// What is left to ask of one gateway.
struct Asking {
    client: Client,
    gateway: String,
    subject: String,
    search: Search,
    step: Step,
}

enum Step {
    Page,
    /// Reports of the page that are not handed out yet, last first, and where the next page begins.
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
        if let Some(complaint) = header(&answer, NATS_SERVICE_ERROR) {
            return Err(misunderstood(complaint.to_owned()));
        }
        let next = header(&answer, NEXT).map(str::parse::<Ordinal>).transpose();
        let next = next.map_err(|error| misunderstood(error.to_string()))?;
        // A gateway that does not get on would be asked for ever.
        if next.is_some_and(|next| next <= self.search.after) {
            return Err(misunderstood("its pages do not ascend".to_owned()));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "reports have texts and numbers alone, and nothing nests"
        )]
        let lines = serde_json::Deserializer::from_slice(&answer.payload).into_iter();
        let mut reports = lines
            .collect::<Result<Vec<_>, serde_json::Error>>()
            .map_err(|error| misunderstood(error.to_string()))?;
        reports.reverse();
        Ok((reports, next))
    }
}

/// A subject for one answer, of those that gateways may answer on.
fn inbox(client: &Client) -> String {
    let unique = client.new_inbox();
    let (_, unique) = unique.rsplit_once('.').unwrap_or_default();
    format!("{ANSWERS}.{unique}")
}

fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
}

/// Why it is not known who is connected.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Gateways cannot be asked.
    #[error("cannot ask which gateways there are")]
    RollCall {
        /// What the client says.
        #[source]
        source: async_nats::Error,
    },
    /// There is no gateway, or none that can be asked.
    #[error(
        "no gateway answered within {ROLL_CALL:?}; does one run, and may its NATS user answer as \
         deploy/nats-accounts.sh says?"
    )]
    Nobody,
    /// One gateway does not answer, or no more.
    #[error(
        "gateway {gateway} did not answer within {PATIENCE:?}, and what it serves is missing here; if it has ended, so \
         have its connections"
    )]
    Silent {
        /// Its name.
        gateway: String,
        /// What the client says.
        #[source]
        source: RequestError,
    },
    /// A gateway of another version.
    #[error("gateway {gateway} answered what is not understood here: {text}")]
    Misunderstood {
        /// Its name.
        gateway: String,
        /// What is wrong with it.
        text: String,
    },
}

impl AskError {
    /// Whether NATS knows of nobody who could answer for the gateway: it has ended, or there never was one of this name.
    fn says_nobody_listens(&self) -> bool {
        matches!(self, Self::Silent { source, .. } if source.kind() == RequestErrorKind::NoResponders)
    }
}
