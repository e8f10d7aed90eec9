//! Elects the projector that leads a shard: a lease in the bucket `PROJECTORS`, with a term.
//!
//! The record under a shard's name holds the leader and the term. The leader writes it again every second, on the
//! condition that its revision has not changed. A standby projector reads it; once it has seen the same revision for
//! the length of the lease, it takes the lease, on the same condition, in the next term. Clocks of other machines are
//! not used.
//!
//! The guarantee: the leader's lease ends, by its own monotonic clock, before another projector can take it. So a
//! leader that was stopped or cut off, for any time and during any operation, finds that it no longer leads as soon as
//! it checks, and it checks before each batch that it writes. A lease that could not be renewed while NATS was
//! unavailable continues in the same term if no other projector took it: there was no other leader in between. While
//! NATS does not answer, standby projectors do not count time, so that the former leader stays the leader. Terms rise:
//! if a bucket comes back with less than it had, the next term is one above the highest that any candidate remembers.
//!
//! A message that was sent before the end of a lease may arrive after it. Therefore the writer of `ENVELOPES` has checks
//! of its own.

use std::time::Duration;

use async_nats::jetstream::Context;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::nats::record::{Record, RecordError};
use crate::nats::{Bucket, TopologyError, is_removal, leader_get, record};
use crate::topology::Topology;

/// How long a lease lasts without renewal.
const LEASE: Duration = Duration::from_secs(3);
/// How often the leader renews the lease.
const RENEWAL: Duration = Duration::from_secs(1);
/// How often a candidate checks the lease, and how soon the leader repeats a failed request.
const POLL: Duration = Duration::from_millis(250);
/// The timeout of one request.
const PATIENCE: Duration = Duration::from_secs(1);

/// The record of a shard.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lead {
    /// Rises with every change of the leader.
    term: u64,
    /// The leader; `null` after the leader has given the lease back.
    #[serde(deserialize_with = "tidings_model::json::present")]
    leader: Option<String>,
}

impl Record for Lead {
    const VERSION: u64 = 1;
}

/// The lease of a shard, as somebody sees it who is no candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaseFacts {
    /// Whether a projector held it when it was written last.
    is_held: bool,
    /// When it was written last.
    renewed_at: OffsetDateTime,
}

impl LeaseFacts {
    /// Whether a projector leads, by the clock of the server that stores the lease.
    pub(crate) fn holds_at(&self, now: OffsetDateTime) -> bool {
        // A renewal may take its time, and the clocks of two servers differ.
        self.is_held && now - self.renewed_at < 2 * LEASE
    }
}

/// Looks at the lease with this key.
pub(crate) async fn look(context: &Context, key: &str) -> Result<Option<LeaseFacts>, async_nats::Error> {
    let stream = context.get_stream("KV_PROJECTORS").await?;
    let Some(message) = leader_get::last(&stream, &format!("$KV.PROJECTORS.{key}")).await? else {
        return Ok(None);
    };
    let lead = record::decode::<Lead>(&message.payload).ok();
    let is_held = lead.is_some_and(|lead| lead.leader.is_some());
    Ok(Some(LeaseFacts { is_held, renewed_at: message.time }))
}

/// The lease as this process knows it.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// The term in which this process leads, unless another projector is known to have led since.
    term: Option<u64>,
    /// Until then no other projector can lead.
    until: Instant,
}

/// The lease, as the projector sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lease(watch::Receiver<Standing>);

impl Lease {
    /// The term in which this process leads. It may not write while the lease [does not hold](Self::holds).
    #[must_use]
    pub fn term(&self) -> Option<u64> {
        self.0.borrow().term
    }

    /// Whether this process leads in this term, and no other process can lead at this moment.
    #[must_use]
    pub fn holds(&self, term: u64) -> bool {
        let standing = self.0.borrow();
        standing.term == Some(term) && Instant::now() < standing.until
    }

    /// Waits until the lease changes. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The candidate was dropped, so the lease never changes again.
            std::future::pending::<()>().await;
        }
    }
}

/// A projector that leads or is on standby; drive it with [`Candidate::run`].
pub struct Candidate {
    bucket: Bucket,
    key: String,
    role: Role,
    /// Unique to this process.
    id: String,
    standing: watch::Sender<Standing>,
    /// The revision under which this process holds the lease.
    held: Option<u64>,
    /// The revision of another projector's lease, and when it was first seen.
    seen: Option<(u64, Instant)>,
    /// The highest known term.
    highest: u64,
    /// The term for which another projector's leadership was logged.
    said: Option<u64>,
    /// Whether it was logged that the record cannot be read.
    complained: bool,
}

/// What the leader does, for the log.
enum Role {
    /// It projects the shard.
    Projects,
    /// It copies the source of this name.
    Copies(String),
    /// It sends the shard's fallbacks.
    Dispatches,
}

impl Role {
    fn leads(&self, term: u64) {
        match self {
            Self::Projects => tracing::info!(term, "this projector leads"),
            Self::Copies(source) => tracing::info!(term, source, "this projector copies the source"),
            Self::Dispatches => tracing::info!(term, "this dispatcher leads"),
        }
    }

    fn leads_no_longer(&self, term: u64) {
        match self {
            Self::Projects => tracing::info!(term, "this projector leads no longer"),
            Self::Copies(source) => {
                tracing::info!(term, source, "this projector copies the source no longer");
            }
            Self::Dispatches => tracing::info!(term, "this dispatcher leads no longer"),
        }
    }

    fn stands_by(&self, term: u64) {
        match self {
            Self::Projects => tracing::info!(term, "another projector leads; this one stands by"),
            Self::Copies(source) => tracing::debug!(term, source, "another projector copies the source"),
            Self::Dispatches => tracing::info!(term, "another dispatcher leads; this one stands by"),
        }
    }
}

impl Candidate {
    /// Opens the bucket; does not lead yet.
    pub async fn open(topology: &Topology) -> Result<(Self, Lease), TopologyError> {
        Self::for_key(topology, topology.shard().name("shard"), Role::Projects).await
    }

    /// The same for copying the source of this name, which is no matter of a shard.
    pub async fn for_source(topology: &Topology, source: &str) -> Result<(Self, Lease), TopologyError> {
        Self::for_key(topology, format!("source_{source}"), Role::Copies(source.to_owned())).await
    }

    /// The same for dispatching the shard's fallbacks.
    pub async fn for_dispatcher(topology: &Topology) -> Result<(Self, Lease), TopologyError> {
        Self::for_key(topology, topology.shard().name("dispatcher"), Role::Dispatches).await
    }

    async fn for_key(topology: &Topology, key: String, role: Role) -> Result<(Self, Lease), TopologyError> {
        let bucket = topology.projectors().await?;
        let inbox = topology.client().new_inbox();
        let id = inbox.rsplit('.').next().unwrap_or_default().to_owned();
        let (standing, lease) = watch::channel(Standing { term: None, until: Instant::now() });
        let (held, seen, said) = (None, None, None);
        let candidate =
            Self { bucket, key, role, id, standing, held, seen, highest: 0, said, complained: false };
        Ok((candidate, Lease(lease)))
    }

    /// Takes the lease when it is free, and renews it, until `stopped` resolves; then gives it back.
    pub async fn run(mut self, stopped: impl Future<Output = ()>) {
        let mut stopped = std::pin::pin!(stopped);
        loop {
            let pause = tokio::select! {
                () = &mut stopped => break,
                pause = self.step() => pause,
            };
            tokio::select! {
                () = &mut stopped => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        if self.term().is_some() {
            self.give_back().await;
        }
    }

    fn term(&self) -> Option<u64> {
        self.standing.borrow().term
    }

    /// Performs the next step; returns how long to wait after it.
    async fn step(&mut self) -> Duration {
        let done = match self.held {
            Some(revision) => self.renew(revision).await,
            None => self.stand_by().await,
        };
        match done {
            Ok(pause) => pause,
            Err(error) => {
                // The loss of NATS is logged once for the whole process.
                tracing::debug!(error = &*error as &dyn std::error::Error, "asking for the lease again");
                self.seen = None;
                if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, self.bucket.restore()).await {
                    tracing::debug!(error = &error as &dyn std::error::Error, "the bucket may be missing");
                }
                POLL
            }
        }
    }

    async fn renew(&mut self, revision: u64) -> Result<Duration, async_nats::Error> {
        let Some(term) = self.term() else { return Ok(POLL) };
        let until = Instant::now() + LEASE;
        if let Some(revision) = self.write(term, Some(self.id.clone()), revision).await? {
            self.hold(term, revision, until);
            return Ok(RENEWAL);
        }
        match self.read().await? {
            // The answer to an earlier renewal was lost; the record is still this process's own.
            Some((lead, revision)) if self.is_own(&lead) => self.held = Some(revision),
            found => {
                let next = found.map_or(0, |(lead, _)| lead.term);
                self.highest = self.highest.max(term).max(next);
                (self.held, self.seen) = (None, None);
                self.standing.send_replace(Standing { term: None, until });
                self.role.leads_no_longer(term);
            }
        }
        Ok(Duration::ZERO)
    }

    async fn stand_by(&mut self) -> Result<Duration, async_nats::Error> {
        let Some((lead, revision)) = self.read().await? else {
            return self.take(0).await;
        };
        if self.is_own(&lead) {
            // The answer to taking the lease was lost.
            (self.held, self.highest) = (Some(revision), lead.term);
            self.standing.send_replace(Standing { term: Some(lead.term), until: Instant::now() });
            return Ok(Duration::ZERO);
        }
        self.highest = self.highest.max(lead.term);
        if lead.leader.is_some() && self.said != Some(lead.term) {
            self.said = Some(lead.term);
            self.role.stands_by(lead.term);
        }
        let is_free = lead.leader.is_none() || lead.leader.as_ref() == Some(&self.id);
        match self.seen {
            _ if is_free => self.take(revision).await,
            Some((seen, since)) if seen == revision && since.elapsed() >= LEASE => self.take(revision).await,
            Some((seen, _)) if seen == revision => Ok(POLL),
            _ => {
                self.seen = Some((revision, Instant::now()));
                Ok(POLL)
            }
        }
    }

    /// Whether a record is this process's own and no other process has led since.
    fn is_own(&self, lead: &Lead) -> bool {
        lead.leader.as_ref() == Some(&self.id) && lead.term >= self.highest
    }

    async fn take(&mut self, revision: u64) -> Result<Duration, async_nats::Error> {
        self.seen = None;
        let (term, until) = (self.highest + 1, Instant::now() + LEASE);
        let Some(revision) = self.write(term, Some(self.id.clone()), revision).await? else {
            return Ok(POLL);
        };
        self.role.leads(term);
        self.hold(term, revision, until);
        Ok(RENEWAL)
    }

    fn hold(&mut self, term: u64, revision: u64, until: Instant) {
        (self.held, self.highest) = (Some(revision), term);
        self.standing.send_replace(Standing { term: Some(term), until });
    }

    /// Gives the lease back, so that another projector can take it at once. If this fails, the lease has to expire.
    async fn give_back(&self) {
        let given = async {
            if let Some((lead, revision)) = self.read_record().await?.and_then(Result::ok)
                && self.is_own(&lead)
            {
                self.write(lead.term, None, revision).await?;
            }
            Ok::<_, async_nats::Error>(())
        };
        if let Err(error) = given.await {
            tracing::debug!(
                error = &*error as &dyn std::error::Error,
                "cannot give the lease back; it will expire"
            );
        }
    }

    async fn write(
        &self,
        term: u64,
        leader: Option<String>,
        revision: u64,
    ) -> Result<Option<u64>, async_nats::Error> {
        let json = record::encode(&Lead { term, leader })?;
        let writing = self.bucket.write(&self.key, Bytes::from(json), revision);
        Ok(tokio::time::timeout(PATIENCE, writing).await??)
    }

    /// Reads the record and its revision from the bucket's leader. An unreadable record is treated as a lease of
    /// another projector, which may expire.
    async fn read(&mut self) -> Result<Option<(Lead, u64)>, async_nats::Error> {
        match self.read_record().await? {
            None => Ok(None),
            Some(Ok(found)) => Ok(Some(found)),
            Some(Err((error, revision))) => {
                if !std::mem::replace(&mut self.complained, true) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        key = self.key,
                        "cannot read in the bucket PROJECTORS which projector leads"
                    );
                }
                if error.is_newer() {
                    // A version that does not understand the record must not overwrite it.
                    return Err(error.into());
                }
                Ok(Some((Lead { term: self.highest, leader: Some(String::new()) }, revision)))
            }
        }
    }

    async fn read_record(
        &self,
    ) -> Result<Option<Result<(Lead, u64), (RecordError, u64)>>, async_nats::Error> {
        let reading = self.bucket.last(&self.key);
        let Some(message) = tokio::time::timeout(PATIENCE, reading).await?? else { return Ok(None) };
        let revision = message.sequence;
        if is_removal(Some(&message.headers)) {
            return Ok(Some(Ok((Lead { term: self.highest, leader: None }, revision))));
        }
        let read = record::decode::<Lead>(&message.payload);
        Ok(Some(read.map(|lead| (lead, revision)).map_err(|error| (error, revision))))
    }
}
