//! Acknowledgements of plain clients.
//!
//! A client of `tidings.v1` acknowledges by itself. A plain client is asked with a Ping that carries the last sequence; its
//! Pong, which every browser returns by itself and in order (RFC 6455, section 5.5.3), proves that everything before it
//! arrived. Asked at the worker's tick, so that a stream of messages costs one question and not one each; stored at once,
//! so that a client that acknowledges and reconnects, however quickly, resumes behind what it acknowledged.

use std::rc::Rc;

use tidings_protocol::server::Form;

use super::Worker;
use super::connection::Connection;

impl Worker {
    /// Asks the connection at the next tick, if its client does not acknowledge by itself.
    pub(super) fn want_ack(&self, connection: &Rc<Connection>) {
        if connection.form() == Form::Plain && connection.state().want_ack() {
            self.ack_wanted.borrow_mut().push(connection.id());
        }
    }

    /// Asks plain clients whether they have received what they were sent.
    pub(super) fn request_acks(&self) {
        for connection in self.ack_wanted.take().into_iter().filter_map(|id| self.connection(id)) {
            connection.request_ack(&mut connection.state());
        }
    }
}
