//! Two gateways, those who connect to them, and those who look after these.

use harness::{BOUND, Client, Dial, Gateway, Refusal, SECRET, Setup, System, token};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A system with a second gateway.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) system: System,
    pub(crate) second: Gateway,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let system = setup.start().await;
        let second = system.another_gateway(&[]).await;
        Self { system, second }
    }

    /// The addresses of both gateways.
    pub(crate) fn addresses(&self) -> [&str; 2] {
        [self.system.address(), &self.second.address]
    }

    /// Runs `tidings` to its end and returns what it printed. The test fails unless it succeeds.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        self.system.command(arguments).finish(BOUND).await.succeeded()
    }

    /// `tidings users <verb> --tenant ops --user <user>`, and what it printed.
    pub(crate) async fn users(&self, verb: &str, user: &str) -> String {
        self.run(&["users", verb, "--tenant", "ops", "--user", user]).await
    }

    /// What the connections of the tenant `ops` are, by `tidings connections ls`.
    pub(crate) async fn connections(&self, more: &[&str]) -> Vec<Value> {
        let arguments = [&["connections", "ls", "--tenant", "ops", "--json"], more].concat();
        json_lines(&self.run(&arguments).await)
    }
}

/// A token of the tenant `ops` for this user, with these claims besides.
pub(crate) fn token_of(user: &str, more: &Value) -> String {
    let mut claims = json!({ "tenant": "ops", "sub": user });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    token(SECRET, claims)
}

/// A token of one who looks after the users of `ops`.
pub(crate) fn admin() -> String {
    token_of("root", &json!({ "scope": "openid tidings:admin" }))
}

/// Opens a connection; when this returns, a shard serves it.
pub(crate) async fn open(address: &str, token: &str) -> Client {
    let mut client = Dial::new(address).bearer(token).open().await;
    client.expect_nothing_before_pong(BOUND).await;
    client
}

/// How the gateway refuses a handshake: the status and the code.
pub(crate) async fn refused(address: &str, token: &str) -> (u16, String) {
    let Refusal { status, body, .. } = Dial::new(address).bearer(token).refused().await;
    (status, code(&body))
}

/// A request of the admin interface: the status and the answer.
pub(crate) async fn request(method: &str, address: &str, path: &str, token: &str) -> (u16, String) {
    request_with(method, address, path, token, None).await
}

/// As [`request`], with this JSON.
pub(crate) async fn request_with(
    method: &str,
    address: &str,
    path: &str,
    token: &str,
    body: Option<Value>,
) -> (u16, String) {
    let url = format!("{address}/api/v1/{path}");
    let request = reqwest::Client::new().request(method.parse().unwrap(), url).bearer_auth(token);
    let request = match body {
        Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
        None => request,
    };
    let exchange = async {
        let response = request.send().await.expect("the gateway answers");
        (response.status().as_u16(), response.text().await.expect("the answer is complete"))
    };
    tokio::time::timeout(BOUND, exchange).await.expect("the gateway answers in time")
}

/// The code of an answer that says no.
pub(crate) fn code(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    body["code"].as_str().unwrap_or_else(|| panic!("no code in {body}")).to_owned()
}

/// The seconds of a time as every interface shows it: RFC 3339 in UTC with milliseconds.
pub(crate) fn seconds(time: &Value) -> i64 {
    assert!(is_time(time), "{time}");
    OffsetDateTime::parse(time.as_str().unwrap(), &Rfc3339).unwrap().unix_timestamp()
}

pub(crate) fn is_time(time: &Value) -> bool {
    time.as_str().is_some_and(|time| time.len() == "2025-01-17T16:00:00.000Z".len() && time.ends_with('Z'))
}

pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{text}"))).collect()
}
