//! Answering a request with the newest envelope of a key.

use std::rc::Rc;
use std::sync::Arc;

use tidings_model::{EnvelopeSubject, Tenant};
use tidings_protocol::error::{ErrorCode, ErrorMessage};
use tidings_protocol::framing::{Opcode, frame};
use tidings_streams::StoredEnvelope;

use super::Shard;
use super::connection::Connection;
use crate::framed::{Form, FramedEnvelope};

impl Shard {
    /// Looks the newest up and sends its body. An answer is no delivery: it has no sequence, so
    /// that no client takes it for a position.
    pub(super) fn answer_newest(
        &self,
        connection: &Rc<Connection>,
        tenant: &Tenant,
        subjects: Vec<EnvelopeSubject>,
        otherwise: ErrorMessage,
    ) {
        let (shared, lane, connection) = (self.shared.clone(), Arc::clone(&self.lane), Rc::clone(connection));
        let generation = self.generations.borrow().current(tenant).unwrap_or_default();
        self.tasks.spawn_local(async move {
            let mut newest: Option<StoredEnvelope> = None;
            let mut failed = None;
            for subject in &subjects {
                match tidings_streams::newest(&lane.topology, subject, generation).await {
                    Ok(Some(found))
                        if newest.as_ref().is_none_or(|other| other.sequence < found.sequence) =>
                    {
                        newest = Some(found);
                    }
                    Ok(_) => {}
                    Err(error) => failed = Some(error),
                }
            }
            let answer = match (newest, failed) {
                (Some(found), _) => {
                    let most = connection.state().allowance.tenant().max_message_bytes();
                    FramedEnvelope::new(found).frame_within(Form::Plain, most, None).into_owned()
                }
                (None, None) => frame(Opcode::Text, otherwise.to_json((shared.clock)()).as_bytes()),
                (None, Some(error)) => {
                    tracing::warn!(%error, "cannot look up the newest envelope for a client");
                    let sorry = ErrorMessage::new(
                        ErrorCode::Internal,
                        "the answer cannot be looked up now; ask again",
                    );
                    frame(Opcode::Text, sorry.to_json((shared.clock)()).as_bytes())
                }
            };
            let mut state = connection.state();
            state.say(answer);
            connection.flush_now(&mut state);
        });
    }
}
