//! Operations on what users want to be told by which channel, and when not.

use serde_json::json;

use super::Operation;
use crate::api::openapi::codes::TOKEN;
use crate::error::ApiCode;

pub(super) fn operations() -> Vec<Operation> {
    let (own, one) = ("/api/preferences", "/api/v1/users/{user}/preferences");
    let of_user = |what, id, summary| {
        let operation = Operation::new("clients", what, id, summary).secured(json!([{ "token": [] }]));
        operation.refused(TOKEN).refused(&[
            ApiCode::Parameter,
            ApiCode::TooManyAttempts,
            ApiCode::Internal,
            ApiCode::Unavailable,
        ])
    };
    let of_link = |method, id, summary| {
        let operation = Operation::new("clients", (method, "/api/unsubscribe/{link}"), id, summary);
        let html = Some(("text/html; charset=utf-8", json!({ "type": "string" })));
        operation.answered(200, "A page for people.", html).refused(&[
            ApiCode::Path,
            ApiCode::Parameter,
            ApiCode::NotFound,
            ApiCode::TooManyAttempts,
            ApiCode::UserUnreadable,
            ApiCode::Internal,
            ApiCode::Unavailable,
        ])
    };
    let one_click = json!({ "type": "object", "required": ["List-Unsubscribe"], "properties": {
        "List-Unsubscribe": { "type": "string", "const": "One-Click" },
    } });
    let form = json!({ "application/x-www-form-urlencoded": { "schema": one_click } });
    let at = [ApiCode::User, ApiCode::Path];
    let text = "What the user wants to be told by which channel, and when not.";
    let now = "What the user has set now.";
    vec![
        of_user(("get", own), "showOwnPreferences", "Shows what the token's user has set")
            .gives(text, "Preferences")
            .refused(&[ApiCode::BodyUnexpected]),
        of_user(("put", own), "setOwnPreferences", "Sets all of that; what is not said is not set")
            .json("NewPreferences", true)
            .gives(now, "Preferences"),
        of_link("get", "showUnsubscription", "Shows what the link of an e-mail unsubscribes from")
            .refused(&[ApiCode::BodyUnexpected]),
        of_link("post", "unsubscribe", "Unsubscribes at one click (RFC 8058)").body(&form, true),
        Operation::admin(("get", one), "showPreferences", "Shows what a user has set")
            .gives(text, "Preferences")
            .refused(&at),
        Operation::admin(("put", one), "setPreferences", "Sets all of that; what is not said is not set")
            .json("NewPreferences", true)
            .gives(now, "Preferences")
            .refused(&at),
    ]
}
