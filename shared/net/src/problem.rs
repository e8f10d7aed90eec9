//! What a request is refused with: a problem of RFC 9457, with a `code` that programs read. Every service of Tidings answers
//! errors over HTTP in this one form.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// What the `type` of a problem, a URI, begins with; its code is the rest.
const TYPES: &str = "urn:tidings:error:";

/// The answer to a refused request.
#[derive(Debug, Clone)]
pub struct Problem<'p> {
    /// The status of the answer.
    pub status: StatusCode,
    /// The kind of problem, for programs, such as `TOKEN_EXPIRED`. Its meaning never changes.
    pub code: &'p str,
    /// What problems of this kind have in common, for people.
    pub title: &'p str,
    /// What is particular to this one, for people.
    pub detail: &'p str,
    /// Further members.
    pub more: &'p [(&'static str, Value)],
}

impl Problem<'_> {
    /// The members that say what is particular to this problem: `code`, `detail` and the further ones.
    #[must_use]
    pub fn own_members(&self) -> Map<String, Value> {
        let own = [("code", self.code.into()), ("detail", self.detail.into())];
        let members = own.into_iter().chain(self.more.iter().cloned());
        members.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> String {
        let mut problem = Map::from_iter([
            ("type".to_owned(), format!("{TYPES}{}", self.code).into()),
            ("title".to_owned(), self.title.into()),
            ("status".to_owned(), self.status.as_u16().into()),
        ]);
        problem.extend(self.own_members());
        Value::Object(problem).to_string() + "\n"
    }
}

impl IntoResponse for Problem<'_> {
    fn into_response(self) -> Response {
        (self.status, [(CONTENT_TYPE, PROBLEM_JSON)], self.body()).into_response()
    }
}
