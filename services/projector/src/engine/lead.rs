//! Leadership of the engine: it writes while its lease holds, takes over when it gets one, and stands by when it has
//! lost it.
//!
//! The lease is checked before every batch and every step of a rebuild. While a lease has ended but no other
//! projector has it, for example while NATS is away, the engine only waits: if the term goes on, it continues where
//! it was. If another projector has the lease, the engine ends the rebuild before its switch and drops what it has
//! read; the new leader starts from the streams.

use tidings_streams::Retry;

use super::Engine;

impl Engine {
    /// Whether this projector leads and has taken over.
    pub(super) fn leads(&self) -> bool {
        self.term.is_some_and(|term| self.leadership.lease().holds(term))
    }

    /// Takes over, or stands by, when the leader has changed.
    pub(super) async fn follow_leader(&mut self) {
        let term = self.leadership.lease().term();
        if term == self.term {
            return;
        }
        self.stand_by().await;
        if term.is_none() {
            return;
        }
        self.term = term;
        self.figures.took_over();
        let mut retry = Retry::to("take over from the former leader");
        while retry.done(self.try_recover().await).await.is_none() {
            if self.leadership.lease().term() != term {
                return;
            }
        }
        self.acknowledge_done().await;
    }

    async fn stand_by(&mut self) {
        self.term = None;
        // What is done is done, whoever leads; the new leader need not read it again.
        self.reader.acknowledge().await;
        self.reader.stand_by();
        self.writer.abandon();
        if let Some(job) = self.job.take() {
            tracing::info!(
                tenant = %job.tenant(), place = %job.rebuild().place,
                "leaving the rebuild to the new leader"
            );
        }
    }
}
