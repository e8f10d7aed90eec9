//! Programs of others that a test needs: found, or installed where Debian's packages may be.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The first of these programs that is there.
#[must_use]
pub fn program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/bin", "/usr/sbin"].map(PathBuf::from));
    let mut programs = folders.flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    programs.find(|program| program.is_file())
}

/// The same; as root on Debian, the package is installed if there is none.
#[must_use]
pub fn program_or_package(names: &[&str], package: &str) -> Option<PathBuf> {
    /// Two installations at once would refuse each other.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    program(names).or_else(|| {
        if Path::new("/usr/bin/apt-get").is_file() && rustix::process::geteuid().is_root() {
            // RUNLEVEL keeps what is installed from being started.
            let install = format!(
                "apt-get update -q && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -q -y --no-install-recommends {package}"
            );
            // What it could not install is not found.
            _ = Command::new("sh").args(["-c", &install]).output();
        }
        program(names)
    })
}
