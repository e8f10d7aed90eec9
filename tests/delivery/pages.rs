//! Clients without any socket: pages of messages by requests, with the positions of every connection.

use std::collections::HashSet;
use std::time::Duration;

use harness::{BOUND, SECRET, System, token};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    async fn of(request: RequestBuilder) -> Self {
        let response = timeout(BOUND + Duration::from_secs(60), request.send()).await.unwrap().unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        assert_eq!(headers["cache-control"], "no-store");
        Self { status, headers, body: response.text().await.unwrap() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {:?}", self.status, self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Where to go on.
    fn next(&self) -> String {
        self.header("stream-next-offset").unwrap().to_owned()
    }

    fn is_up_to_date(&self) -> bool {
        self.header("stream-up-to-date") == Some("true")
    }

    fn titles(&self) -> Vec<String> {
        assert_eq!(
            (self.status, self.header("content-type")),
            (200, Some("application/json")),
            "{}",
            self.body
        );
        let messages = self.json();
        let messages = messages.as_array().unwrap().iter().filter(|message| message.get("seq").is_some());
        messages.map(|message| message["data"]["title"].as_str().unwrap().to_owned()).collect()
    }
}

/// A user of a gateway.
#[derive(Clone)]
struct User {
    address: String,
    token: String,
}

impl User {
    fn new(address: &str, name: &str) -> Self {
        Self {
            address: format!("{address}/api/messages"),
            token: token(SECRET, json!({ "tenant": "ops", "sub": name })),
        }
    }

    fn request(&self, method: Method, query: &str) -> RequestBuilder {
        reqwest::Client::new().request(method, format!("{}?{query}", self.address)).bearer_auth(&self.token)
    }

    async fn get(&self, query: &str) -> Answer {
        Answer::of(self.request(Method::GET, query)).await
    }

    async fn post(&self, query: &str, messages: &Value) -> Answer {
        Answer::of(self.request(Method::POST, query).body(messages.to_string())).await
    }

    fn asking(&self, query: &str) -> JoinHandle<Answer> {
        let (user, query) = (self.clone(), query.to_owned());
        tokio::spawn(async move { user.get(&query).await })
    }

    /// A request that waits; returns when the gateway has it.
    async fn waiting(&self, system: &System, query: &str) -> JoinHandle<Answer> {
        let before = connections(system).await;
        let waiting = self.asking(query);
        harness::eventually("the request waits", BOUND, async || {
            let now = connections(system).await;
            if now.is_subset(&before) { Err(format!("{now:?}")) } else { Ok(()) }
        })
        .await;
        waiting
    }
}

/// The names of the connections that all gateways have.
async fn connections(system: &System) -> HashSet<String> {
    let listed = system.command(&["connections", "ls", "--tenant", "ops", "--json"]).finish(BOUND).await;
    let listed = listed.output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    listed.filter_map(|connection| Some(connection["id"].as_str()?.to_owned())).collect()
}

async fn notify(system: &System, user: &str, title: &str) {
    let data = json!({ "userId": user, "title": title, "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
}

#[tokio::test]
async fn a_page_is_a_connection_that_ends_with_its_answer() {
    let mut system = System::start().await;
    let ada = User::new(system.address(), "ada");
    let bo = User::new(system.address(), "bo");
    let empty = ada.get("device=phone").await;
    assert_eq!((empty.titles(), empty.is_up_to_date()), (vec![], true));
    assert_eq!(empty.header("stream-cursor"), None);
    notify(&system, "ada", "first").await;
    let first = ada.get(&format!("device=phone&wait=30s&after={}", empty.next())).await;
    assert_eq!(first.titles(), ["first"]);
    assert_eq!(first.json()[0]["id"].as_str().map(str::is_empty), Some(false));
    assert!(first.is_up_to_date() && first.next() > empty.next(), "{:?}", first.headers);

    // Nobody else's, and without a device from the beginning or from now on.
    for (query, expected) in [("", vec!["first"]), ("offset=-1", vec!["first"]), ("offset=now", vec![])] {
        let all = ada.get(query).await;
        assert_eq!(
            (all.titles(), all.is_up_to_date()),
            (expected.iter().map(ToString::to_string).collect(), true)
        );
    }
    assert_eq!(bo.get("offset=-1").await.titles(), Vec::<String>::new());
    let head = Answer::of(ada.request(Method::HEAD, "")).await;
    assert_eq!((head.status, &*head.body, head.next() >= first.next()), (200, "", true));

    // Those that wait are answered by what comes.
    let live = format!("live=long-poll&offset={}&cursor=1", first.next());
    let looking = ada.waiting(&system, &live).await;
    let waiting = ada.waiting(&system, &format!("device=phone&wait=50s&after={}", first.next())).await;
    let others = bo.asking("live=long-poll&offset=now&wait=2s");
    notify(&system, "ada", "second").await;
    let (looking, waiting) = (looking.await.unwrap(), waiting.await.unwrap());
    assert_eq!((looking.titles(), waiting.titles()), (vec!["second".to_owned()], vec!["second".to_owned()]));
    assert!(looking.header("stream-cursor").unwrap().parse::<u64>().unwrap() > 1);
    let in_vain = others.await.unwrap();
    assert_eq!((in_vain.status, &*in_vain.body, in_vain.is_up_to_date()), (204, "", true));
    assert!(in_vain.header("stream-cursor").is_some());
    let later = bo.get(&format!("after={}", in_vain.next())).await;
    assert_eq!(later.titles(), Vec::<String>::new());
    assert!(later.next() >= looking.next(), "what was for others is behind, too: {:?}", later.headers);

    // A device has received what it named, at whichever gateway.
    assert_eq!(ada.get("device=phone").await.titles(), ["second"], "it has not said that it has it");
    let other = system.another_gateway(&[]).await;
    let elsewhere = User::new(&other.address, "ada");
    let acknowledged = elsewhere.get(&format!("device=phone&after={}", waiting.next())).await;
    assert_eq!(acknowledged.titles(), Vec::<String>::new());
    assert_eq!(ada.get("device=phone").await.titles(), Vec::<String>::new());
    let listed = system.command(&["consumers", "ls", "--tenant", "ops", "--json"]).finish(BOUND).await.output;
    assert_eq!(
        listed.lines().filter(|line| line.starts_with('{')).count(),
        1,
        "who looks leaves nothing: {listed}"
    );

    // A gateway that stops answers at once.
    let waiting =
        elsewhere.waiting(&system, &format!("device=phone&wait=55s&after={}", waiting.next())).await;
    other.process.signal(Signal::TERM);
    let drained = waiting.await.unwrap();
    assert_eq!((drained.status, drained.next() >= acknowledged.next()), (204, true), "{}", drained.body);

    // A disabled user is answered, and then refused.
    let waiting = ada.waiting(&system, "live=long-poll&offset=now&wait=55s").await;
    system.command(&["users", "disable", "--tenant", "ops", "--user", "ada"]).finish(BOUND).await.succeeded();
    assert_eq!(waiting.await.unwrap().status, 204);
    let refused = ada.get("").await;
    assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("USER_DISABLED")));
    system.check_well();
}

#[tokio::test]
async fn a_device_sends_with_the_request_that_it_receives_by() {
    let mut system = System::start().await;
    let ada = User::new(system.address(), "ada");
    let messages = json!([
        { "action": "subscribe", "topics": ["incidents"], "id": "s" },
        { "action": "ping", "id": "p" },
        { "action": "what", "id": "w" },
    ]);
    let answered = ada.post("device=phone", &messages).await;
    let said = answered.json();
    let said = said.as_array().unwrap();
    let actions: Vec<_> = said.iter().map(|said| said["action"].as_str().unwrap()).collect();
    assert_eq!(actions.first(), Some(&"welcome"));
    let answers = |id: &str| {
        let of =
            |said: &&Value| said["original_message_id"] == id || said["data"]["original_message_id"] == id;
        said.iter().filter(of).count()
    };
    assert_eq!((answers("s"), answers("p"), answers("w")), (1, 1, 1), "{said:?}");
    assert!(actions.contains(&"caught_up") && answered.is_up_to_date());
    // What it has subscribed to comes to it from then on, and the whole of a batch in its order.
    let waiting = ada.waiting(&system, &format!("device=phone&wait=50s&after={}", answered.next())).await;
    system.publish("ops", "incident.created", &json!({
        "id": "i", "jira_id": "J", "title": "on a topic", "severity": "critical", "status": "open", "squad": "platform"
    }))
    .await;
    let page = waiting.await.unwrap();
    assert_eq!(page.titles(), ["on a topic"]);

    // Pages are bounded, and the next ones go on where they end.
    let pad = "x".repeat(4000);
    for number in 0..200 {
        notify(&system, "ada", &format!("{number} {pad}")).await;
    }
    let (mut after, mut titles, mut pages) = (page.next(), Vec::new(), 0);
    while titles.len() < 200 {
        let page = ada.get(&format!("device=phone&wait=20s&after={after}")).await;
        assert!(page.body.len() < 300_000, "{}", page.body.len());
        titles.extend(page.titles());
        (after, pages) = (page.next(), pages + 1);
    }
    let numbers: Vec<usize> =
        titles.iter().map(|title| title.split_once(' ').unwrap().0.parse().unwrap()).collect();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    assert!(pages >= 3, "{pages}");

    // What is gone is said, with where to go on.
    let jetstream = async_nats::jetstream::new(system.client().clone());
    jetstream.get_stream("ENVELOPES").await.unwrap().purge().await.unwrap();
    // A gateway that has it in memory still would deliver it.
    let other = system.another_gateway(&[]).await;
    let ada = User::new(&other.address, "ada");
    for (old, reason) in [(page.next(), "retention"), ("1-5".to_owned(), "epoch")] {
        let gone = ada.get(&format!("device=phone&wait=20s&after={old}")).await;
        let error = gone.json();
        assert_eq!(
            (gone.status, &error["code"], &error["reason"]),
            (410, &json!("POSITION_GONE"), &json!(reason))
        );
        assert_eq!(error["next"], gone.next());
        let told = ada.post(&format!("device=phone&after={old}"), &json!([])).await;
        assert!(told.body.contains(r#"{"action":"gap","#), "{}", told.body);
        after = gone.next();
    }
    notify(&system, "ada", "behind").await;
    assert_eq!(ada.get(&format!("device=phone&wait=20s&after={after}")).await.titles(), ["behind"]);

    for (query, code) in [("after=x", "POSITION"), ("wait=soon", "PARAMETER"), ("live=sse", "PARAMETER")] {
        let refused = ada.get(query).await;
        assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(code)));
    }
    let nobody = User { token: String::new(), ..ada.clone() };
    assert_eq!(nobody.get("").await.status, 401);
    assert_eq!(ada.post("", &json!([])).await.json()["code"], "CONNECTION");
    system.check_well();
}
