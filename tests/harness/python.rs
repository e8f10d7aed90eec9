//! Packages of Python, as they are published.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder with the package that `requirements.txt` of a folder names, installed once below `target` and then kept.
#[must_use]
pub fn python_packages(source: &Path, target: &Path) -> PathBuf {
    let requirements = source.join("requirements.txt");
    let text = std::fs::read_to_string(&requirements).unwrap();
    let (package, _) = text.split_once(' ').unwrap();
    let installed = target.join(package.replace("==", "-"));
    if !installed.exists() {
        std::fs::create_dir_all(target).unwrap();
        // Moved into place when it is complete, so that two installations at once are harmless.
        let work = tempfile::tempdir_in(target).unwrap();
        let pip =
            ["-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes", "--no-deps", "--target"];
        let output =
            output(Command::new(interpreter()).args(pip).arg(work.path()).arg("-r").arg(&requirements));
        let reported = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pip fails; does it reach PyPI?\n{reported}");
        let moved = std::fs::rename(work.path(), &installed);
        assert!(moved.is_ok() || installed.exists(), "cannot make {}: {moved:?}", installed.display());
    }
    installed
}

/// The interpreter itself. What stands for it on the PATH may do more after an installation, which two at once disturb.
fn interpreter() -> PathBuf {
    let output = output(Command::new("python3").args(["-c", "import sys; print(sys.executable)"]));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| {
        panic!(
            "cannot start {command:?} ({error}): install Python 3.8 or later with pip, and put it on the PATH"
        )
    })
}
