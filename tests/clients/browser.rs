//! `@tidings/react` and shared connections in real browsers: `shared/client-ts/e2e/browser.ts` and `firefox.ts`.

use std::path::PathBuf;
use std::time::Duration;

use harness::{Launch, System, program, program_or_package};

use crate::{ada, workshop};

/// A browser takes its time to start.
pub(crate) const LONG: Duration = Duration::from_secs(180);

/// Chromium, if it is there; as root, it is installed.
pub(crate) fn chromium() -> Option<PathBuf> {
    program_or_package(&["chromium", "chromium-browser", "google-chrome"], "chromium")
}

/// Runs a program of `shared/client-ts/e2e` in a browser.
async fn run_in(browser: PathBuf, name: &str) {
    let built = workshop::built();
    let system = System::start().await;
    let program = built.join(name).with_extension("mjs");
    let finished = Launch::shell(&format!("exec node '{}'", program.display()))
        .variable("TIDINGS_URL", format!("{}/api/ws", system.address().replacen("http", "ws", 1)))
        .variable("TIDINGS_TOKEN", ada(3600))
        .variable("TIDINGS_BROWSER", browser)
        .variable("TIDINGS_PAGE", built.join("page.js"))
        .finish(LONG)
        .await;
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
async fn one_connection_in_strict_mode_and_for_five_tabs_in_firefox() {
    let Some(browser) = program(&["firefox-esr", "firefox"]) else {
        eprintln!("SKIPPED: there is no Firefox on the PATH, so nothing was tried in it");
        return;
    };
    run_in(browser, "firefox").await;
}
