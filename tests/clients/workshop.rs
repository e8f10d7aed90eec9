//! Installs what `shared/client-ts/package-lock.json` names, and bundles what runs here.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/client-ts");

/// The folder with the programs and pages of `shared/client-ts/e2e`, built once per test program.
pub(crate) fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        run("sh", &["../../.tools/client-ts", "run", "--silent", "bundle"]);
        Path::new(SOURCE).join("build/e2e")
    })
}

/// Runs the tests that need nothing but Node.
pub(crate) fn test() {
    run("sh", &["../../.tools/client-ts", "test", "--silent", "--", "--dots"]);
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(SOURCE).output();
    let output = output.unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    assert!(
        output.status.success(),
        "{arguments:?} fails\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
