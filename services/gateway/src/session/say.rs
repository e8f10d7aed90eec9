//! What a client says that is to become an event: whether its token lets it.

use tidings_catalog::Unsaid;
use tidings_protocol::client::Object;
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};

use super::{Effect, Session};

impl Session {
    pub(super) fn say(
        &self,
        verb: &str,
        frame: &Object,
        id: Option<MessageId>,
    ) -> Result<Vec<Effect>, ErrorMessage> {
        let passport = &self.passport;
        let catalog = self.catalogs.get(passport.tenant());
        let said = catalog
            .ok_or_else(|| Unsaid::unknown(verb))
            .and_then(|catalog| catalog.say(verb, frame, &passport.keys, &passport.voice));
        Ok(vec![Effect::Publish { said: said.map_err(|unsaid| refusal(&unsaid))?, id }])
    }
}

/// Why not, as the client is told.
pub(crate) fn refusal(unsaid: &Unsaid) -> ErrorMessage {
    let code = match unsaid {
        Unsaid::Unknown(_) => ErrorCode::UnknownAction,
        Unsaid::Forbidden(_) => ErrorCode::Forbidden,
        Unsaid::Rejected(_) => ErrorCode::InvalidMessage,
    };
    let error = ErrorMessage::new(code, unsaid.to_string());
    let Unsaid::Rejected(_) = unsaid else { return error };
    let error = error.with_detail("reason", unsaid.reason());
    match unsaid.pointer() {
        Some(pointer) => error.with_detail("pointer", pointer),
        None => error,
    }
}
