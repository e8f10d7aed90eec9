//! Messages that nobody has received go to all of a user's contacts by all channels, each once: what bounces is noted, and what is
//! gone is forgotten. And the shelters' document: without gateways, Amazon SNS goes on.

use std::path::Path;

use harness::{Authority, BOUND, Received, Receiver, Setup, System, Tidings, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

const KEYS: (&str, &str) = ("TIDINGS_CONTACTS__KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const VAPID: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";

const CATALOG: &str = r#"
grants = ["user:{sub}"]
[[message]]
name = "note"
events = ["note.added"]
schema = "any.schema.json"
to = "user:{data.user}"
body = { type = "note", n = "{data.n}" }
[[message.fallback]]
channel = "webhook"
after = "0s"
[[message.fallback]]
channel = "email"
after = "0s"
subject = "Note {n}"
text = "This is note {n}."
[[message.fallback]]
channel = "sns"
after = "0s"
text = "Note {n}"
[[message.fallback]]
channel = "web_push"
after = "0s"
payload = { title = "Note {n}" }
"#;

fn catalogs(folder: &Path) {
    let folder = folder.join("notes");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("catalog.toml"), CATALOG).unwrap();
    std::fs::write(folder.join("any.schema.json"), "{}").unwrap();
}

async fn dispatcher(system: &System) -> Tidings {
    let mut dispatcher = system.command(&["dispatcher"]).start();
    dispatcher.line("this dispatcher leads", BOUND).await;
    dispatcher
}

async fn contacts(system: &System, tenant: &str, user: &str, words: &[&str]) -> Value {
    let words = [&["contacts"], words, &["--tenant", tenant, "--user", user]].concat();
    let printed = system.command(&words).finish(BOUND).await.succeeded();
    serde_json::from_str(&printed).unwrap()
}

/// The deliveries to a user, once so many are decided.
async fn decided(system: &System, tenant: &str, user: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} deliveries to {user} are decided"), BOUND, async || {
        let arguments = ["deliveries", "ls", "--tenant", tenant, "--user", user, "--json"];
        let listed = system.command(&arguments).finish(BOUND).await.succeeded();
        let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let is_open = |delivery: &Value| delivery.get("due").is_some() || delivery["status"] == "attempted";
        let is_done = listed.len() == count && !listed.iter().any(is_open);
        if is_done { Ok(listed) } else { Err(format!("{listed:?}")) }
    })
    .await
}

/// Amazon SNS, as far as one publication goes.
async fn sns() -> Receiver {
    let answer =
        "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>";
    Receiver::http(None, move |_| (200, answer.to_owned())).await
}

fn sns_section(sns: &Receiver) -> String {
    format!(
        "[sns]\nregion = \"eu-central-1\"\nendpoint = \"http://{}\"\naccess_key_id = \"A\"\n\
         secret_access_key = \"s\"\n",
        sns.address
    )
}

/// A value of a form.
fn form(received: &Received, name: &str) -> String {
    let text = received.text();
    let pair = text.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    let value = pair.unwrap_or_else(|| panic!("{text} has {name}"));
    value.replace('+', " ").replace("%2B", "+").replace("%3A", ":")
}

#[tokio::test]
async fn all_contacts_of_a_user_have_it_once() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    catalogs(folder.path());
    let webhook = Receiver::http(None, |_| (204, String::new())).await;
    let push = Receiver::http(Some(&authority), |request| match &*request.to {
        "/gone" => (410, String::new()),
        _ => (201, String::new()),
    })
    .await;
    let mail = Receiver::mail(|mail| match &*mail.to {
        "bounces@example.com" => (550, "5.1.1 <bounces@example.com> is unknown".to_owned()),
        _ => (250, "2.0.0 queued".to_owned()),
    })
    .await;
    let sns = sns().await;
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.certificate()).unwrap();
    let networks = "allowed_networks = [\"127.0.0.0/8\"]";
    let file = format!(
        "[webhook]\nallow_http = true\n{networks}\n\
         [email]\nserver = \"127.0.0.1\"\nport = {}\ntls = \"off\"\nfrom = \"no-reply@acme.example\"\n\
         [web_push]\nvapid_key = \"{VAPID}\"\ncontact = \"mailto:ops@acme.example\"\ntls_ca = {ca:?}\n{networks}\n{}",
        mail.address.port(),
        sns_section(&sns),
    );
    let setup = Setup::default().schemas(folder.path()).variable(KEYS.0, KEYS.1).file(&file);
    let system = setup.start().await;
    let running = dispatcher(&system).await;
    let browser = |device: &str, path: &str| {
        let keys = json!({ "p256dh": P256DH, "auth": "BTBZMqHH6r4Tts7J_aSIgg" });
        json!({ "device": device, "endpoint": format!("https://{}/{path}", push.address), "keys": keys })
    };
    let given = json!({
        "email": ["ada@example.com", "bounces@example.com"],
        "phone_number": ["+4930123456"],
        "sns_topic": ["arn:aws:sns:eu-central-1:1:alerts"],
        "webhook": [{
            "url": format!("http://{}/hooks", webhook.address), "keys": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        }],
        "web_push": [browser("laptop", "one"), browser("phone", "two"), browser("old", "gone")],
    });
    contacts(&system, "notes", "ada", &["set", "--data", &given.to_string()]).await;

    system.publish("notes", "note.added", &json!({ "user": "ada", "n": 1 })).await;
    let deliveries = decided(&system, "notes", "ada", 4).await;
    let of = |channel: &str| deliveries.iter().find(|delivery| delivery["channel"] == channel).unwrap();
    for (channel, reached) in [("webhook", 1), ("email", 1), ("sns", 2), ("web_push", 2)] {
        let delivery = of(channel);
        assert_eq!(delivery["status"], "sent", "{delivery}");
        assert_eq!(delivery["reached"].as_array().unwrap().len(), reached, "{delivery}");
    }
    for (channel, why) in [("email", "5.1.1"), ("web_push", "410")] {
        let reason = of(channel)["reason"].as_str().unwrap();
        assert!(reason.starts_with("not everywhere: ") && reason.contains(why), "{reason}");
        assert!(!reason.contains("bounces@"), "{reason}");
    }
    assert_eq!(webhook.received()[0].headers["webhook-id"], of("webhook")["delivery"].as_str().unwrap());
    let text = mail.received().into_iter().find(|mail| mail.to == "ada@example.com").unwrap().text();
    assert!(text.contains("Subject: Note 1") && text.contains("This is note 1."), "{text}");
    let published = sns.received();
    let to_phone = published.iter().find(|one| one.text().contains("PhoneNumber=")).unwrap();
    let to_topic = published.iter().find(|one| one.text().contains("TopicArn=")).unwrap();
    assert_eq!(form(to_phone, "PhoneNumber"), "+4930123456");
    assert_eq!(form(to_topic, "TopicArn"), "arn:aws:sns:eu-central-1:1:alerts");
    assert_eq!([to_phone, to_topic].map(|one| form(one, "Message")), ["Note 1", "Note 1"]);

    // What bounced is noted, and what is gone is forgotten: the next message goes to the others alone.
    let shown = contacts(&system, "notes", "ada", &["show"]).await;
    let shown = shown["contacts"].as_array().unwrap();
    let gone: Vec<_> = shown.iter().filter(|contact| !contact["gone"].is_null()).collect();
    assert_eq!((gone.len(), gone[0]["shown"].as_str()), (1, Some("b…@example.com")), "{shown:?}");
    let devices: Vec<_> = shown.iter().filter_map(|contact| contact["device"].as_str()).collect();
    assert_eq!(devices, ["laptop", "phone"]);
    let before = [&webhook, &mail, &sns, &push].map(|receiver| receiver.received().len());
    assert_eq!(before, [1, 2, 2, 3]);
    system.publish("notes", "note.added", &json!({ "user": "ada", "n": 2 })).await;
    for delivery in decided(&system, "notes", "ada", 8).await {
        assert_eq!(delivery["status"], "sent", "{delivery}");
    }
    let after = [&webhook, &mail, &sns, &push].map(|receiver| receiver.received().len());
    assert_eq!(after, [2, 3, 4, 5]);

    // A user without contacts; and nothing of a contact is in any log.
    system.publish("notes", "note.added", &json!({ "user": "bob", "n": 3 })).await;
    for delivery in decided(&system, "notes", "bob", 4).await {
        assert_eq!(delivery["reason"], "there is nowhere to send it to", "{delivery}");
    }
    let output = running.output();
    for secret in ["ada@example.com", "bounces@", "+4930", "/one", P256DH] {
        assert!(!output.contains(secret), "{output}");
    }
    assert!(!output.contains("ERROR") && !output.contains("panicked"), "{output}");
}

/// Criterion 7 of the shelters' document: "SNS continues to work if WebSocket fails".
#[tokio::test]
async fn shelters_are_alerted_by_sns_when_the_gateways_are_down() {
    let sns = sns().await;
    let mut system = Setup::default().variable(KEYS.0, KEYS.1).file(&sns_section(&sns)).start().await;
    let _running = dispatcher(&system).await;
    let claims = |user: &str, role: &str| json!({ "tenant": "shelter", "sub": user, "role": role });
    for (user, number) in [("cora", "+4930111111"), ("finn", "+4930222222"), ("olga", "+4930333333")] {
        let given = json!({ "phone_number": [number] }).to_string();
        contacts(&system, "shelter", user, &["set", "--data", &given]).await;
    }
    // Two who are called in, and one whom alerts do not concern.
    let mut cora = system.open(claims("cora", "emergency_coordinator")).await;
    let finn = system.open(claims("finn", "first_responder")).await;
    let olga = system.open(claims("olga", "shelter_operator")).await;
    for client in [finn, olga] {
        client.close().await;
    }
    eventually("all devices are stored", BOUND, async || {
        let listed =
            system.command(&["consumers", "ls", "--tenant", "shelter"]).finish(BOUND).await.succeeded();
        let is_there = ["cora", "finn", "olga"].iter().all(|user| listed.contains(user));
        if is_there { Ok(()) } else { Err(listed) }
    })
    .await;
    let alert = |title: &str| json!({ "title": title, "message": "Move to the upper floors", "severity": "critical" });
    system.publish("shelter", "alert.created", &alert("Flood")).await;
    assert_eq!(cora.next_json(BOUND).await["data"]["title"], "Flood");
    // Who goes on reading answers the gateway's Ping, which acknowledges.
    tokio::spawn(async move { while cora.next_json_or_close(4 * BOUND).await.is_ok() {} });
    let published = sns.wait_for(1).await;
    assert_eq!(form(&published[0], "PhoneNumber"), "+4930222222", "who is not connected");
    assert_eq!(form(&published[0], "Message"), "Flood: Move to the upper floors");
    let delivery = &decided(&system, "shelter", "cora", 1).await[0];
    assert_eq!(delivery["status"], "skipped", "{delivery}");

    system.gateway.signal(Signal::KILL);
    eventually("the gateway is gone", BOUND, async || {
        if system.gateway.is_running() { Err("it runs") } else { Ok(()) }
    })
    .await;
    system.publish("shelter", "alert.created", &alert("Fire")).await;
    let broadcast = json!({ "target": "user", "userId": "olga", "message": "Open the gates" });
    system.publish("shelter", "broadcast.created", &broadcast).await;
    let published = sns.wait_for(4).await;
    let mut sent: Vec<_> =
        published[1..].iter().map(|one| (form(one, "PhoneNumber"), form(one, "Message"))).collect();
    sent.sort();
    let fire = || "Fire: Move to the upper floors".to_owned();
    assert_eq!(
        sent,
        [
            ("+4930111111".to_owned(), fire()),
            ("+4930222222".to_owned(), fire()),
            ("+4930333333".to_owned(), "Open the gates".to_owned()),
        ]
    );
}
