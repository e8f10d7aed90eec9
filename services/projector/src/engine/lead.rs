//! The engine's part in leading: it writes while its lease holds, takes over when it gets one, and stands by when it has
//! lost it.
//!
//! The lease is asked for before every batch and every step of a rebuild. One that has ended and is not another's yet,
//! as while NATS is away, only has the engine wait: it goes on where it was if the term goes on. One that is another's
//! ends the rebuild before its switch, and whatever was read; the new leader begins with what the streams say.

use super::{Engine, RETRY};

impl Engine {
    /// Whether this projector leads, and has taken over.
    pub(super) fn leads(&self) -> bool {
        self.term.is_some_and(|term| self.leadership.lease().holds(term))
    }

    /// Takes over, or stands by, if the leader has changed.
    pub(super) async fn follow_leader(&mut self) {
        let term = self.leadership.lease().term();
        if term == self.term {
            return;
        }
        self.stand_by();
        if term.is_none() {
            return;
        }
        self.term = term;
        while let Err(error) = self.try_recover().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "taking over later");
            tokio::time::sleep(RETRY).await;
            if self.leadership.lease().term() != term {
                return;
            }
        }
        self.acknowledge_done().await;
    }

    fn stand_by(&mut self) {
        self.term = None;
        self.reader.stand_by();
        self.under_way.abandon();
        if let Some(job) = self.job.take() {
            tracing::info!(
                tenant = %job.tenant(), place = %job.rebuild().place,
                "leaving the rebuild to the projector that leads now"
            );
        }
    }
}
