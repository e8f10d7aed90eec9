//! Decides about one delivery that is due, and makes an attempt.
//!
//! The order of writes is what makes it safe to kill the process between any two of them: the attempt is noted, made, its
//! outcome noted, the next attempt scheduled, and only then what is due removed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tidings_catalog::{Catalogs, Fallback, Unless};
use tidings_channels::{Content, Delivery, DeliveryId, Failed, RetryPlan, Urgency};
use tidings_model::{Class, Envelope, Tenant, json};
use tidings_preferences::Decision;
use tidings_streams::deliveries::{DeliveryError, Due, Fact, Pending, Status};
use tidings_streams::{Backoff, Lease, Topology, locate};
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::error::DispatcherError;
use crate::metrics::DispatcherFigures;
use crate::parts::Parts;
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
    Send(Box<Delivery>),
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
                deliveries.schedule_again(&due.name, &pending, at, sequence).await?;
            }
            Step::GiveUp { attempts } => {
                let reason = "the dispatcher ended in the middle of the attempt, and of its repetition";
                let fact = Fact { attempts, is_repeated: true, ..fact(due, Status::Unknown, reason) };
                self.note(due, &fact, sequence).await?;
            }
            Step::Attempt { number, is_repeated } => {
                let attempts = number - 1 + u32::from(is_repeated);
                let decided =
                    |status, reason: &str| Fact { attempts, is_repeated, ..fact(due, status, reason) };
                match self.look(due, is_repeated).await? {
                    Finding::Skip(skip) => {
                        let fact = decided(Status::Skipped, &skip.to_string());
                        self.note(due, &fact, sequence).await?;
                        self.figures.skipped(&skip);
                    }
                    Finding::Fail(reason) => {
                        self.note(due, &decided(Status::Failed, &reason), sequence).await?;
                    }
                    Finding::Hold(until, reason) => {
                        let held = Fact { next: Some(until), ..decided(Status::Delayed, &reason) };
                        // It may be noted already: the dispatcher ended before it was scheduled.
                        let noted = if last.as_ref() == Some(&held) {
                            sequence
                        } else {
                            self.note(due, &held, sequence).await?
                        };
                        deliveries.schedule_again(&due.name, &due.pending, until, noted).await?;
                    }
                    Finding::Send(delivery) => {
                        let claim = Fact {
                            attempts: number,
                            is_repeated,
                            reason: None,
                            ..fact(due, Status::Attempted, "")
                        };
                        return self.attempt(due, &delivery, claim, sequence).await;
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
        delivery: &Delivery,
        claim: Fact,
        sequence: u64,
    ) -> Result<(), DispatcherError> {
        let deliveries = &self.parts.deliveries;
        let Some(channel) = self.parts.channels.get(&delivery.target.channel()) else {
            return Err(DispatcherError::Overtaken);
        };
        self.led().await;
        let claimed = self.claim(due, &claim, sequence).await?;
        self.figures.late(self.since(due));
        let sent = tokio::time::timeout(LONGEST_ATTEMPT, channel.send(delivery)).await;
        let sent = sent.unwrap_or_else(|_| {
            Err(Failed::Later { reason: format!("no answer within {LONGEST_ATTEMPT:?}"), retry_after: None })
        });
        self.figures.attempted(delivery.target.channel(), sent.as_ref().err());
        let outcome = match sent {
            Ok(accepted) => Fact { status: Status::Sent, reference: accepted.reference, ..claim },
            Err(failed) => self.failure(due, &failed, claim),
        };
        tracing::info!(
            tenant = %due.name.tenant, delivery = outcome.delivery, channel = outcome.channel,
            status = outcome.status.as_str(), reason = outcome.reason, attempts = outcome.attempts,
            "made an attempt to deliver"
        );
        // The attempt was made: what became of it must be stored, however long NATS is away.
        let mut backoff = Backoff::new();
        let noted = loop {
            let stored = match deliveries.note(&due.name, &outcome, &due.pending, claimed).await {
                Ok(None) => self.noted(due, &outcome, claimed).await,
                stored => stored,
            };
            match stored {
                Ok(Some(noted)) => {
                    self.figures.decided(outcome.status);
                    break noted;
                }
                // Another dispatcher has taken over, or the user was purged.
                Ok(None) => return Ok(()),
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "storing an outcome again");
                    backoff.failed();
                    backoff.wait().await;
                }
            }
        };
        if let (Status::Delayed, Some(at)) = (outcome.status, outcome.next) {
            let pending = Pending { attempts: outcome.attempts, ..due.pending.clone() };
            deliveries.schedule_again(&due.name, &pending, at, noted).await?;
        }
        Ok(deliveries.remove_due(due.sequence).await?)
    }

    /// Notes that an attempt is made. Where NATS did not answer, looks whether it is noted all the same: it would be taken for
    /// the attempt of a process that has ended.
    async fn claim(&self, due: &Due, claim: &Fact, expected: u64) -> Result<u64, DispatcherError> {
        let deliveries = &self.parts.deliveries;
        let error = match deliveries.note(&due.name, claim, &due.pending, expected).await {
            Ok(noted) => return noted.ok_or(DispatcherError::Overtaken),
            Err(error) => error,
        };
        match self.noted(due, claim, expected).await? {
            Some(noted) if self.lease.holds(self.term) => Ok(noted),
            _ => Err(error.into()),
        }
    }

    /// The sequence of this fact, if it is noted behind the one on which it rests: NATS may have stored it and not answered.
    async fn noted(&self, due: &Due, fact: &Fact, expected: u64) -> Result<Option<u64>, DeliveryError> {
        let last = self.parts.deliveries.last_fact(&due.name).await?;
        Ok(last.filter(|(last, noted)| *noted > expected && last == fact).map(|(_, noted)| noted))
    }

    /// What follows from a failed attempt. A retry has the whole plan before it.
    fn failure(&self, due: &Due, failed: &Failed, claim: Fact) -> Fact {
        let reason = Some(failed.to_string());
        let Failed::Later { retry_after, .. } = failed else {
            return Fact { status: Status::Failed, reason, ..claim };
        };
        let before = due.pending.retry.map_or(0, |retry| retry.attempts);
        let attempts = usize::try_from(claim.attempts.saturating_sub(before)).unwrap_or(usize::MAX);
        match RetryPlan::default().wait(attempts, (self.parts.random)(), *retry_after) {
            Some(wait) => {
                Fact { status: Status::Delayed, reason, next: Some((self.parts.clock)() + wait), ..claim }
            }
            None => Fact { status: Status::Failed, reason, ..claim },
        }
    }

    /// Finds out whether a delivery is needed and wanted, and what is to be sent. A repetition is not held: its first attempt was not,
    /// and it follows within seconds.
    async fn look(&self, due: &Due, is_repeated: bool) -> Result<Finding, DispatcherError> {
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
        Ok(self.fill(due, fallback, &found.envelope, unsubscribe).await)
    }

    /// Finds where a message goes, and fills the templates of the fallback.
    async fn fill(
        &self,
        due: &Due,
        fallback: &Fallback,
        envelope: &Envelope,
        unsubscribe: Option<String>,
    ) -> Finding {
        let (tenant, user) = (&due.name.tenant, due.name.user.as_str());
        let kind = fallback.channel();
        if !self.parts.channels.contains_key(&kind) {
            return Finding::Skip(Skip::NoChannel);
        }
        let Some(target) = self.parts.targets.target(tenant, user, kind).await else {
            return Finding::Skip(Skip::NoTarget);
        };
        let message = json::parse(&envelope.body).map_err(|error| error.to_string());
        let content = match message.and_then(|message| fallback.content(&message)) {
            Ok(content) => content,
            Err(reason) => return Finding::Fail(format!("its templates cannot be filled: {reason}")),
        };
        let left = envelope.expires_at.map(|expires_at| expires_at - (self.parts.clock)());
        let subject = &envelope.subject;
        let key = subject.key.as_ref().filter(|_| subject.class == Class::Latest);
        Finding::Send(Box::new(Delivery {
            id: id(due),
            tenant: tenant.clone(),
            user: Some(user.to_owned()),
            target,
            content: Content {
                subject: content.subject,
                text: content.text,
                html: content.html,
                payload: Some(content.payload),
            },
            urgency: Urgency::default(),
            time_to_live: left.and_then(|left| left.try_into().ok()).unwrap_or(KEPT),
            collapse: key.map(|key| format!("{}/{key}", subject.slot)),
            unsubscribe,
        }))
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
        next: None,
    }
}
