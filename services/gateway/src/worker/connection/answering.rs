//! A connection that is one request: it ends with its answer.

use std::time::Duration;

use tidings_protocol::close::CloseCode;
use tokio::time::Instant;

use super::{Connection, State};

impl Connection {
    /// Has a request for a page answered with what there is.
    fn end_page(&self, state: &mut State) {
        if let Some(mut page) = self.socket.page() {
            page.end();
        }
        self.flush_now(state);
    }

    /// Answers a request for a page, unless it waits for the answers to what its client has sent; or ends the connection when
    /// that is done.
    pub(super) fn complete_page(&self, state: &mut State) {
        let Some(mut page) = self.socket.page() else { return };
        let now = Instant::now();
        if page.has_ended() {
            drop(page);
            state.closed_by_client(Some(CloseCode::Normal.into()), now);
        } else {
            state.tidy();
            let has_taken_all = state.queue.is_empty() && state.behind().is_none();
            if !page.answer(has_taken_all.then(|| state.reached()), state.pending.is_some()) {
                return;
            }
            drop(page);
            state.last_heard = now;
        }
        self.flush_now(state);
    }

    /// Answers a request for a page whose time is over, or gives up a client that does not take its answer. Returns when
    /// something is due next.
    pub(super) fn run_page_timer(
        &self,
        state: &mut State,
        now: Instant,
        (idle_timeout, time_left): (Duration, Duration),
    ) -> Option<Instant> {
        let Some(late) = self.socket.page()?.patience() else {
            let silent = state.last_heard + idle_timeout;
            if silent <= now {
                state.end();
            }
            return state.is_served().then_some(silent);
        };
        if state.leaves_at + late <= now || time_left.is_zero() {
            self.end_page(state);
            return state.is_served().then_some(now + idle_timeout);
        }
        Some(state.leaves_at.max(now).min(now + time_left))
    }
}
