//! `@tidings/react` and shared connections in real browsers, through killed gateways and blocked upgrades:
//! `shared/client-ts/e2e/browser.ts`, `firefox.ts` and `killed.ts`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::{BOUND, Launch, Setup, System, free_port, program, program_or_package};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::node::is_free;
use crate::{ada, workshop};

/// A browser takes its time to start.
pub(crate) const LONG: Duration = Duration::from_secs(180);

/// Chromium, if it is there; as root, it is installed.
pub(crate) fn chromium() -> Option<PathBuf> {
    program_or_package(&["chromium", "chromium-browser", "google-chrome"], "chromium")
}

/// A program of `shared/client-ts/e2e`, for a browser and the gateway at this address.
fn launch(browser: &Path, name: &str, gateway: &str) -> Launch {
    let built = workshop::built();
    let program = built.join(name).with_extension("mjs");
    Launch::shell(&format!("exec node '{}'", program.display()))
        .variable("TIDINGS_URL", format!("{}/api/ws", gateway.replacen("http", "ws", 1)))
        .variable("TIDINGS_TOKEN", ada(3600))
        .variable("TIDINGS_BROWSER", browser)
        .variable("TIDINGS_PAGE", built.join("page.js"))
}

/// Runs such a program to its end.
async fn run_in(browser: PathBuf, name: &str) {
    workshop::built();
    let system = System::start().await;
    let finished = launch(&browser, name, system.address()).finish(LONG).await;
    assert!(finished.succeeded().contains(&format!("{name}: done")));
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#[tokio::test]
async fn one_connection_in_strict_mode_and_for_five_tabs_and_ten_minutes_offline() {
    let Some(browser) = chromium() else {
        eprintln!("SKIPPED: there is no Chromium on the PATH, so nothing was tried in a browser");
        return;
    };
    run_in(browser, "browser").await;
}

/// 300 MB that are not installed for one test.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#[tokio::test]
async fn one_connection_in_strict_mode_and_for_five_tabs_and_by_http_in_firefox() {
    let Some(browser) = program(&["firefox-esr", "firefox"]) else {
        eprintln!("SKIPPED: there is no Firefox on the PATH, so nothing was tried in it");
        return;
    };
    run_in(browser, "firefox").await;
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#[tokio::test]
async fn each_message_comes_once_to_a_page_whose_gateway_is_killed_twenty_times() {
    const MESSAGES: usize = 1000;
    const KILLS: usize = 20;
    let Some(browser) = chromium() else {
        eprintln!("SKIPPED: there is no Chromium on the PATH, so no gateway was killed under a browser");
        return;
    };
    workshop::built();
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__LISTEN", &listen).start().await;
    let mut page = launch(&browser, "killed", system.address()).start();
    page.line(r#"{"state":"live"}"#, LONG).await;
    let expected: Vec<String> = (0..MESSAGES).map(|n| format!("n{n}")).collect();
    for (n, title) in expected.iter().enumerate() {
        let data =
            json!({ "userId": "ada", "title": title, "message": "", "type": "info", "priority": "low" });
        system.publish("ops", "notification.created", &data).await;
        if n % (MESSAGES / KILLS) == 25 {
            // In the middle of what is being delivered.
            page.line(&json!({ "title": expected[n - 5] }).to_string(), LONG).await;
            system.gateway.signal(Signal::KILL);
            is_free(port).await;
            system.gateway = system.command(&["gateway"]).start();
        }
    }
    page.line(&json!({ "title": expected[MESSAGES - 1] }).to_string(), LONG).await;
    page.signal(Signal::TERM);
    let (status, output) = page.end(BOUND).await;
    assert!(status.success(), "{output}");
    let lines: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let titles: Vec<_> = lines.iter().filter_map(|line| line["title"].as_str()).collect();
    assert_eq!(titles, expected, "each message once and in order");
    let sockets = lines.iter().find_map(|line| line["sockets"].as_u64());
    assert!(sockets.is_some_and(|sockets| sockets > 1), "{sockets:?}");
    assert!(!lines.iter().any(|line| line.get("error").is_some()), "{output}");
}
