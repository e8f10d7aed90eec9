//! `@tidings/react` and shared connections in a real browser: `shared/client-ts/e2e/browser.ts`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::{Launch, System};

use crate::{ada, workshop};

/// A browser takes its time to start.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// Chromium, if it is there; as root, it is installed.
pub(crate) fn chromium() -> Option<PathBuf> {
    let find = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/bin")]);
        let programs = folders.flat_map(|folder| {
            ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name))
        });
        programs.into_iter().find(|program| program.is_file())
    };
    find().or_else(|| {
        let is_debian = Path::new("/usr/bin/apt-get").is_file();
        if is_debian && rustix::process::geteuid().is_root() {
            let install = "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium";
            // What it could not install is not found.
            _ = Command::new("sh").args(["-c", install]).output();
        }
        find()
    })
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#[tokio::test]
async fn one_connection_in_strict_mode_and_for_five_tabs_and_ten_minutes_offline() {
    let Some(browser) = chromium() else {
        eprintln!("SKIPPED: there is no Chromium on the PATH, so nothing was tried in a browser");
        return;
    };
    let built = workshop::built();
    let system = System::start().await;
    let program = built.join("browser.mjs");
    let finished = Launch::shell(&format!("exec node '{}'", program.display()))
        .variable("TIDINGS_URL", format!("{}/api/ws", system.address().replacen("http", "ws", 1)))
        .variable("TIDINGS_TOKEN", ada(3600))
        .variable("TIDINGS_BROWSER", browser)
        .variable("TIDINGS_PAGE", built.join("page.js"))
        .finish(LONG)
        .await;
    assert!(finished.succeeded().contains("browser: done"));
}
