//! A fresh token on a live connection.
//!
//! With a known key it is decided at once, so that what the client says next already finds what the token opens. With a
//! new key the issuer has to be asked, and the connection goes on meanwhile with what it has.

use std::fmt::Display;
use std::rc::Rc;

use axum::http::StatusCode;
use tidings_access::{Claims, Refusal, Token};
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};
use tidings_protocol::server::ServerMessage;

use super::Shard;
use super::connection::Connection;
use crate::audit::Refused;
use crate::auth::authenticate::{self as handshake, Denied};
use crate::replica::frame::Form;
use crate::worker::connection::pending::{MAX_WAITING, too_many};
use crate::worker::connection::state::State;

impl Shard {
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
            Err(refusal) => return self.decided(connection, state, Err(refusal), id),
        };
        match self.shared.verifier.verify_known(&token, (self.shared.clock)().into()) {
            Err(refusal) if refusal.may_pass() => {
                if state.waiting().authentications >= MAX_WAITING {
                    return self.refuse(state, &too_many(MAX_WAITING, "verified").in_reply_to(id));
                }
                state.waiting().authentications += 1;
                let (shard, connection) = (Rc::clone(self), Rc::clone(connection));
                self.tasks.spawn_local(async move {
                    let verified = handshake::verify(&shard.shared, &token).await;
                    let mut state = connection.state();
                    state.waiting().authentications -= 1;
                    state.tidy();
                    // A connection that is being closed obeys nothing; one that has ended has left the directory, and
                    // must not enter it again.
                    if !state.phase.is_served() {
                        return;
                    }
                    shard.decided(&connection, &mut state, verified, id);
                    connection.flush_now(&mut state);
                });
            }
            verified => self.decided(connection, state, verified, id),
        }
    }

    fn decided(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        state: &mut State,
        verified: Result<Claims, Refusal>,
        id: Option<MessageId>,
    ) {
        let passport = verified.map_err(Denied::from).and_then(|claims| {
            let device = state.session.passport().consumer.device();
            handshake::passport(&self.shared, &claims, Some(device))
        });
        let who = state.session.passport().user();
        let refused = |code: &str, why: &dyn Display| {
            let (what, status) = ("authenticate", StatusCode::UNAUTHORIZED);
            let (who, from) = (who.as_ref(), connection.from);
            self.shared.audit.refused(&Refused { what, status, code, why, who, from });
        };
        if let Err(denied) = &passport {
            refused(denied.code(), denied);
        }
        let renewed = passport
            .map_err(|denied| ErrorMessage::new(ErrorCode::Unauthorized, denied.to_string()))
            .and_then(|fresh| {
                let expires = fresh.expires_at;
                let effects = state.session.renew(fresh).inspect_err(|error| {
                    refused(error.code().as_str(), &error.message());
                })?;
                Ok((effects, expires))
            });
        match renewed {
            Ok((effects, expires)) => {
                for effect in effects {
                    self.act(connection, state, effect);
                }
                if connection.form() == Form::Sequenced {
                    let authenticated = ServerMessage::Authenticated { expires, original_message_id: id };
                    state.say_text(&authenticated.to_json((self.shared.clock)()));
                }
            }
            Err(error) => self.refuse(state, &error.in_reply_to(id)),
        }
    }
}
