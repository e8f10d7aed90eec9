//! `@tidings/react` and shared connections in real browsers: `shared/client-ts/e2e/browser.ts` and `firefox.ts`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::{Launch, System};

use crate::{ada, workshop};

/// A browser takes its time to start.
pub(crate) const LONG: Duration = Duration::from_secs(180);

/// The first of these programs that is there.
fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/bin")]);
    let mut programs = folders.flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    programs.find(|program| program.is_file())
}

/// Chromium, if it is there; as root, it is installed.
pub(crate) fn chromium() -> Option<PathBuf> {
    let chromium = || find(&["chromium", "chromium-browser", "google-chrome"]);
    chromium().or_else(|| {
        let is_debian = Path::new("/usr/bin/apt-get").is_file();
        if is_debian && rustix::process::geteuid().is_root() {
            let install = "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium";
            // What it could not install is not found.
            _ = Command::new("sh").args(["-c", install]).output();
        }
        chromium()
    })
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
    let Some(browser) = find(&["firefox-esr", "firefox"]) else {
        eprintln!("SKIPPED: there is no Firefox on the PATH, so nothing was tried in it");
        return;
    };
    run_in(browser, "firefox").await;
}
