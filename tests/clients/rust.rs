//! The client in Rust: each message once while gateways are killed and the program is restarted, tokens that run out, and
//! publications that are sent again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::{BOUND, SECRET, Setup, System, free_port, token};
use rustix::process::Signal;
use serde_json::{Map, Value, json};
use tidings_client::{Client, ClientError, FileStore, Happening, Reconnect, RequestError, Settings};
use tokio::time::timeout;

use crate::node::{LONG, is_free, subscribed};
use crate::{ada, incident};

fn quick(settings: Settings) -> Settings {
    let delays = [50, 100, 200, 400].map(Duration::from_millis);
    settings.reconnect(Reconnect::after(delays)).silence(Duration::from_secs(2))
}

fn url(address: &str) -> String {
    format!("{}/api/ws", address.replacen("http", "ws", 1))
}

/// What happens next, whatever it is.
async fn next(client: &mut Client) -> Happening {
    timeout(LONG, client.next()).await.unwrap().unwrap()
}

/// The title of the next message, and whether connections were lost meanwhile.
async fn title(client: &mut Client) -> String {
    loop {
        match next(client).await {
            Happening::Message(message) => {
                let body: Value = serde_json::from_str(&message.body).unwrap();
                return body["data"]["title"].as_str().unwrap().to_owned();
            }
            Happening::Gap(gap) => panic!("nothing is lost, but there is {gap}"),
            _ => {}
        }
    }
}

/// Does something while the client is asked for what happens next; no message comes meanwhile.
async fn beside<T>(client: &mut Client, work: impl Future<Output = T>) -> T {
    let (done, titles) = beside_messages(client, work).await;
    assert_eq!(titles, Vec::<String>::new());
    done
}

/// The same; returns the titles of the messages that come meanwhile, too.
async fn beside_messages<T>(client: &mut Client, work: impl Future<Output = T>) -> (T, Vec<String>) {
    let (mut work, mut titles) = (std::pin::pin!(work), Vec::new());
    loop {
        tokio::select! {
            biased;
            done = &mut work => return (done, titles),
            title = title(client) => titles.push(title),
        }
    }
}

/// Does what makes a message with this title come, before or after its answer.
async fn with_message<T>(client: &mut Client, expected: &str, work: impl Future<Output = T>) -> T {
    let (done, mut titles) = beside_messages(client, work).await;
    if titles.is_empty() {
        titles.push(title(client).await);
    }
    assert_eq!(titles, [expected]);
    done
}

fn action(action: &str) -> Map<String, Value> {
    Map::from_iter([("action".to_owned(), action.into())])
}

fn notification(title: &str) -> Map<String, Value> {
    let data = json!({ "title": title, "message": "", "type": "info", "priority": "low" });
    let message = json!({ "action": "created", "type": "notification", "data": data });
    message.as_object().unwrap().clone()
}

/// The code of a refusal.
fn code<T: std::fmt::Debug>(refused: Result<T, RequestError>) -> String {
    match refused {
        Err(RequestError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

type Filters = BTreeMap<String, Vec<String>>;

async fn is_open(client: &mut Client) {
    while next(client).await != Happening::Open {}
}

#[tokio::test]
async fn each_message_comes_once_while_gateways_are_killed_and_the_program_is_restarted() {
    const MESSAGES: usize = 200;
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__LISTEN", &listen).start().await;
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let settings = Settings::new(url(&format!("http://{listen}")), ada(3600)).device("worker");
        let settings = settings.topic("incidents").store(FileStore::new(folder.path().join("position")));
        Client::new(quick(settings)).unwrap()
    };
    let mut client = open();
    is_open(&mut client).await;
    subscribed(&system).await;
    let expected: Vec<String> = (0..MESSAGES).map(|n| format!("incident {n}")).collect();
    let mut seen = Vec::new();
    for (n, expected) in expected.iter().enumerate() {
        system.publish("ops", "incident.created", &incident(expected)).await;
        if n % 50 == 25 {
            // In the middle of what is being delivered: some were sent and not handled.
            while seen.len() + 10 < n {
                seen.push(title(&mut client).await);
            }
            system.gateway.signal(Signal::KILL);
            is_free(port).await;
            system.gateway = system.command(&["gateway"]).start();
        }
        if n % 70 == 60 {
            while seen.len() + 3 < n {
                seen.push(title(&mut client).await);
            }
            // As a process that ends after a handler: what it has handled is kept, what it has not comes again.
            client.handled().unwrap();
            drop(client);
            client = open();
        }
    }
    while seen.len() < MESSAGES {
        seen.push(title(&mut client).await);
    }
    assert_eq!(seen, expected, "each message once and in order");
    client.close().await.unwrap();
}

#[tokio::test]
async fn what_is_not_handled_comes_again_and_publications_are_stored_once() {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__LISTEN", &listen).start().await;
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let settings = Settings::new(url(&format!("http://{listen}")), ada(3600)).topic("incidents");
        let settings = settings.store(FileStore::new(folder.path().join("position")));
        Client::new(quick(settings)).unwrap()
    };
    let mut client = open();
    is_open(&mut client).await;
    system.publish("ops", "incident.created", &incident("one")).await;
    assert_eq!(title(&mut client).await, "one");
    // It dies in the middle of a handler.
    drop(client);
    let mut client = open();
    assert_eq!(title(&mut client).await, "one", "it was not handled");
    client.handled().unwrap();

    // While there is no gateway, publications wait; then they are stored once and in order.
    system.gateway.signal(Signal::KILL);
    is_free(port).await;
    let requests = client.requests();
    let publishing = tokio::spawn(async move {
        let (p1, p2) = (notification("p1"), notification("p2"));
        let (first, second) = tokio::join!(requests.publish(p1, LONG), requests.publish(p2, LONG));
        let refused = requests.publish(action("nonsense"), LONG).await;
        (first.unwrap(), second.unwrap(), refused)
    });
    let waits = async { while !matches!(next(&mut client).await, Happening::Waiting { .. }) {} };
    timeout(BOUND, waits).await.unwrap();
    system.gateway = system.command(&["gateway"]).start();
    assert_eq!(title(&mut client).await, "p1");
    assert_eq!(title(&mut client).await, "p2");
    while !publishing.is_finished() {
        // Whoever is asked for what comes next also publishes.
        _ = timeout(Duration::from_millis(50), client.next()).await;
    }
    let (first, second, refused) = publishing.await.unwrap();
    assert_ne!(first, second);
    assert_eq!(code(refused), "UNKNOWN_ACTION");
}

#[tokio::test]
async fn requests_are_answered_through_a_killed_gateway_and_subscriptions_last() {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__LISTEN", &listen).start().await;
    let settings = Settings::new(url(&format!("http://{listen}")), ada(3600)).device("worker");
    let mut client = Client::new(quick(settings)).unwrap();
    let requests = client.requests();
    let any = Filters::new;
    beside(&mut client, requests.subscribe("incidents", any(), LONG)).await.unwrap();
    let squad = Filters::from([("squad".to_owned(), vec!["other".to_owned()])]);
    beside(&mut client, requests.subscribe("incidents", squad, LONG)).await.unwrap();
    let refused = beside(&mut client, requests.subscribe("nonsense", any(), LONG)).await;
    assert_eq!(code(refused), "UNKNOWN_TOPIC");

    system.gateway.signal(Signal::KILL);
    is_free(port).await;
    let late = beside(&mut client, requests.ask(action("ping"), Duration::from_millis(200))).await;
    assert_eq!(late, Err(RequestError::Late));
    let asking = Box::pin(async {
        let gateway = async { system.gateway = system.command(&["gateway"]).start() };
        let mut answers = tokio::join!(
            requests.subscribe("incidents", any(), LONG),
            requests.ask(action("ping"), LONG),
            requests.publish(notification("p"), LONG),
            requests.ask(action("nonsense"), LONG),
            gateway,
        );
        answers.1 = answers.1.map(|pong| pong.chars().take(16).collect());
        (answers.0, answers.1, answers.2, answers.3)
    });
    let (subscribed, pong, stored, again) = with_message(&mut client, "p", asking).await;
    assert_eq!((subscribed, pong), (Ok(()), Ok(r#"{"action":"pong""#.to_owned())));
    assert_eq!(code(again), "UNKNOWN_ACTION");
    assert!(stored.is_ok(), "{stored:?}");
    system.publish("ops", "incident.created", &incident("one")).await;
    assert_eq!(title(&mut client).await, "one", "of any squad: the filter is gone");

    // Another connection is subscribed from the start, and one topic less.
    system.gateway.signal(Signal::KILL);
    is_free(port).await;
    system.gateway = system.command(&["gateway"]).start();
    is_open(&mut client).await;
    system.publish("ops", "incident.created", &incident("two")).await;
    assert_eq!(title(&mut client).await, "two");
    beside(&mut client, requests.unsubscribe("incidents", LONG)).await.unwrap();
    system.gateway.signal(Signal::KILL);
    is_free(port).await;
    system.gateway = system.command(&["gateway"]).start();
    is_open(&mut client).await;
    // Both are projected in this order.
    system.publish("ops", "incident.created", &incident("three")).await;
    with_message(&mut client, "last", requests.publish(notification("last"), LONG)).await.unwrap();
}

#[tokio::test]
async fn tokens_are_replaced_on_the_connection_and_a_dead_one_ends_it() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let system = System::start().await;
    let settings = Settings::with_tokens(url(system.address()), || async {
        // The first is over soon; of the third nobody knows.
        Ok(match ASKED.fetch_add(1, Ordering::Relaxed) {
            0 => Some(ada(5)),
            1 => Some(ada(3600)),
            _ => None,
        })
    });
    let mut client = Client::new(quick(settings)).unwrap();
    let mut connections = 0;
    loop {
        match next(&mut client).await {
            Happening::Open => connections += 1,
            Happening::Control(text) if text.contains(r#""action":"authenticated""#) => break,
            _ => {}
        }
    }
    assert_eq!((connections, ASKED.load(Ordering::Relaxed)), (1, 2));
    // Logged out: the next connection has no token.
    let close = ["connections", "close", "--tenant", "ops", "--user", "ada"];
    system.command(&close).finish(BOUND).await.succeeded();
    let ended = async {
        loop {
            if let Err(error) = client.next().await {
                return error;
            }
        }
    };
    let error = timeout(BOUND, ended).await.unwrap();
    assert!(matches!(error, ClientError::Unauthorized { .. }), "{error}");
    // The same token again, although it is over.
    let over = token(SECRET, json!({ "tenant": "ops", "sub": "ada", "exp": 1 }));
    let mut client = Client::new(quick(Settings::new(url(system.address()), over))).unwrap();
    let error = timeout(BOUND, client.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Unauthorized { .. }), "{error}");
}
