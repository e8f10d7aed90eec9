//! What commands print on a terminal: what others chose is shown and never obeyed, and a reader that has seen enough is
//! no error.

use async_nats::HeaderMap;
use harness::{BOUND, Dial, Finished, SECRET, System, eventually, token};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Names a colour, a title, a line, a column and a direction.
const USER: &str = "live\u{1b}]0;x\u{7}\u{1b}[1;31mROOT\u{1b}[0m\n2026 ok\u{9b}2J\u{202e}\u{200b}";
const DEVICE: &str = "d  forged\u{202e}\u{2066}\u{200b} ";

/// What a terminal would obey, or not show.
fn is_obeyed(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

struct Terminal<'s>(&'s System);

impl Terminal<'_> {
    /// Runs the command, which may fail, and checks everything that it prints.
    async fn finish(&self, arguments: &[&str]) -> Finished {
        let finished = self.0.command(arguments).finish(BOUND).await;
        for text in [&finished.output, &finished.errors] {
            assert!(!text.contains(is_obeyed), "{arguments:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("2026 ok")), "{arguments:?}: {text:?}");
        }
        finished
    }

    async fn run(&self, arguments: &[&str]) -> String {
        self.finish(arguments).await.succeeded()
    }
}

#[tokio::test]
async fn nothing_that_others_chose_is_obeyed() {
    let system = System::start().await;
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": USER, "role": "sre" }));
    let mut client = Dial::new(system.address()).bearer(&ada).query("device", DEVICE).open().await;
    client.send_json(&json!({ "action": "subscribe", "topics": ["incidents"] })).await;
    client.expect_nothing_before_pong(BOUND).await;
    let hostile =
        json!({ "specversion": "1.0", "id": USER, "source": DEVICE, "type": USER, "data": { USER: DEVICE } });
    let headers = HeaderMap::from_iter([(
        "Content-Type".parse().unwrap(),
        "application/cloudevents+json".parse().unwrap(),
    )]);
    let event = system.publish_raw("events.ops.incident.exploded", headers, hostile.to_string()).await;
    system.rejected(event).await;
    let terminal = Terminal(&system);
    eventually("the consumer is stored", BOUND, async || {
        let listed = terminal.finish(&["consumers", "ls", "--tenant", "ops"]).await.output;
        if listed.lines().count() == 2 { Ok(()) } else { Err(listed) }
    })
    .await;

    let user = ["--tenant", "ops", "--user", USER];
    let of = |words: &[&'static str], more: &[&'static str]| [words, &user, more].concat();
    let consumer = ["--device", DEVICE];
    for words in [["consumers", "ls"], ["connections", "ls"]] {
        let listed = terminal.run(&of(&words, &[])).await;
        assert_eq!(listed.lines().count(), 2, "{listed}");
        let listed = terminal.run(&of(&words, &["--json"])).await;
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert_eq!((&listed["user"], &listed["device"]), (&json!(USER), &json!(DEVICE)), "JSON is exact");
    }
    let shown: Value =
        serde_json::from_str(&terminal.run(&of(&["consumers", "show"], &consumer)).await).unwrap();
    assert_eq!((&shown["user"], &shown["device"]), (&json!(USER), &json!(DEVICE)));
    terminal.run(&of(&["consumers", "reset", "--to", "all"], &consumer)).await;
    terminal.finish(&of(&["consumers", "reset", "--to", "all"], &["--device", "\u{1b}[2J"])).await.failed();

    let rejected = terminal.run(&["rejected", "ls", "--json"]).await;
    let rejected: Value = serde_json::from_str(&rejected).unwrap();
    assert_eq!(rejected["reason"], "malformed-event");
    let position = rejected["position"].as_str().unwrap();
    assert_eq!(terminal.run(&["rejected", "ls"]).await.lines().count(), 2);
    let shown: Value = serde_json::from_str(&terminal.run(&["rejected", "show", position]).await).unwrap();
    assert_eq!(shown["payload"]["data"], json!({ USER: DEVICE }));
    let report = terminal.run(&["projector", "rebuild", "--tenant", "ops", "--dry-run"]).await;
    assert!(report.contains("events rejected: malformed-event 1"), "{report}");
    terminal.run(&["rejected", "retry", position]).await;

    terminal.run(&[&of(&["users", "disable", "--reason"], &[])[..3], &[USER], &user].concat()).await;
    let shown: Value = serde_json::from_str(&terminal.run(&of(&["users", "show"], &[])).await).unwrap();
    assert_eq!(shown["disabled"]["reason"], USER);
    // Before the user is enabled again: the gateway looks at changes once a tick, and sees the last one of a tick only.
    assert_eq!(client.close_code(BOUND).await, Some(4503));
    for verb in ["disable", "enable", "revoke", "purge", "purge", "enable"] {
        terminal.finish(&of(&["users", verb], &[])).await;
    }
    for arguments in [
        &["connections", "close", "--tenant", "ops", "--user", USER][..],
        &["connections", "close", "--tenant", "ops", "--id", USER],
        &["consumers", "ls", "--tenant", USER],
        &["rejected", "show", USER],
        &["publish", "--tenant", "ops", USER, "--data", "{}"],
        &["publish", "--tenant", "ops", "incident.created", "--data", USER],
        &["listen", "--token", "x", "--url", USER],
        &["listen", "--token", USER],
        &["--config", "no\u{1b}[2J\u{202e}file", "config"],
        &["token", "--tenant", USER, "--sub", "ada"],
    ] {
        assert_ne!(terminal.finish(arguments).await.code, Some(0), "{arguments:?}");
    }
}

/// A message reaches the screen, and who reads it as JSON gets the same values.
#[tokio::test]
async fn a_listener_is_shown_what_others_wrote() {
    let system = System::start().await;
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada", "role": "sre" }));
    let url = system.address().replacen("http", "ws", 1) + "/api/ws";
    let arguments = ["listen", "--token", &ada, "--url", &url, "--topic", "incidents", "--count", "1"];
    let mut listener = system.command(&arguments).start();
    listener.line("listening", BOUND).await;
    let data = json!({
        "id": "i", "jira_id": "I", "title": USER, "severity": "low", "status": "open", "squad": DEVICE,
    });
    system.publish("ops", "incident.created", &data).await;
    let (_, output) = listener.end(BOUND).await;
    assert!(!output.contains(is_obeyed), "{output:?}");
    let message: Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    assert_eq!(message["data"], data);
}

/// A log that nobody reads any more ends no service.
#[tokio::test]
async fn services_outlive_the_reader_of_their_log() {
    let system = System::start().await;
    system.projector.signal(Signal::KILL);
    let mut unread = system.command(&["projector"]).without_reader().start();
    for id in 0..3 {
        let event = system.publish("opz", "incident.created", &json!({ "id": id })).await;
        system.rejected(event).await;
        // Reloading is logged as well.
        unread.signal(Signal::HUP);
    }
    assert!(unread.is_running());
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let system = System::start().await;
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let client = Dial::new(system.address()).bearer(&ada).query("device", "phone").open().await;
    eventually("the consumer is stored", BOUND, async || {
        let listed = system.command(&["consumers", "ls", "--tenant", "ops"]).finish(BOUND).await;
        if listed.output.contains("phone") { Ok(()) } else { Err(listed.output + &listed.errors) }
    })
    .await;
    let event = system.publish("opz", "incident.created", &json!({})).await;
    let rejected = system.rejected(event).await;
    let position = rejected.subject().rsplitn(3, '.').take(2).collect::<Vec<_>>();
    let position = format!("{}-{}", position[1], position[0]);
    let url = system.address().replacen("http", "ws", 1) + "/api/ws";
    let show = format!("rejected show {position}");
    let listen = format!("listen --token {ada} --url {url} --sequenced");
    for (line, code) in [
        ("--help", 0),
        ("--version", 0),
        ("users --help", 0),
        ("config", 141),
        ("token --tenant ops --sub ada", 141),
        ("check --offline", 141),
        ("consumers ls --tenant ops", 141),
        ("consumers ls --tenant ops --json", 141),
        ("consumers show --tenant ops --user ada --device phone", 141),
        ("connections ls --tenant ops", 141),
        ("users show --tenant ops --user ada", 141),
        ("projector ls", 141),
        ("projector rebuild --tenant ops --dry-run", 141),
        ("rejected ls", 141),
        (&show, 141),
        (&listen, 141),
        // What was to be done is done all the same.
        ("users disable --tenant ops --user bo", 0),
        ("users enable --tenant ops --user bo", 0),
        ("users revoke --tenant ops --user bo", 0),
        ("consumers reset --tenant ops --user ada --device phone --to all", 0),
        ("connections close --tenant ops --user ada", 0),
        ("users purge --tenant ops --user ada", 0),
        ("rejected drop --all", 0),
    ] {
        let arguments: Vec<_> = line.split(' ').collect();
        let finished = system.command(&arguments).without_reader().finish(BOUND).await;
        let errors: Vec<_> = finished.errors.lines().filter(|line| !line.contains("listening at")).collect();
        assert_eq!((finished.code, errors), (Some(code), Vec::<&str>::new()), "{line}");
    }
    drop(client);
    let left = system.command(&["rejected", "ls"]).finish(BOUND).await.succeeded();
    assert_eq!(left, "there are no rejected events\n");
}
