//! Finds the nats-server binary to run.
//!
//! A binary that the developer names wins. Otherwise a nats-server on the `PATH` is preferred over the project's own,
//! if it is new enough for the streams (fast ingest: [`MINIMUM_VERSION`]).

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;

/// The oldest nats-server that Tidings runs on.
pub const MINIMUM_VERSION: Version = Version { major: 2, minor: 14, patch: 0 };

/// A nats-server binary that is new enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// The executable file.
    pub path: PathBuf,
    /// The version that it reports.
    pub version: Version,
}

/// Where to search for a nats-server.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// A file to use without searching further (`TIDINGS_NATS_SERVER`).
    pub named: Option<PathBuf>,
    /// A list of folders in the form of `PATH`.
    pub path: Option<OsString>,
    /// Folders from which `.tools/bin/nats-server` is searched upwards.
    pub projects: Vec<PathBuf>,
}

impl Places {
    /// The places from this process's environment, current folder and executable.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self {
            named: env::var_os("TIDINGS_NATS_SERVER").filter(|value| !value.is_empty()).map(PathBuf::from),
            path: env::var_os("PATH"),
            projects: [env::current_dir(), env::current_exe()].into_iter().flatten().collect(),
        }
    }
}

impl Binary {
    /// Finds the nats-server to run. Starts processes (`nats-server --version`) and blocks for them.
    pub fn find(places: &Places) -> Result<Self, Error> {
        if let Some(named) = &places.named {
            return Self::at(named);
        }
        let on_path = places
            .path
            .iter()
            .flat_map(|path| env::split_paths(path))
            .map(|folder| folder.join("nats-server"));
        let in_projects = places
            .projects
            .iter()
            .flat_map(|start| start.ancestors())
            .map(|folder| folder.join(".tools/bin/nats-server"));

        let mut first_refusal = None;
        for candidate in on_path.chain(in_projects).filter(|candidate| candidate.is_file()) {
            match Self::at(&candidate) {
                Ok(binary) => return Ok(binary),
                Err(refusal) => first_refusal = first_refusal.or(Some(refusal)),
            }
        }
        Err(first_refusal.unwrap_or(Error::NotFound))
    }

    /// Checks that this file is a nats-server that is new enough. Starts the process and blocks for it.
    pub fn at(path: &Path) -> Result<Self, Error> {
        let not_a_nats_server = |detail: String| Error::NotANatsServer { path: path.to_owned(), detail };
        let output = Command::new(path)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| not_a_nats_server(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let found = Version::reported(&text)
            .ok_or_else(|| not_a_nats_server(format!("it printed {:?}", text.trim())))?;
        if found < MINIMUM_VERSION {
            return Err(Error::TooOld { path: path.to_owned(), found });
        }
        Ok(Self { path: path.to_owned(), version: found })
    }
}

/// A version of nats-server, without what follows the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Incremented for incompatible changes.
    pub major: u64,
    /// Incremented for new features.
    pub minor: u64,
    /// Incremented for fixes.
    pub patch: u64,
}

impl Version {
    /// Parses the output of `nats-server --version`, such as `nats-server: v2.15.1`.
    fn reported(text: &str) -> Option<Self> {
        let numbers = text.trim().strip_prefix("nats-server: v")?;
        let mut parts = numbers.split(['.', '-', '+']).map_while(|part| part.parse().ok());
        Some(Self { major: parts.next()?, minor: parts.next()?, patch: parts.next()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_nats_server_prints_them() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(
                Version::reported(text).map(|version| version.to_string()).as_deref(),
                expected,
                "{text:?}"
            );
        };
        check("nats-server: v2.15.1\n", Some("2.15.1"));
        check("nats-server: v2.14.0-RC.1\n", Some("2.14.0"));
        check("nats-server: v2.14.0-preview.10", Some("2.14.0"));
        check("nats-server: v2.14", None);
        check("nats-server: version 2.15.1", None);
        check("", None);
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let version = |text: &str| Version::reported(&format!("nats-server: v{text}")).unwrap();
        assert!(version("2.9.10") < MINIMUM_VERSION);
        assert!(version("2.14.0") >= MINIMUM_VERSION);
        assert!(version("2.100.0") > version("2.15.1"));
        assert!(version("3.0.0") > version("2.15.1"));
    }
}
