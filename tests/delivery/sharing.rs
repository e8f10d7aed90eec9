//! Clients that name no device, such as a phone and a desktop of one user, at several gateways, as a load balancer spreads them:
//! none takes messages from another, whichever gateway is killed.

use harness::{BOUND, Client, Dial, Gateway, SECRET, System, token};
use rustix::process::Signal;
use serde_json::{Value, json};

async fn notify(system: &System, title: &str) {
    let data = json!({ "userId": "ada", "title": title, "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
}

/// Sequenced, as it says exactly what it has received.
async fn open(gateway: &str) -> Client {
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let mut client = Dial::new(gateway).bearer(&ada).subprotocol("tidings.v1").open().await;
    let welcome = client.next_json(BOUND).await;
    assert_eq!(welcome["consumer"], "ada/default");
    client
}

async fn live(gateway: &str) -> Client {
    let mut client = open(gateway).await;
    client.until(BOUND, |message| message["action"] == "caught_up").await;
    client
}

/// Receives up to the notification with this title, and acknowledges it before anything else happens; the titles.
async fn take(client: &mut Client, last: &str) -> Vec<String> {
    let messages = client.until(BOUND, |message| message["data"]["title"] == last).await;
    client.send_json(&json!({ "action": "ack", "seq": messages.last().unwrap()["seq"] })).await;
    client.send_json(&json!({ "action": "ping" })).await;
    client.until(BOUND, |message| message["action"] == "pong").await;
    let titles = messages.iter().filter_map(|message| message["data"]["title"].as_str());
    titles.map(str::to_owned).collect()
}

/// Changes a subscription to incidents, and waits until that is stored.
async fn choose(client: &mut Client, action: &str, answer: &str) -> Value {
    client.send_json(&json!({ "action": action, "topics": ["incidents"], "id": action })).await;
    client.until(BOUND, |message| message["action"] == answer).await.pop().unwrap()
}

#[tokio::test]
async fn clients_at_two_gateways_do_not_take_from_each_other() {
    let mut system = System::start().await;
    let other = system.another_gateway(&[]).await;
    let (here, there) = (&*system.address().to_owned(), other.address.as_str());
    let (mut desktop, mut phone) = (live(here).await, live(there).await);
    notify(&system, "both").await;
    assert_eq!(take(&mut desktop, "both").await, ["both"]);
    assert_eq!(take(&mut phone, "both").await, ["both"]);
    phone.close().await;

    notify(&system, "away").await;
    assert_eq!(take(&mut desktop, "away").await, ["away"]);
    // It comes back where the desktop is.
    let mut phone = open(here).await;
    assert_eq!(take(&mut phone, "away").await, ["away"], "the desktop has not received it for the phone");
    phone.close().await;
    let mut phone = live(there).await;

    // When both have left, the place is that of the one that has received least since they overlapped.
    notify(&system, "late").await;
    assert_eq!(take(&mut desktop, "late").await, ["late"]);
    phone.until(BOUND, |message| message["data"]["title"] == "late").await;
    phone.close().await;
    notify(&system, "later").await;
    assert_eq!(take(&mut desktop, "later").await, ["later"]);
    desktop.close().await;
    let mut next = open(there).await;
    assert_eq!(take(&mut next, "later").await, ["late", "later"]);

    // Unsubscribing in one tab does not silence another.
    let mut tab = live(here).await;
    choose(&mut next, "subscribe", "subscribed").await;
    choose(&mut tab, "subscribe", "subscribed").await;
    choose(&mut next, "unsubscribe", "unsubscribed").await;
    next.close().await;
    tab.close().await;
    let mut tab = live(there).await;
    let data = json!({ "id": "i", "jira_id": "I-1", "title": "heard", "severity": "low", "status": "open", "squad": "x" });
    system.publish("ops", "incident.created", &data).await;
    assert_eq!(take(&mut tab, "heard").await, ["heard"]);
    choose(&mut tab, "unsubscribe", "unsubscribed").await;
    tab.close().await;
    let mut tab = live(here).await;
    system.publish("ops", "incident.created", &data).await;
    notify(&system, "end").await;
    assert_eq!(take(&mut tab, "end").await, ["end"]);
    system.check_well();
}

/// Kills a gateway and starts another.
async fn replace(system: &System, gateway: &mut Gateway) {
    gateway.process.signal(Signal::KILL);
    *gateway = system.another_gateway(&[]).await;
}

#[tokio::test]
async fn killed_gateways_have_no_client_take_from_another() {
    let system = System::start().await;
    let mut gateways = [system.another_gateway(&[]).await, system.another_gateway(&[]).await];
    let (mut desktop, mut phone) = (live(&gateways[0].address).await, live(&gateways[1].address).await);
    for round in 0..6 {
        // What the other one has received meanwhile, whichever is killed, and wherever it comes back.
        let title = format!("phone {round}");
        notify(&system, &title).await;
        take(&mut desktop, &title).await;
        replace(&system, &mut gateways[1]).await;
        phone = open(&gateways[round % 2].address).await;
        let titles = take(&mut phone, &title).await;
        assert_eq!(titles.last(), Some(&title), "{titles:?}");
        phone.close().await;
        phone = live(&gateways[1].address).await;

        let title = format!("desktop {round}");
        notify(&system, &title).await;
        take(&mut phone, &title).await;
        replace(&system, &mut gateways[0]).await;
        desktop = open(&gateways[(round + 1) % 2].address).await;
        let titles = take(&mut desktop, &title).await;
        assert_eq!(titles.last(), Some(&title), "{titles:?}");
        desktop.close().await;
        desktop = live(&gateways[0].address).await;
    }
    // Both die; neither had received the last one, and the desktop not the one before.
    notify(&system, "last but one").await;
    take(&mut phone, "last but one").await;
    for gateway in &mut gateways {
        gateway.process.signal(Signal::KILL);
    }
    notify(&system, "last").await;
    let mut next = open(system.address()).await;
    let titles = take(&mut next, "last").await;
    assert!(titles.ends_with(&["last but one".to_owned(), "last".to_owned()]), "{titles:?}");
    drop((desktop, phone));
}
