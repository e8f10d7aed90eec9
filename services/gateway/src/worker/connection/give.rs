//! Giving envelopes to a connection: on the live path, and from a replay.

use std::rc::Rc;

use tidings_model::Epoch;
use tidings_replica::FramedEnvelope;

use super::send_queue::{Batch, BatchRun};
use super::{Connection, Given, State};

impl State {
    /// From here on the worker is sent all that comes to the connection. What was routed before that is given from the
    /// replica, so the connection is not live until the worker has come so far, which it mostly has.
    pub(in crate::worker) fn join_worker(&mut self) {
        let live_from = self.shard.place().live_from();
        let waits = self.shard.cursor() < live_from;
        if waits || self.pending.is_some() {
            self.pending().live_from = if waits { live_from } else { 0 };
            self.tidy();
        }
    }

    /// Whether the worker, which has come to `cursor`, is sent all that comes to the connection behind that.
    pub(super) fn has_joined_worker(&mut self, cursor: u64) -> bool {
        let live_from = self.pending.as_ref().map_or(0, |pending| pending.live_from);
        if live_from > cursor {
            return false;
        }
        if live_from > 0 {
            self.pending().live_from = 0;
            self.tidy();
        }
        true
    }
}

impl Connection {
    /// Offers a run of envelopes on the live path. `true` if the connection must be flushed and was not waiting to be
    /// already.
    pub(in crate::worker) fn offer(&self, run: &BatchRun<'_>) -> bool {
        let mut state = self.state();
        if self.offer_whole(&mut state, run) {
            return true;
        }
        let was_idle = state.queue.is_empty();
        for index in run.range() {
            self.offer_one(&mut state, run.batch, index);
        }
        was_idle && !state.queue.is_empty()
    }

    /// Gives the whole run to a connection that keeps up, which comes to the same as one by one; `false` if it may not.
    fn offer_whole(&self, state: &mut State, run: &BatchRun<'_>) -> bool {
        if !state.is_live() || !state.queue.is_empty() || state.has(run.first) {
            return false;
        }
        let Some(length) = run.whole_length(self.shape) else { return false };
        let count = run.share.count();
        if count > state.common.max_queued_messages || length > state.common.max_queued_bytes {
            return false;
        }
        state.queue.give_whole(run.batch, run.share, self.shape, length);
        state.note_given(run.last, count);
        true
    }

    fn offer_one(&self, state: &mut State, batch: &Rc<Batch>, index: usize) {
        let Some(framed) = batch.envelopes().get(index) else { return };
        if !state.is_served() {
            state.missed_after = state.missed_after.min(framed.sequence() - 1);
        }
        if !state.is_live() || state.has(framed) {
            return;
        }
        if framed.envelope().origin.part > 0 && state.last_message.is_none() {
            // Another part of the message may lie before the connection's position.
            state.catch_up_after(framed.sequence() - 1);
            return state.wake();
        }
        if state.is_full() {
            self.flush_now(state);
            if state.is_full() {
                // A slow reader costs nothing more from here on, and loses nothing.
                state.catch_up_after(framed.sequence() - 1);
                return;
            }
        }
        state.queue.give(batch, index, self.shape);
        state.note_given(framed, 1);
    }

    /// Queues an envelope.
    fn queue(&self, state: &mut State, framed: &FramedEnvelope) {
        let frame = self.shape.frame(framed, &state.common.deflate).into_owned();
        state.queue.push(frame);
        state.note_given(framed, 1);
    }

    /// Gives a replayed envelope of this life of the stream to the connection, if it may have it. `is_repeated` says that it
    /// has received another part of the same message.
    pub(in crate::worker) fn give(&self, epoch: Epoch, framed: &FramedEnvelope, is_repeated: bool) -> Given {
        let mut state = self.state();
        if state.shard().epoch() != epoch {
            return Given::All;
        }
        if state.is_full() {
            self.flush_now(&mut state);
        }
        if state.is_full() {
            return Given::Full;
        }
        state.move_on(framed.sequence());
        let is_wanted = state.behind().is_some() && !is_repeated && !state.has(framed);
        if is_wanted && state.session().receives(framed.sequence(), framed.envelope()) {
            self.queue(&mut state, framed);
        }
        Given::All
    }
}
