//! A worker that fails is no hole into which connections vanish: the gateway ends, and says why.

use harness::{BOUND, Client, Dial, SECRET, System, eventually, token};
use serde_json::{Value, json};

fn dial(address: &str, user: &str, device: &str) -> Dial {
    let token = token(SECRET, json!({ "tenant": "ops", "sub": user }));
    Dial::new(address).bearer(&token).query("device", device).subprotocol("tidings.v1")
}

async fn notify(system: &System, title: &str) {
    let data = json!({ "userId": "crew", "title": title, "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
}

async fn title(client: &mut Client) -> Value {
    let mut heard = client.until(BOUND, |message| message["type"] == "notification").await;
    heard.pop().unwrap()
}

#[tokio::test]
async fn a_worker_that_fails_ends_the_gateway_and_loses_nothing() {
    let system = System::start().await;
    for (fault, cause) in [("panic", "it panicked"), ("poll", "it cannot poll its sockets")] {
        let request = format!("{fault}:eve");
        let faulty = system
            .another_gateway(&[
                ("GATEWAY_WORKER_FAULT", &request),
                ("TIDINGS_GATEWAY__WORKERS", "2"),
                ("TIDINGS_GATEWAY__DRAIN_TIME", "1s"),
            ])
            .await;
        // One for each worker.
        let devices = [format!("{fault}-1"), format!("{fault}-2")];
        let mut clients = Vec::new();
        for device in &devices {
            let mut client = dial(&faulty.address, "crew", device).open().await;
            client.until(BOUND, |message| message["action"] == "caught_up").await;
            clients.push(client);
        }
        let (first, second) = (format!("first {fault}"), format!("second {fault}"));
        notify(&system, &first).await;
        for client in &mut clients {
            let message = title(client).await;
            assert_eq!(message["data"]["title"], first.as_str());
            client.send_json(&json!({ "action": "ack", "seq": message["seq"] })).await;
        }
        notify(&system, &second).await;
        for client in &mut clients {
            assert_eq!(title(client).await["data"]["title"], second.as_str());
        }

        // The client that meets the fault is not served, in one way or another.
        let _ = dial(&faulty.address, "eve", "phone").try_open().await;
        eventually("the gateway is not ready any more", BOUND, async || {
            match reqwest::get(format!("{}/readyz", faulty.address)).await {
                Ok(answer) if answer.status().as_u16() == 200 => Err(answer.text().await.unwrap()),
                _ => Ok(()),
            }
        })
        .await;
        let ends = clients.into_iter().map(|mut client| {
            // The connection of the worker that failed may be reset, which ends this task.
            tokio::spawn(async move {
                loop {
                    if let Err(code) = client.next_json_or_close(BOUND).await {
                        return code;
                    }
                }
            })
        });
        let ends = futures_util::future::join_all(ends).await;
        let drained = ends.iter().filter(|end| matches!(end, Ok(Some(1001)))).count();
        assert!(drained >= 1, "the other worker is drained: {ends:?}");
        let (status, output) = faulty.process.end(BOUND).await;
        assert!(!status.success(), "{output}");
        let says_why = |line: &str| {
            line.starts_with("tidings: worker") && line.contains(cause) && line.contains(&request)
        };
        assert!(output.lines().any(says_why), "{output}");

        // What was acknowledged is, and nothing else.
        for device in &devices {
            let mut client = dial(system.address(), "crew", device).open().await;
            let message = title(&mut client).await;
            assert_eq!(message["data"]["title"], second.as_str(), "{device}");
            client.close().await;
        }
    }
}

/// Users whose devices come and go at different workers.
const USERS: usize = 12;
const MESSAGES: usize = 60;

async fn notify_user(system: &System, user: &str, title: &str) {
    let data = json!({ "userId": user, "title": title, "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
}

/// Receives the user's messages, acknowledges each, and reconnects after a few of them.
async fn receive_all(address: &str, user: &str, pause: usize) {
    let mut expected = 0;
    while expected < MESSAGES {
        let mut client = dial(address, user, "phone").open().await;
        for _ in 0..pause.min(MESSAGES - expected) {
            let message = title(&mut client).await;
            assert_eq!(message["data"]["title"], expected.to_string(), "{user}");
            client.send_json(&json!({ "action": "ack", "seq": message["seq"] })).await;
            expected += 1;
        }
        client.close().await;
    }
}

#[tokio::test]
async fn only_the_workers_that_have_a_user_are_woken_and_nobody_misses_anything() {
    let system = System::start().await;
    let gateway = system.another_gateway(&[("TIDINGS_GATEWAY__WORKERS", "4")]).await;
    let users: Vec<String> = (0..USERS).map(|user| format!("user-{user}")).collect();
    let receiving = users.iter().enumerate();
    let receiving = receiving.map(|(index, user)| receive_all(&gateway.address, user, index % 5 + 1));
    // So that each of them is known before the first message.
    for user in &users {
        let mut client = dial(&gateway.address, user, "phone").open().await;
        client.until(BOUND, |message| message["action"] == "caught_up").await;
        client.close().await;
    }
    let sending = async {
        for number in 0..MESSAGES {
            let told = users.iter().map(async |user| notify_user(&system, user, &number.to_string()).await);
            futures_util::future::join_all(told.collect::<Vec<_>>()).await;
        }
    };
    tokio::join!(futures_util::future::join_all(receiving.collect::<Vec<_>>()), sending);
}

#[tokio::test]
async fn a_worker_that_was_not_woken_is_as_far_as_the_others() {
    let system = System::start().await;
    let gateway = system.another_gateway(&[("TIDINGS_GATEWAY__WORKERS", "2")]).await;
    let (mut idle, mut busy) = (
        dial(&gateway.address, "idle", "phone").open().await,
        dial(&gateway.address, "busy", "phone").open().await,
    );
    for client in [&mut idle, &mut busy] {
        client.until(BOUND, |message| message["action"] == "caught_up").await;
    }
    let mut last = Value::Null;
    for number in 0..5 {
        notify_user(&system, "busy", &number.to_string()).await;
        last = title(&mut busy).await["seq"].take();
    }
    // A device that has received all that there was for it stands behind what was for others.
    idle.close().await;
    eventually("the position of the idle device is stored", BOUND, async || {
        let mut client = dial(&gateway.address, "idle", "phone").open().await;
        let welcome = client.next_json(BOUND).await;
        client.close().await;
        let position = welcome["position"].as_str().unwrap_or_default().to_owned();
        let sequence = position.rsplit('-').next().and_then(|sequence| sequence.parse::<u64>().ok());
        if sequence >= last.as_u64() { Ok(()) } else { Err(format!("{welcome}, and the last was {last}")) }
    })
    .await;
}
