//! Decides about one delivery that is due, and makes an attempt.
//!
//! The order of writes is what makes it safe to kill the process between any two of them: the attempt is noted, made, its
//! outcome noted, the next attempt scheduled, and only then what is due removed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tidings_catalog::{Catalogs, Fallback, Unless};
use tidings_channels::{Delivery, DeliveryId, Failed, RetryPlan, Urgency};
use tidings_model::{Class, Envelope, Tenant, json};
use tidings_preferences::Decision;
use tidings_streams::deliveries::{DeliveryError, Due, Fact, Pending, Status};
use tidings_streams::{Backoff, Lease, Topology, locate};
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::attempt::{Conclusion, Outcome, conclude};
use crate::error::DispatcherError;
use crate::metrics::DispatcherFigures;
use crate::parts::{Destination, Parts};
use crate::reception::Inquiry;
use crate::skip::Skip;
use crate::step::Step;
use crate::wishes::Wish;

/// How long an attempt may take, whatever its channel says.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(60);
/// How long a push service may keep a message that does not expire by itself.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What delivers, in one term.
#[derive(Clone)]
pub(crate) struct Deliverer {
    pub(crate) topology: Topology,
    pub(crate) parts: Arc<Parts>,
    pub(crate) figures: Arc<DispatcherFigures>,
    pub(crate) lease: Lease,
    pub(crate) term: u64,
    /// The tenants whose deliveries it makes now.
    pub(crate) tenants: watch::Sender<BTreeSet<Tenant>>,
}

/// What was found out about a delivery.
enum Finding {
    /// It is to be sent to these contacts, each by its id; or cannot be sent until somebody corrects something, for this reason.
    Send(Result<Vec<(String, Delivery)>, String>),
    Skip(Skip),
    Fail(String),
    /// It is to be looked at again at this time, for this reason.
    Hold(OffsetDateTime, String),
}

impl Deliverer {
    /// Delivers; waits while NATS is away.
    pub(crate) async fn deliver(&self, due: &Due) {
        let mut backoff = Backoff::new();
        while let Err(error) = self.try_deliver(due).await {
            if let DispatcherError::Deliveries(error @ DeliveryError::Damaged { .. }) = &error {
                let error = error as &dyn std::error::Error;
                tracing::error!(error, tenant = %due.name.tenant, "a delivery stays as it is");
                return;
            }
            tracing::debug!(error = &error as &dyn std::error::Error, "deciding about a delivery again");
            backoff.failed();
            backoff.wait().await;
        }
    }

    async fn try_deliver(&self, due: &Due) -> Result<(), DispatcherError> {
        let deliveries = &self.parts.deliveries;
        let last = deliveries.last_fact(&due.name).await?;
        let (last, sequence) = last.map_or((None, 0), |(fact, sequence)| (Some(fact), sequence));
        let is_retried = due.pending.retry.is_some_and(|retry| retry.fact == sequence);
        match Step::after(last.as_ref(), due.pending.attempts, is_retried) {
            Step::Remove => {}
            Step::Delay { attempts, at } => {
                let pending = Pending { attempts, ..due.pending.clone() };
                deliveries.schedule_again(&due.name, &pending, at).await?;
            }
            Step::GiveUp { attempts } => {
                let reason = "the dispatcher ended in the middle of the attempt, and of its repetition";
                let fact = Fact { attempts, is_repeated: true, ..fact(due, Status::Unknown, reason) };
                self.note(due, &fact, sequence).await?;
            }
            Step::Attempt { number, is_repeated } => {
                let attempts = number - 1 + u32::from(is_repeated);
                let reached = last.as_ref().map(|last| last.reached.clone()).unwrap_or_default();
                let decided = |status, reason: &str| {
                    let status = if reached.is_empty() { status } else { Status::Sent };
                    let reached = reached.clone();
                    Fact { attempts, is_repeated, reached, ..fact(due, status, reason) }
                };
                match self.look(due, is_repeated, &reached).await? {
                    Finding::Skip(skip) => {
                        let fact = decided(Status::Skipped, &skip.to_string());
                        self.note(due, &fact, sequence).await?;
                        self.figures.skipped(&skip);
                    }
                    Finding::Fail(reason) => {
                        self.note(due, &decided(Status::Failed, &reason), sequence).await?;
                    }
                    Finding::Hold(until, reason) => {
                        let decided = decided(Status::Delayed, &reason);
                        let held = Fact { status: Status::Delayed, next: Some(until), ..decided };
                        // It may be noted already: the dispatcher ended before it was scheduled.
                        if last.as_ref() != Some(&held) {
                            self.note(due, &held, sequence).await?;
                        }
                        deliveries.schedule_again(&due.name, &due.pending, until).await?;
                    }
                    Finding::Send(sent) => {
                        let claim = Fact {
                            attempts: number,
                            is_repeated,
                            reason: None,
                            reached,
                            ..fact(due, Status::Attempted, "")
                        };
                        return self.attempt(due, sent, claim, sequence).await;
                    }
                }
            }
        }
        Ok(deliveries.remove_due(due.sequence).await?)
    }

    /// Makes an attempt and stores what became of it.
    async fn attempt(
        &self,
        due: &Due,
        sent: Result<Vec<(String, Delivery)>, String>,
        claim: Fact,
        sequence: u64,
    ) -> Result<(), DispatcherError> {
        let deliveries = &self.parts.deliveries;
        self.led().await;
        let claimed = self.claim(due, &claim, sequence).await?;
        self.figures.late(self.since(due));
        let outcomes = match sent {
            Ok(sent) => join_all(sent.into_iter().map(|(id, delivery)| self.send(id, delivery))).await,
            Err(reason) => vec![(String::new(), Err(Failed::Later { reason, retry_after: None }))],
        };
        // A retry has the whole plan before it.
        let before = due.pending.retry.map_or(0, |retry| retry.attempts);
        let attempts = claim.attempts.saturating_sub(before);
        let Conclusion { fact: outcome, gone } =
            conclude(claim, outcomes, |asked| self.next(attempts, asked));
        tracing::info!(
            tenant = %due.name.tenant, delivery = outcome.delivery, channel = outcome.channel,
            status = outcome.status.as_str(), reason = outcome.reason, attempts = outcome.attempts,
            "made an attempt to deliver"
        );
        // The attempt was made: what became of it must be stored, however long NATS is away.
        let mut backoff = Backoff::new();
        loop {
            match deliveries.note(&due.name, &outcome, &due.pending, claimed).await {
                Ok(Some(_)) => {
                    self.figures.decided(outcome.status);
                    break;
                }
                // Another dispatcher has taken over, or the user was purged.
                Ok(None) => return Ok(()),
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "storing an outcome again");
                    backoff.failed();
                    backoff.wait().await;
                }
            }
        }
        if let (Status::Delayed, Some(at)) = (outcome.status, outcome.next) {
            let pending = Pending { attempts: outcome.attempts, ..due.pending.clone() };
            deliveries.schedule_again(&due.name, &pending, at).await?;
        }
        for (id, reason) in gone {
            self.parts.targets.gone(&due.name.tenant, &due.name.user, &id, &reason).await;
        }
        Ok(deliveries.remove_due(due.sequence).await?)
    }

    /// Sends to one contact.
    async fn send(&self, id: String, delivery: Delivery) -> Outcome {
        let later = |reason| Err(Failed::Later { reason, retry_after: None });
        let Some(channel) = self.parts.channels.get(delivery.target.channel()) else {
            return (id, later("the channel is not configured".to_owned()));
        };
        let sent = tokio::time::timeout(LONGEST_ATTEMPT, channel.send(&delivery)).await;
        let sent = sent.unwrap_or_else(|_| later(format!("no answer within {LONGEST_ATTEMPT:?}")));
        self.figures.attempted(delivery.target.channel(), sent.as_ref().err());
        (id, sent)
    }

    /// Notes that an attempt is made. Where NATS did not answer, looks whether it is noted all the same: it would be taken for
    /// the attempt of a process that has ended.
    async fn claim(&self, due: &Due, claim: &Fact, expected: u64) -> Result<u64, DispatcherError> {
        let deliveries = &self.parts.deliveries;
        let error = match deliveries.note(&due.name, claim, &due.pending, expected).await {
            Ok(noted) => return noted.ok_or(DispatcherError::Overtaken),
            Err(error) => error,
        };
        match deliveries.last_fact(&due.name).await? {
            Some((fact, noted)) if noted > expected && fact == *claim && self.lease.holds(self.term) => {
                Ok(noted)
            }
            _ => Err(error.into()),
        }
    }

    /// When the attempt after this one is made, if one is left.
    fn next(&self, attempts: u32, asked: Option<Duration>) -> Option<OffsetDateTime> {
        let attempts = usize::try_from(attempts).unwrap_or(usize::MAX);
        let wait = RetryPlan::default().wait(attempts, (self.parts.random)(), asked)?;
        Some((self.parts.clock)() + wait)
    }

    /// Finds out whether a delivery is needed and wanted, and what is to be sent to which contacts that do not have it. A repetition
    /// is not held: its first attempt was not, and it follows within seconds.
    async fn look(
        &self,
        due: &Due,
        is_repeated: bool,
        reached: &[String],
    ) -> Result<Finding, DispatcherError> {
        let skip = |skip| Ok(Finding::Skip(skip));
        let tenant = &due.name.tenant;
        let Some((subject, origin)) = due.pending.envelope() else {
            return Ok(Finding::Fail("its record names no message".to_owned()));
        };
        let catalogs: Arc<Catalogs> = Arc::clone(&self.parts.catalogs.borrow());
        let Some(catalog) = catalogs.get(tenant) else { return skip(Skip::NotServed) };
        let number = usize::try_from(due.name.fallback).unwrap_or(usize::MAX);
        let fallback = catalog.fallbacks(&subject.slot).get(number);
        let Some(fallback) = fallback.filter(|found| found.channel().as_str() == due.pending.channel) else {
            return skip(Skip::NoFallback);
        };
        let home = self.topology.home(tenant).await?;
        let found = locate(&home, &subject, origin, due.pending.sequence).await?;
        let now = (self.parts.clock)();
        let found = found.filter(|found| found.envelope.expires_at.is_none_or(|expires_at| expires_at > now));
        let Some(found) = found else {
            return skip(Skip::Gone);
        };
        let inquiry = Inquiry { home: &home, found: &found };
        let reception = inquiry.of(&self.parts, tenant, &due.name.user).await?;
        if let Some(device) = reception.received {
            return skip(Skip::Received(device));
        }
        if let (Unless::Connected, Some(device)) = (fallback.unless(), reception.connected) {
            return skip(Skip::Connected(device));
        }
        let wish = Wish { tenant, user: &due.name.user, slot: &subject.slot, channel: fallback.channel() };
        match wish.decide(&self.parts, catalog).await? {
            Decision::Skip(reason) => return skip(Skip::Unwanted(reason)),
            Decision::Wait { until, reason } if !is_repeated => return Ok(Finding::Hold(until, reason)),
            Decision::Wait { .. } | Decision::Send => {}
        }
        let about = catalog.question(&subject.slot, fallback.channel());
        let links = self.parts.unsubscribe.as_ref().zip(about);
        let unsubscribe = links.and_then(|(links, about)| links.link(tenant, &due.name.user, &about));
        self.fill(due, fallback, &found.envelope, unsubscribe, reached).await
    }

    /// Finds where a message goes, and fills the templates of the fallback.
    async fn fill(
        &self,
        due: &Due,
        fallback: &Fallback,
        envelope: &Envelope,
        unsubscribe: Option<String>,
        reached: &[String],
    ) -> Result<Finding, DispatcherError> {
        let (tenant, user) = (&due.name.tenant, due.name.user.as_str());
        let kind = fallback.channel();
        if self.parts.channels.get(kind).is_none() {
            return Ok(Finding::Skip(Skip::NoChannel));
        }
        let mut destinations = match self.parts.targets.targets(tenant, user, kind).await {
            Ok(found) => found,
            Err(error) if error.is_unreadable() => return Ok(Finding::Send(Err(error.to_string()))),
            Err(error) => return Err(error.into()),
        };
        destinations.retain(|destination| !reached.contains(&destination.id));
        if destinations.is_empty() {
            return Ok(Finding::Skip(Skip::NoTarget));
        }
        let message = json::parse(&envelope.body).map_err(|error| error.to_string());
        let content = match message.and_then(|message| fallback.content(&message)) {
            Ok(content) => content,
            Err(reason) => return Ok(Finding::Fail(format!("its templates cannot be filled: {reason}"))),
        };
        let left = envelope.expires_at.map(|expires_at| expires_at - (self.parts.clock)());
        let subject = &envelope.subject;
        let key = subject.key.as_ref().filter(|_| subject.class == Class::Latest);
        let deliver = |Destination { id: contact, target }| {
            let delivery = Delivery {
                id: id(due),
                tenant: tenant.clone(),
                user: Some(user.to_owned()),
                target,
                content: content.clone(),
                urgency: Urgency::default(),
                time_to_live: left.and_then(|left| left.try_into().ok()).unwrap_or(KEPT),
                collapse: key.map(|key| format!("{}/{key}", subject.slot)),
                unsubscribe: unsubscribe.clone(),
            };
            (contact, delivery)
        };
        Ok(Finding::Send(Ok(destinations.into_iter().map(deliver).collect())))
    }

    /// Stores a fact behind the one on which it rests.
    async fn note(&self, due: &Due, fact: &Fact, expected: u64) -> Result<u64, DispatcherError> {
        let noted = self.parts.deliveries.note(&due.name, fact, &due.pending, expected).await?;
        let noted = noted.ok_or(DispatcherError::Overtaken)?;
        self.figures.late(self.since(due));
        self.figures.decided(fact.status);
        Ok(noted)
    }

    /// How long it has been due.
    fn since(&self, due: &Due) -> Duration {
        ((self.parts.clock)() - due.at).try_into().unwrap_or_default()
    }

    /// Waits until the lease holds.
    pub(crate) async fn led(&self) {
        let mut lease = self.lease.clone();
        while !lease.holds(self.term) {
            lease.changed().await;
        }
    }
}

fn id(due: &Due) -> DeliveryId {
    DeliveryId::of(&[due.name.tenant.as_str(), &due.name.user, &due.name.to_string()])
}

/// What is said about a delivery in each fact, with this status and reason.
fn fact(due: &Due, status: Status, reason: &str) -> Fact {
    let Pending { event, source, channel, .. } = due.pending.clone();
    let message = due.pending.envelope().map_or_else(String::new, |(subject, _)| subject.slot);
    Fact {
        delivery: id(due).to_string(),
        event,
        source,
        message,
        channel,
        status,
        reason: Some(reason.to_owned()),
        attempts: 0,
        is_repeated: false,
        reference: None,
        reached: Vec::new(),
        next: None,
    }
}
