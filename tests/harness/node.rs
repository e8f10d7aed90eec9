//! Packages of npm, as they are published.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The folder with the modules that `package-lock.json` of a folder names, installed once below `target` and then kept.
#[must_use]
pub fn node_modules(source: &Path, target: &Path) -> PathBuf {
    let package: Value =
        serde_json::from_str(&std::fs::read_to_string(source.join("package.json")).unwrap()).unwrap();
    let (name, version) = package["dependencies"].as_object().unwrap().iter().next().unwrap();
    let installed = target.join(format!("{name}-{}", version.as_str().unwrap()));
    if !installed.exists() {
        std::fs::create_dir_all(target).unwrap();
        // Moved into place when it is complete, so that two installations at once are harmless.
        let work = tempfile::tempdir_in(target).unwrap();
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(source.join(file), work.path().join(file)).unwrap();
        }
        run("node", &["--version"], work.path());
        run("npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], work.path());
        let moved = std::fs::rename(work.path(), &installed);
        assert!(moved.is_ok() || installed.exists(), "cannot make {}: {moved:?}", installed.display());
    }
    installed.join("node_modules")
}

fn run(program: &str, arguments: &[&str], folder: &Path) {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap_or_else(|error| {
        panic!(
            "cannot start {program} ({error}): install Node 20.19 or later with npm, and put both on the PATH"
        )
    });
    let reported = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?} fails; does it reach npm's registry?\n{reported}"
    );
}
