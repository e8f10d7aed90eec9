//! A fresh token on a live connection.
//!
//! With a known key it is verified at once, so that the client's next message already finds what the token grants. With a
//! new key the issuer has to be asked, and the connection continues meanwhile with what it has.

use std::fmt::Display;
use std::rc::Rc;

use axum::http::StatusCode;
use tidings_access::{Claims, Refusal, Token};
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};
use tidings_protocol::server::{Form, ServerMessage};

use super::Worker;
use super::connection::{Connection, MAX_PENDING, State, too_many};
use crate::error::ApiError;

impl Worker {
    /// Takes a fresh token of the same user.
    pub(super) fn authenticate(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        state: &mut State,
        token: &str,
        id: Option<MessageId>,
    ) {
        let token = match Token::parse(token) {
            Ok(token) => token,
            Err(refusal) => return self.renew(connection, state, Err(refusal), id),
        };
        match self.context.authenticator.verify_known(&token) {
            Err(refusal) if refusal.may_pass() => {
                if state.pending().authentications >= MAX_PENDING {
                    return self.refuse(state, &too_many(MAX_PENDING, "verified").in_reply_to(id));
                }
                state.pending().authentications += 1;
                let (worker, connection) = (Rc::clone(self), Rc::clone(connection));
                self.spawn(async move {
                    let verified = worker.context.authenticator.verify(&token).await;
                    let mut state = connection.state();
                    state.pending().authentications -= 1;
                    state.tidy();
                    // A connection that is being closed obeys nothing; one that has ended has left the routing table,
                    // and must not enter it again.
                    if !state.is_served() {
                        return;
                    }
                    worker.renew(&connection, &mut state, verified, id);
                    connection.flush_now(&mut state);
                });
            }
            verified => self.renew(connection, state, verified, id),
        }
    }

    fn renew(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        state: &mut State,
        verified: Result<Claims, Refusal>,
        id: Option<MessageId>,
    ) {
        let device = state.principal().consumer.device().to_owned();
        let fresh = verified
            .map_err(ApiError::from)
            .and_then(|claims| self.context.authenticator.principal(&claims, &device));
        let user = state.principal().user();
        let refused = |code: &str, why: &dyn Display| {
            let status = (StatusCode::UNAUTHORIZED, code);
            self.context.audit.refused_with("authenticate", status, why, user.as_ref(), connection.from());
        };
        if let Err(error) = &fresh {
            refused(error.code().as_str(), error);
        }
        let renewed = fresh
            .map_err(|error| ErrorMessage::new(ErrorCode::Unauthorized, error.to_string()))
            .and_then(|fresh| {
                let expires = fresh.expires_at;
                let effects = state.session().renew(fresh).inspect_err(|error| {
                    refused(error.code().as_str(), &error.message());
                })?;
                Ok((effects, expires))
            });
        match renewed {
            Ok((effects, expires)) => {
                for effect in effects {
                    self.apply(connection, state, effect);
                }
                if connection.form() == Form::Sequenced {
                    let authenticated = ServerMessage::Authenticated { expires, original_message_id: id };
                    state.send_text(&authenticated.to_json(self.now()));
                }
            }
            Err(error) => self.refuse(state, &error.in_reply_to(id)),
        }
    }
}
