//! A team's own streams feed Tidings, end to end: as configured, with what is wrong kept, and through kills.

use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context, stream::Config};
use harness::{BOUND, Client, Launch, SECRET, Setup, System, Tidings, binary, eventually, nats};
use rustix::process::Signal;
use serde_json::{Value, json};

const GUIDE: &str = include_str!("../../shared/producer/README.md");

/// Two streams of the tenant `ops`: the name is in the subject of one, and in the body of the other.
const SOURCES: &str = r#"
[[projector.sources]]
name = "tickets"
stream = "TICKETS"
subjects = ["tickets.*.incident.*"]
tenant = "ops"
event = "{subject.3}.{subject.4}"

[[projector.sources]]
name = "audit"
stream = "AUDIT"
tenant = "ops"
event = "{body.type}"
begin = "new"
[projector.sources.events]
IncidentOpened = "incident.created"
"#;

fn incident(id: &str) -> Value {
    json!({ "id": id, "jira_id": "I", "title": "t", "severity": "low", "status": "open", "squad": "s" })
}

async fn stream(context: &Context, name: &str, subjects: &str) {
    let config = Config { name: name.to_owned(), subjects: vec![subjects.to_owned()], ..Config::default() };
    context.create_stream(config).await.unwrap();
}

async fn publish(context: &Context, subject: &str, body: &Value) {
    eventually("the team's stream stores it", BOUND, async || {
        // A kill between the two may lose the answer.
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("{subject}/{body}").as_str());
        let sent = context.publish_with_headers(subject.to_owned(), headers, body.to_string().into()).await;
        sent.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
    })
    .await;
}

async fn listener(system: &System) -> Client {
    system.subscribed(json!({ "tenant": "ops", "sub": "ada" }), &["incidents"], json!({})).await
}

/// The ids of the incidents up to this one.
async fn ids_until(listener: &mut Client, last: &str) -> Vec<String> {
    let messages = listener.until(2 * BOUND, |message| message["data"]["id"] == last).await;
    messages.iter().filter_map(|message| Some(message["data"]["id"].as_str()?.to_owned())).collect()
}

async fn rejected(system: &System, number: usize) -> Vec<Value> {
    eventually("what could not be mapped is listed", BOUND, async || {
        let listed = system.command(&["rejected", "ls", "--tenant", "ops", "--json"]).finish(BOUND).await;
        let listed: Vec<Value> =
            listed.succeeded().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if listed.len() == number { Ok(listed) } else { Err(format!("{listed:?}")) }
    })
    .await
}

#[tokio::test]
async fn a_teams_streams_become_messages_without_a_change_of_theirs() {
    let mut system = Setup::default().file(SOURCES).start().await;
    let context = jetstream::new(system.client().clone());
    // A source that is missing is said once, and stops nobody.
    for name in ["tickets", "audit"] {
        let line = system.projector.line(&format!("cannot copy the source {name} now"), BOUND).await;
        assert!(line.contains("there is no stream") && line.contains("create it"), "{line}");
    }
    let mut ada = listener(&system).await;
    stream(&context, "TICKETS", "tickets.>").await;
    publish(&context, "tickets.eu.incident.created", &incident("1")).await;
    publish(&context, "tickets.eu.change.created", &json!({ "of": "no interest" })).await;
    publish(&context, "tickets.eu.incident.created", &incident("2")).await;
    assert_eq!(ids_until(&mut ada, "2").await, ["1", "2"]);

    // In the body, with a translation; and one that has none, which is kept with what to do.
    stream(&context, "AUDIT", "audit").await;
    let audited = |kind: &str, id: &str| {
        let mut event = incident(id);
        event["type"] = kind.into();
        event
    };
    publish(&context, "audit", &audited("IncidentOpened", "3")).await;
    publish(&context, "audit", &audited("IncidentReopened", "4")).await;
    publish(&context, "audit", &audited("IncidentOpened", "5")).await;
    assert_eq!(ids_until(&mut ada, "5").await, ["3", "5"]);
    let kept = &rejected(&system, 1).await[0];
    assert_eq!(
        (&kept["reason"], &kept["subject"]),
        (&json!("unmapped"), &json!("events.ops.?.?.source.audit"))
    );
    let text = kept["text"].as_str().unwrap();
    for part in
        ["`event = \"{body.type}\"` gives \"IncidentReopened\"", "the source audit", "SIGHUP", "retry"]
    {
        assert!(text.contains(part), "{text}");
    }

    // Nothing has changed: it is rejected again, and is still one rejection.
    let retry = ["rejected", "retry", "--tenant", "ops", "--reason", "unmapped"];
    system.command(&retry).finish(BOUND).await.succeeded();
    eventually("it was tried twice", BOUND, async || {
        let tries = rejected(&system, 1).await[0]["tries"].clone();
        if tries == 2 { Ok(()) } else { Err(tries) }
    })
    .await;
    // A wrong configuration is refused, and the sources go on; a good one counts.
    let file = system.nats.folder().join("tidings.toml");
    std::fs::write(&file, SOURCES.replace("{body.type}", "{body}")).unwrap();
    system.projector.signal(Signal::HUP);
    let line = system.projector.line("sources not reloaded", BOUND).await;
    assert!(line.contains("audit") && line.contains("{subject.2}"), "{line}");
    std::fs::write(&file, format!("{SOURCES}IncidentReopened = \"incident.created\"\n")).unwrap();
    system.projector.signal(Signal::HUP);
    system.projector.line("sources reloaded", BOUND).await;
    system.command(&retry).finish(BOUND).await.succeeded();
    assert_eq!(ids_until(&mut ada, "4").await, ["4"]);
    rejected(&system, 0).await;
    publish(&context, "audit", &audited("IncidentReopened", "6")).await;
    assert_eq!(ids_until(&mut ada, "6").await, ["6"]);
    // Removed, and added again: what was copied is not copied again.
    std::fs::write(&file, "").unwrap();
    system.projector.signal(Signal::HUP);
    system.projector.nth_line("sources reloaded", 2, BOUND).await;
    publish(&context, "tickets.eu.incident.created", &incident("7")).await;
    std::fs::write(&file, SOURCES).unwrap();
    system.projector.signal(Signal::HUP);
    assert_eq!(ids_until(&mut ada, "7").await, ["7"]);
    system.check_well();
}

#[tokio::test]
async fn kills_of_projector_and_server_neither_lose_nor_repeat_nor_reorder() {
    let mut system = Setup::default().file(SOURCES).start().await;
    let context = jetstream::new(system.client().clone());
    stream(&context, "TICKETS", "tickets.>").await;
    let mut ada = listener(&system).await;
    let producing = async {
        for number in 1..=240 {
            publish(&context, "tickets.eu.incident.created", &incident(&number.to_string())).await;
        }
    };
    let mut received = Vec::new();
    let faults = async {
        for (turn, until) in ["40", "80", "120", "160"].into_iter().enumerate() {
            received.extend(ids_until(&mut ada, until).await);
            if turn % 2 == 0 {
                system.projector.signal(Signal::KILL);
                system.projector = system.command(&["projector"]).start();
            } else {
                system.nats.kill().await.unwrap();
                system.nats.restart().await.unwrap();
            }
        }
        received.extend(ids_until(&mut ada, "240").await);
    };
    tokio::join!(producing, faults);
    let expected: Vec<_> = (1..=240).map(|number| number.to_string()).collect();
    assert_eq!(received, expected);
    system.check_well();
}

/// The code behind this mark, without the indentation of the list that it is in.
fn snippet(mark: &str) -> String {
    let (_, marked) = GUIDE.split_once(&format!("<!-- {mark} -->")).unwrap_or_else(|| panic!("no {mark}"));
    let (_, code) = marked.split_once("```").and_then(|(_, rest)| rest.split_once('\n')).unwrap();
    let (code, _) = code.split_once("   ```").unwrap();
    let lines = code.lines().map(|line| line.strip_prefix("   ").unwrap_or(line));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The guide's files and commands, as they stand there, with the stream that it begins with.
#[tokio::test]
async fn the_guide_brings_an_existing_stream_to_a_client() {
    let nats = nats().await;
    let context = jetstream::new(nats.client().await);
    stream(&context, "ORDERS", "orders.>").await;
    let order = json!({ "order": "o-1", "customer": "ada", "total": 1250 });
    publish(&context, "orders.de.paid", &order).await;
    publish(&context, "orders.de.lost", &order).await;
    for file in ["schemas/shop/catalog.toml", "schemas/shop/order.schema.json", "tidings.toml"] {
        let path = nats.folder().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, snippet(&format!("file: {file}"))).unwrap();
    }
    let path = format!("{}:{}", binary().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let shell = |script: &str| {
        Launch::shell(script)
            .folder(nats.folder())
            .variable("PATH", &path)
            .variable("NATS_URL", nats.url())
            .variable("TIDINGS_ACCESS__HS256_SECRET", SECRET)
    };
    let checked = shell(&snippet("check: run by a test")).finish(BOUND).await.succeeded();
    let expected = [
        "source orders: 2 newest messages of stream ORDERS: order.paid 1\n",
        "source orders: 1 would be rejected as unknown-event, first \"orders.de.lost\" at ORDERS ",
    ];
    for line in expected {
        assert!(checked.contains(line), "{line:?} is not in\n{checked}");
    }
    let run = |name| {
        Launch::tidings([name])
            .folder(nats.folder())
            .variable("TIDINGS_NATS__URL", nats.url())
            .variable("TIDINGS_ACCESS__HS256_SECRET", SECRET)
            .variable("TIDINGS_GATEWAY__LISTEN", "127.0.0.1:0")
            .start()
    };
    let (_projector, mut gateway): (Tidings, _) = (run("projector"), run("gateway"));
    let line = gateway.line("gateway listens", BOUND).await;
    let port: String =
        line.split_once("127.0.0.1:").unwrap().1.chars().take_while(char::is_ascii_digit).collect();
    gateway.line("the gateway is ready", BOUND).await;
    let heard = shell(&snippet("listen: run by a test"))
        .variable("TIDINGS_GATEWAY__LISTEN", format!("127.0.0.1:{port}"))
        .finish(BOUND)
        .await
        .succeeded();
    let heard: Value = serde_json::from_str(&heard).unwrap();
    assert_eq!(
        (&heard["type"], &heard["order"], &heard["total"]),
        (&json!("order"), &json!("o-1"), &json!(1250))
    );
}
