//! What production grants the NATS users of Tidings is enough for all of this.

use harness::{BOUND, Setup};
use serde_json::json;

use crate::site::{admin, json_lines, open, request, token_of};

const SCRIPT: &str = include_str!("../../deploy/nats-users.sh");

/// The subjects that a variable of the script lists.
fn subjects(variable: &str) -> Vec<&'static str> {
    let line = SCRIPT.lines().find_map(|line| line.strip_prefix(variable)?.strip_prefix('='));
    let line = line.unwrap_or_else(|| panic!("the script sets {variable}"));
    line.trim_matches(|quote| quote == '\'' || quote == '"').split(',').collect()
}

#[tokio::test]
async fn tidings_needs_no_more_than_it_is_granted() {
    let publish = ["streams", "projector_pub", "gateway_pub", "service_pub"].map(subjects).concat();
    let subscribe = [vec!["_INBOX.>"], subjects("service_sub")].concat();
    let permissions = json!({ "publish": publish, "subscribe": subscribe });
    let users = json!([{ "user": "tidings", "password": "tidings", "permissions": permissions }]);
    let nats = format!("authorization: {{ users: {users} }}\nno_auth_user: tidings");
    let system = Setup::default().nats(&nats).start().await;
    let address = system.address();

    let ada = token_of("ada", &json!({}));
    let mut client = open(address, &ada).await;
    let (status, body) = request("GET", address, "connections", &admin()).await;
    assert_eq!((status, json_lines(&body).len()), (200, 1), "{body}");
    let (status, body) = request("POST", address, "users/ada/disable", &admin()).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(client.close_code(BOUND).await, Some(4503));
    let output = system.gateway.output();
    assert!(!output.contains("NATS refuses"), "{output}");
}
