//! Pacing: a connection of a tenant with digests is given something at most once in a while, and then everything that has
//! come meanwhile as one message.
//!
//! Nothing is invented that would have to be kept: the envelopes stay single in the stream, in the replica and in every
//! position. A connection that was just given something does not take what comes next, as if it were slow, and reads it
//! from the replica when its time has come; what it reads is joined on its way into the queue. So a digest is as exact and
//! as ordered as what a returning client is sent, whatever process is killed, and a connection that waits holds no memory
//! but its position. A digest has the sequence of its last envelope, and is acknowledged by it.

use std::rc::Rc;
use std::sync::Arc;

use tidings_catalog::Digest;
use tidings_replica::{DigestFrame, FramedEnvelope};

use super::send_queue::Shape;
use super::{Connection, State};

impl State {
    /// Adds an envelope to what is collected. `false` if nothing is, or if it is too long for any message.
    pub(super) fn collect(&mut self, framed: &FramedEnvelope, shape: Shape) -> bool {
        let Some(collected) = self.pending.as_mut().and_then(|pending| pending.collected.as_mut()) else {
            return false;
        };
        let deflate = shape.is_compressed.then(|| &**self.common.deflate());
        let fits = framed.is_within(shape.form, usize::try_from(shape.most).unwrap_or(usize::MAX));
        let (_, digest) = &mut **collected;
        let finished = if fits { digest.add(framed, deflate) } else { digest.finish(deflate) };
        if let Some(finished) = finished {
            self.queue.give_frame(finished);
        }
        fits
    }
}

impl Connection {
    /// Gives the connection what was collected, unless the sequences in it mean nothing any more. From here on, what a
    /// replay gives is collected for a digest, if there is one.
    pub(in crate::worker) fn collect_for(&self, digest: Option<Arc<Digest>>) {
        let state = &mut *self.state();
        let common = Rc::clone(&state.common);
        let deflate = self.shape.is_compressed.then(|| &**common.deflate());
        let collected = state.pending.as_mut().and_then(|pending| pending.collected.take());
        if let Some((epoch, mut collected)) = collected.map(|collected| *collected)
            && let Some(frame) = collected.finish(deflate)
            && state.is_served()
            && state.shard().epoch() == epoch
        {
            state.queue.give_frame(frame);
            state.pace(collected.digest().every());
        }
        match digest {
            Some(digest) => {
                let most = usize::try_from(self.shape.most).unwrap_or(usize::MAX).min(common.bounds.1);
                let epoch = state.shard().epoch();
                let collected = DigestFrame::new(digest, self.shape.form, most);
                state.pending().collected = Some(Box::new((epoch, collected)));
            }
            None => state.tidy(),
        }
    }
}
