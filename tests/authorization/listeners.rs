//! Who listens, and the model of who hears what.

use harness::{BOUND, Client, Dial, SECRET, System, token};
use serde_json::{Value, json};

use crate::ids::{DEVICES, ids};
use crate::publications::{Publication, Reader};

/// Somebody with a token, and with a lesser one for later.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) tenant: &'static str,
    /// What the token says.
    pub(crate) claims: Value,
    /// What a later token of the same user says.
    pub(crate) later: Value,
    topics: Vec<&'static str>,
    device: String,
    /// Whether it speaks `tidings.v1`, and so is told when it has caught up.
    pub(crate) is_sequenced: bool,
}

/// For every tenant and every claim that opens something in any tenant, somebody with each id in it.
pub(crate) fn listeners() -> Vec<Listener> {
    let mut all = Vec::new();
    for tenant in ["cnc", "documents", "ops", "shelter", "uploads"] {
        for (number, id) in ids().iter().enumerate() {
            let user = format!("user {number}");
            all.push(Listener::new(tenant, json!({ "sub": id }), json!({ "sub": id, "role": "sre" })));
            if tenant == "cnc" {
                let lost = json!({ "sub": user, "role": id, "shelterId": id });
                all.push(Listener::new(tenant, json!({ "sub": user, "orgId": id }), lost));
            }
            if tenant == "shelter" {
                let swapped = json!({ "sub": user, "role": "volunteer", "shelterId": id });
                all.push(Listener::new(tenant, json!({ "sub": user, "role": id }), swapped));
                let other = json!({ "sub": format!("{user} too"), "shelterId": "another" });
                all.push(Listener::new(
                    tenant,
                    json!({ "sub": format!("{user} too"), "shelterId": id }),
                    other,
                ));
            }
        }
    }
    all.extend(special());
    for (listener, device) in all.iter_mut().zip(DEVICES.iter().cycle()) {
        (*device).clone_into(&mut listener.device);
    }
    all
}

fn special() -> Vec<Listener> {
    let roles =
        |sub: &str, role: Value, shelter: Value| json!({ "sub": sub, "role": role, "shelterId": shelter });
    let mut all = vec![
        // The roles of the contract, alone and together with what they are to lose.
        Listener::new("shelter", roles("r1", json!("first_responder"), json!(null)), json!({ "sub": "r1" })),
        Listener::new(
            "shelter",
            roles("r2", json!("emergency_coordinator"), json!(null)),
            json!({ "sub": "r2", "role": "first_responder" }),
        ),
        Listener::new(
            "shelter",
            roles("r3", json!("shelter_operator"), json!("ada")),
            json!({ "sub": "r3", "role": "shelter_operator" }),
        ),
        Listener::new(
            "shelter",
            roles("r4", json!(["first_responder", "emergency_coordinator", "*"]), json!(["ada", "a b", ">"])),
            roles("r4", json!(["*"]), json!(["a b"])),
        ),
        // Claims that are numbers, empty, or nothing that a claim should be.
        Listener::new("shelter", roles("r5", json!(7), json!(7.0)), roles("r5", json!(""), json!(""))),
        Listener::new(
            "shelter",
            roles("r6", json!([["ada"], { "a": "ada" }, null, "", true]), json!({ "id": "ada" })),
            json!({ "sub": "r6" }),
        ),
        Listener::new(
            "cnc",
            json!({ "sub": "o1", "orgId": ["ada", "Ada", "*", "ada"] }),
            json!({ "sub": "o1", "orgId": ["Ada"] }),
        ),
        Listener::new("cnc", json!({ "sub": "o2", "orgId": "" }), json!({ "sub": "o2" })),
        Listener::new(
            "cnc",
            json!({ "sub": "o3", "orgId": "x".repeat(513) }),
            json!({ "sub": "o3", "orgId": null }),
        ),
    ];
    let topics = ["incidents", "tasks", "assets", "alerts", "metrics"];
    for topic in topics {
        all.push(
            Listener::new(
                "ops",
                json!({ "sub": format!("t {topic}") }),
                json!({ "sub": format!("t {topic}"), "role": topic }),
            )
            .topics(&[topic]),
        );
    }
    all.push(
        Listener::new("ops", json!({ "sub": "t all", "role": "sre" }), json!({ "sub": "t all" }))
            .topics(&topics),
    );
    // Clients without a subprotocol, beside others of the same users.
    for (tenant, claims) in [
        ("shelter", roles("r4", json!(["first_responder", ">"]), json!("ada"))),
        ("ops", json!({ "sub": "john.doe@example.com" })),
        ("uploads", json!({ "sub": "a/b" })),
        ("documents", json!({ "sub": "\u{0}" })),
        ("cnc", json!({ "sub": "o1", "orgId": ">" })),
    ] {
        let later = json!({ "sub": claims["sub"] });
        all.push(Listener { is_sequenced: false, ..Listener::new(tenant, claims, later) });
    }
    all
}

impl Listener {
    fn new(tenant: &'static str, claims: Value, later: Value) -> Self {
        let with_tenant = |mut claims: Value| {
            claims["tenant"] = tenant.into();
            claims
        };
        let (claims, later) = (with_tenant(claims), with_tenant(later));
        Self { tenant, claims, later, topics: Vec::new(), device: String::new(), is_sequenced: true }
    }

    fn topics(mut self, topics: &[&'static str]) -> Self {
        topics.clone_into(&mut self.topics);
        self
    }

    /// The model: whether somebody with these claims is addressed.
    pub(crate) fn hears(&self, claims: &Value, publication: &Publication) -> bool {
        self.tenant == publication.tenant
            && publication.readers.iter().any(|reader| match reader {
                Reader::Everybody => true,
                Reader::With(claim, text) => texts(&claims[claim]).contains(text),
                // Who asks for no topic has all of them from the start.
                Reader::Subscriber(topic) => self.topics.is_empty() || self.topics.contains(topic),
            })
    }

    /// What somebody with these claims hears of all that is published, in order.
    pub(crate) fn expected(&self, claims: &Value, publications: &[Publication]) -> Vec<String> {
        let heard = publications.iter().filter(|publication| self.hears(claims, publication));
        heard.map(|publication| publication.mark.clone()).collect()
    }

    /// Connects with these claims.
    pub(crate) async fn open(&self, system: &System, claims: &Value) -> Client {
        let dial =
            Dial::new(system.address()).query("device", &self.device).bearer(&token(SECRET, claims.clone()));
        if self.is_sequenced { dial.subprotocol("tidings.v1").open().await } else { dial.open().await }
    }

    pub(crate) async fn subscribe(&self, client: &mut Client) {
        if !self.topics.is_empty() {
            client.send_json(&json!({ "action": "subscribe", "topics": self.topics })).await;
        }
    }
}

/// The texts of a claim: its own, or those of a list; a number counts by its value, and what is empty is nothing.
fn texts(claim: &Value) -> Vec<String> {
    let elements = claim.as_array().cloned().unwrap_or_else(|| vec![claim.clone()]);
    let texts = elements.iter().filter_map(|element| match element {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string().trim_end_matches(".0").to_owned()),
        Value::Bool(_) => Some(element.to_string()),
        _ => None,
    });
    texts.filter(|text| !text.is_empty()).collect()
}

/// What a client has received until it is told that there is no more, and acknowledges.
pub(crate) async fn heard(client: &mut Client, last: &str) -> Vec<String> {
    let messages = client.until(BOUND, |message| message["action"] == last).await;
    if let Some(sequence) = messages.iter().rev().find_map(|message| message["seq"].as_u64()) {
        client.send_json(&json!({ "action": "ack", "seq": sequence })).await;
    }
    messages.iter().filter_map(mark).collect()
}

/// As [`heard`], of a client that is live.
pub(crate) async fn heard_live(client: &mut Client) -> Vec<String> {
    client.send_json(&json!({ "action": "ping" })).await;
    heard(client, "pong").await
}

/// The mark of a message; none for what the gateway says itself.
fn mark(message: &Value) -> Option<String> {
    let action = message["action"].as_str().unwrap_or_default();
    if ["welcome", "caught_up", "pong", "subscribed", "authenticated"].contains(&action) {
        return None;
    }
    // Any `«…»` is a mark: no id has both.
    let text = message.to_string();
    let marked = text.split_once('«').and_then(|(_, rest)| rest.split_once('»'));
    let marked = marked.map(|(mark, _)| format!("«{mark}»"));
    let bare = || Some(format!("{} of {:?}", message["type"].as_str()?, message["orgId"].as_str()?));
    marked.or_else(bare).or_else(|| panic!("nobody published {message}"))
}
