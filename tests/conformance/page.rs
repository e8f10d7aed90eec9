//! The page in README.md: it connects again as long as that makes sense, with a fresh token, and no longer.

use harness::{BOUND, Launch, SECRET, System, Tidings, eventually, token};
use serde_json::{Value, json};

use crate::ws::{SOURCE, modules};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

fn page(system: &System, query: &str, tokens: Option<&str>) -> Tidings {
    let gateway = system.address().replacen("http", "ws", 1);
    let tokens = tokens.unwrap_or_default();
    let script = format!("exec node '{SOURCE}/page.cjs' '{README}' '{gateway}' '{query}' {tokens}");
    Launch::shell(&script).variable("NODE_PATH", modules()).start()
}

fn claims(more: &Value) -> Value {
    let mut claims = json!({ "tenant": "ops", "sub": "ada", "role": "sre" });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

async fn users(system: &System, verb: &str) {
    let arguments = ["users", verb, "--tenant", "ops", "--user", "ada"];
    system.command(&arguments).finish(BOUND).await.succeeded();
}

/// Tells Ada something until her page has it: it may be about to connect.
async fn until_told(system: &System, page: &mut Tidings, title: &str) {
    let notification =
        json!({ "userId": "ada", "title": title, "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &notification).await;
    page.line(title, BOUND).await;
}

fn connections(output: &str) -> usize {
    output.lines().filter(|line| *line == "connects").count()
}

#[tokio::test]
async fn the_page_ends_with_its_only_token() {
    modules();
    let system = System::start().await;
    let good = token(SECRET, claims(&json!({})));
    let mut opened = page(&system, &format!("?token={good}"), None);
    opened.line("opened", BOUND).await;
    until_told(&system, &mut opened, "hello").await;
    users(&system, "revoke").await;
    let (status, output) = opened.end(BOUND).await;
    assert!(status.success() && output.contains("There is no good token"), "{output}");
    assert_eq!(connections(&output), 1, "{output}");

    let expired = token(SECRET, claims(&json!({ "exp": 1_700_000_000 })));
    let (status, output) = page(&system, &format!("?token={expired}"), None).end(BOUND).await;
    assert!(status.success() && output.contains("There is no good token"), "{output}");
    assert_eq!(connections(&output), 1, "one look, in case this machine's clock is wrong: {output}");
    let (_, output) = page(&system, "", None).end(BOUND).await;
    assert!(output.contains("There is no good token") && connections(&output) == 0, "{output}");
}

#[tokio::test]
async fn the_page_goes_on_with_fresh_tokens_until_it_is_told_to_end() {
    modules();
    let system = System::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let write = |age: u64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        std::fs::write(&file, token(SECRET, claims(&json!({ "iat": now + 1 - age, "sid": "s" })))).unwrap();
    };
    let mut opened = page(&system, "", Some(file.to_str().unwrap()));
    // There is no backend yet: it tries again, later each time.
    opened.line("waits", BOUND).await;
    write(60);
    opened.line("opened", BOUND).await;
    until_told(&system, &mut opened, "with the first token").await;
    // Until there is a fresh one, it asks in vain.
    std::fs::remove_file(&file).unwrap();
    users(&system, "revoke").await;
    // What a revocation of this second leaves good.
    write(0);
    eventually("it has come back", BOUND, async || {
        let output = opened.output();
        let is_back = output.lines().filter(|line| *line == "opened").count() == 2;
        if is_back { Ok(()) } else { Err(output) }
    })
    .await;
    until_told(&system, &mut opened, "with the second token").await;
    users(&system, "disable").await;
    let (status, output) = opened.end(BOUND).await;
    assert!(status.success() && output.contains("for good: 4503"), "{output}");
    let waits = output.lines().filter_map(|line| line.strip_prefix("waits ")?.parse::<f64>().ok());
    let longest = waits.clone().enumerate().all(|(failures, time)| {
        let most = 1000.0 * f64::from(1_u32 << failures.min(16));
        time >= most.min(60_000.0) / 2.0 && time <= most.min(60_000.0)
    });
    assert!(longest && waits.count() >= 2, "{output}");
}
