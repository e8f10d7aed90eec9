//! Copies one source: waits for the lease, finds how far the source is copied, and copies from there on.
//!
//! Whatever fails, the copier begins again with what `EVENTS` says. A message is left behind only once its copy is stored.

use std::sync::Arc;
use std::time::Duration;

use tidings_streams::{
    Candidate, CopiedThrough, CopyWriter, Lease, NewCopy, OpenCopiesError, Retry, SourceError, SourceMessage,
    SourceReader, StoreCopyError, Topology,
};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::figures::SourceFigures;
use super::source::{Begin, Source};

/// How often is recorded how far the source is copied.
const PULSE: Duration = Duration::from_secs(1);
/// How many bytes of messages are copied at once, beside one that is longer.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Copies the source until it is stopped.
pub(super) async fn copy(
    topology: Topology,
    source: Source,
    figures: Arc<SourceFigures>,
    stopped: CancellationToken,
) {
    let retry = Retry::to(format!("copy the source {}", source.name));
    let mut copier =
        Copier { topology, source, figures, stopped: stopped.clone(), copied: None, singly: 0, retry };
    let Some((candidate, lease)) = stopped.run_until_cancelled(copier.candidate()).await else { return };
    let keeping = AbortOnDropHandle::new(tokio::spawn(candidate.run(stopped.clone().cancelled_owned())));
    copier.work(lease).await;
    copier.figures.active(false);
    if let Err(error) = keeping.await {
        tracing::error!(source = copier.source.name, %error, "the lease was not given back");
    }
}

struct Copier {
    topology: Topology,
    source: Source,
    figures: Arc<SourceFigures>,
    stopped: CancellationToken,
    /// Through where this process has copied. The record lags behind it.
    copied: Option<CopiedThrough>,
    /// How many messages to copy one at a time, since `EVENTS` has refused several of them at once.
    singly: usize,
    retry: Retry,
}

impl Copier {
    async fn candidate(&mut self) -> (Candidate, Lease) {
        loop {
            let opened = Candidate::for_source(&self.topology, &self.source.name).await;
            if let Some(opened) = self.retry.done(opened).await {
                return opened;
            }
        }
    }

    async fn work(&mut self, mut lease: Lease) {
        let stopped = self.stopped.clone();
        while !stopped.is_cancelled() {
            let Some(term) = lease.term().filter(|term| lease.holds(*term)) else {
                self.figures.active(false);
                stopped.run_until_cancelled(lease.changed()).await;
                continue;
            };
            self.figures.active(true);
            match self.copy_in(term, &mut lease).await {
                Ok(()) => {}
                Err(CopySourceError::Store(
                    StoreCopyError::Overtaken { .. } | StoreCopyError::NotAtOnce { .. },
                )) => self.retry.interrupted(),
                Err(error) => {
                    if matches!(error, CopySourceError::Source(SourceError::Missing { .. })) {
                        // Whatever a stream stores that does not exist yet is new.
                        self.source.begin = Begin::All;
                    }
                    self.retry.failed(&error);
                }
            }
            stopped.run_until_cancelled(self.retry.wait()).await;
        }
    }

    /// Copies as long as the lease holds.
    async fn copy_in(&mut self, term: u64, lease: &mut Lease) -> Result<(), CopySourceError> {
        let Source { name, stream, .. } = &self.source;
        let mut writer = CopyWriter::open(&self.topology, name, &stream.stream, self.copied.as_ref()).await?;
        if writer.through().is_none() && self.source.begin == Begin::New {
            writer.begin_after(stream.end(&self.topology).await?).await?;
        }
        let mut reader = SourceReader::open(&self.topology, stream, writer.through()).await?;
        self.retry.succeeded();
        let through = writer.through().map(ToString::to_string);
        tracing::info!(source = name, stream = stream.stream, through, "copying the source");
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.has_next(&mut reader, &mut writer, (term, lease), &mut pulse).await? {
            let count = self.copy_some(&mut writer, &reader).await?;
            self.copied = writer.copied();
            self.singly = self.singly.saturating_sub(count);
            reader.take(count);
        }
        Ok(())
    }

    /// Waits for the next message; `false` if it is not to be copied here.
    async fn has_next(
        &self,
        reader: &mut SourceReader,
        writer: &mut CopyWriter,
        (term, lease): (u64, &mut Lease),
        pulse: &mut Interval,
    ) -> Result<bool, StoreCopyError> {
        let left = reader.left();
        // Not begun again with each pulse: opening a stream that was rolled back takes longer than one.
        let mut ready = std::pin::pin!(reader.ready());
        while lease.holds(term) {
            tokio::select! {
                biased;
                () = self.stopped.cancelled() => {
                    writer.record().await?;
                    return Ok(false);
                }
                _ = pulse.tick() => {
                    writer.record().await?;
                    let done = writer.through().map_or(0, |through| through.position.sequence);
                    self.figures.look(done, left);
                }
                () = &mut ready => return Ok(true),
                () = lease.changed() => {}
            }
        }
        Ok(false)
    }

    /// Copies the next messages, and returns how many.
    async fn copy_some(
        &mut self,
        writer: &mut CopyWriter,
        reader: &SourceReader,
    ) -> Result<usize, StoreCopyError> {
        let Source { name: source, tenant, mapping, .. } = &self.source;
        let most = if self.singly > 0 { 1 } else { writer.most_at_once() };
        let mut bytes = 0;
        let fits = |message: &&SourceMessage| {
            let is_first = bytes == 0;
            bytes += message.payload.len() + 1;
            is_first || bytes <= MOST_BYTES
        };
        let messages: Vec<_> = reader.next().take(most).take_while(fits).collect();
        let names = messages.iter().map(|message| {
            let named = mapping.name(&message.subject, |name| message.header(name), &message.payload);
            named.map_err(|unmapped| unmapped.advice(source))
        });
        let names: Vec<_> = names.collect();
        let copies = messages.iter().zip(&names);
        let copies =
            copies.map(|(message, name)| NewCopy { message, name: name.as_ref().map_err(String::as_str) });
        let copies: Vec<_> = copies.collect();
        match (writer.store_all(tenant, &copies).await, messages.as_slice()) {
            (Err(StoreCopyError::Refused(error)), [message]) => {
                let text = refused(source, message, &error);
                writer.store_outline(message, tenant, &text).await?;
                self.figures.copied(false);
                return Ok(1);
            }
            (Err(error), _) => {
                if matches!(error, StoreCopyError::NotAtOnce { .. }) {
                    self.singly = messages.len();
                }
                return Err(error);
            }
            (Ok(()), _) => {}
        }
        for name in &names {
            self.figures.copied(name.is_ok());
        }
        Ok(messages.len())
    }
}

/// Logs, and says for `REJECTED`, that `EVENTS` never takes the message.
fn refused(source: &str, message: &SourceMessage, error: &(dyn std::error::Error + 'static)) -> String {
    let (subject, place) = (&message.subject, &message.place);
    tracing::error!(source, subject, %place, error, "EVENTS refuses the message; keeping in REJECTED that it was there");
    format!(
        "stream EVENTS refuses the message of {} bytes on {subject:?} at {place}: {error}; raise `max_payload` of \
         nats-server or `max_msg_size` of EVENTS, and publish it again",
        message.payload.len()
    )
}

/// A source cannot be copied now.
#[derive(Debug, thiserror::Error)]
enum CopySourceError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Open(#[from] OpenCopiesError),
    #[error(transparent)]
    Store(#[from] StoreCopyError),
}
