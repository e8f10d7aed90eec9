//! Prints what happens to a client.

use serde_json::json;
use tidings_client::Happening;

use crate::failure::Failure;
use crate::output::{print_json, print_json_text, print_message, remark};

/// What is printed on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Messages as the catalog renders them; what else happens is remarked on standard error.
    Bodies,
    /// Messages with their sequences and ids, and control messages.
    Sequenced,
    /// An object for everything that happens, for programs.
    Json,
}

/// Prints what happens to a client of a gateway.
pub(crate) struct Screen {
    form: Form,
    url: String,
    /// What is remarked of a connection that is open.
    opened: Option<&'static str>,
    /// The number of connections that were opened.
    connections: u64,
}

impl Screen {
    pub(crate) fn new(url: String, form: Form, opened: Option<&'static str>) -> Self {
        Self { form, url, opened, connections: 0 }
    }

    /// Prints what has happened. True for a message, or an answer that the client did not ask for.
    pub(crate) fn show(&mut self, happening: Happening) -> Result<bool, Failure> {
        if let Happening::Waiting { what, is_unreachable: true, .. } = &happening
            && self.connections == 0
        {
            // A gateway that has never been reachable is not waited for.
            return Err(format!("{what}; is a gateway running there?").into());
        }
        let is_message = matches!(happening, Happening::Message(_) | Happening::Other(_));
        self.connections += u64::from(happening == Happening::Open);
        match self.form {
            Form::Json => self.object(happening)?,
            Form::Bodies | Form::Sequenced => self.line(happening)?,
        }
        Ok(is_message)
    }

    fn line(&self, happening: Happening) -> Result<(), Failure> {
        let everything = self.form == Form::Sequenced;
        match happening {
            Happening::Message(message) => {
                print_message(if everything { &message.text } else { &message.body })?;
            }
            Happening::Other(text) => print_message(&text)?,
            Happening::Gap(text) | Happening::Control(text) if everything => print_message(&text)?,
            Happening::Gap(text) => remark([&*format!("some messages cannot be delivered: {text}")]),
            Happening::Open => {
                if let Some(opened) = self.opened {
                    let again = if self.connections > 1 { " again" } else { "" };
                    // Not on standard output, which holds messages only.
                    remark([&*format!("{opened} {}{again}; Ctrl-C ends", self.url)]);
                }
            }
            Happening::Waiting { what, .. } => remark([&*format!("{what}; connecting again")]),
            _ => {}
        }
        Ok(())
    }

    fn object(&self, happening: Happening) -> Result<(), Failure> {
        match happening {
            // The texts of others as they are, with their digits and in their order.
            Happening::Message(message) => print_json_text(&format!(
                r#"{{"kind":"message","position":{},"message":{}}}"#,
                json!(message.position),
                message.body
            )),
            Happening::Other(text) => print_json_text(&format!(r#"{{"kind":"answer","answer":{text}}}"#)),
            Happening::Gap(text) => print_json_text(&format!(r#"{{"kind":"gap","gap":{text}}}"#)),
            Happening::Open => print_json(&json!({ "kind": "open", "url": self.url })),
            Happening::Waiting { what, after, .. } => {
                let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                print_json(&json!({ "kind": "waiting", "reason": what, "after_ms": after }))
            }
            _ => Ok(()),
        }
    }
}
