//! Operations on where users are reached: by administrators, and by users' browsers.

use serde_json::json;

use super::Operation;
use crate::api::openapi::codes::{PAGE, TOKEN};
use crate::error::ApiCode;

pub(super) fn operations() -> Vec<Operation> {
    let contacts = |method, id, summary| {
        let operation = Operation::admin((method, "/api/v1/users/{user}/contacts"), id, summary);
        operation
            .refused(&[ApiCode::User, ApiCode::Path])
            .refused(&[ApiCode::ContactsOff, ApiCode::ContactsUnreadable])
    };
    vec![
        contacts("get", "showContacts", "Shows where a user is reached, redacted").gives("Them.", "Contacts"),
        contacts("put", "setContacts", "Sets contacts of the given kinds; the others stay")
            .json("NewContacts", true)
            .gives("All of them, redacted.", "Contacts"),
        contacts("delete", "forgetContacts", "Forgets all contacts of a user").done("There are none."),
        push(("put", "subscribePush", "Has a browser's notifications sent to it while no page is open"))
            .json("BrowserSubscription", true)
            .done("It is registered."),
        push(("delete", "unsubscribePush", "Ends that"))
            .done("There is none.")
            .refused(&[ApiCode::BodyUnexpected]),
    ]
}

/// A request about the browser of a device.
fn push((method, id, summary): (&'static str, &'static str, &'static str)) -> Operation {
    let refusals = [
        ApiCode::Parameter,
        ApiCode::ParameterRepeated,
        ApiCode::DeviceName,
        ApiCode::ConsumerName,
        ApiCode::TooManyEvents,
        ApiCode::Draining,
        ApiCode::Unavailable,
        ApiCode::ContactsOff,
        ApiCode::ContactsUnreadable,
    ];
    let operation = Operation::new("clients", (method, "/api/push"), id, summary);
    operation
        .secured(json!([{ "token": [] }, { "query": [] }, { "cookie": [] }]))
        .parameter("query", "device", false, "The name of this device, 1 to 64 characters.")
        .refused(TOKEN)
        .refused(PAGE)
        .refused(&refusals)
}
