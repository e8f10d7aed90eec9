//! What a bucket has lost, as NATS came back with an older state of it, is written again from its copy here.

use std::error::Error;
use std::fmt::Display;

use tidings_streams::may_pass;

/// A bucket whose lost entries are written again.
pub(super) trait Restore {
    const BUCKET: &'static str;
    type Name: Display;
    type State;
    type Failure: Error + 'static;

    /// Writes an entry, unless the bucket has it by now.
    fn restore(
        &self,
        name: &Self::Name,
        state: &Self::State,
    ) -> impl Future<Output = Result<(), Self::Failure>> + Send;
}

/// Writes lost entries again. A write that fails is repeated with the next change; one follows every fault of NATS. An entry
/// that JetStream refuses does not hold up the rest.
pub(super) async fn restore<B: Restore>(bucket: &B, lost: &mut Vec<(B::Name, B::State)>) {
    let (mut kept, mut last) = (Vec::new(), None);
    while let Some((name, state)) = lost.pop() {
        let Err(error) = bucket.restore(&name, &state).await else {
            tracing::warn!(bucket = B::BUCKET, %name, "wrote again what a bucket had lost");
            continue;
        };
        kept.push((name, state));
        let is_away = may_pass(&error);
        last = Some(error);
        if is_away {
            break;
        }
    }
    lost.append(&mut kept);
    if let Some(error) = last {
        let (error, entries) = (&error as &dyn Error, lost.len());
        tracing::warn!(error, bucket = B::BUCKET, entries, "what a bucket lost is written later");
    }
}
