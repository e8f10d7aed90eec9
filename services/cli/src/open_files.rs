//! The limit of open files, and so of sockets, of the process.
//!
//! The default limit of shells and service managers, about a thousand, is meant for programs that keep descriptors in
//! bit sets. A process may raise it itself up to the hard limit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to the system's maximum, and logs it.
pub(crate) fn allow_all() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::info!(open_files = shown(maximum), "each connection takes an open file"),
        Err(error) => {
            let text = "each connection takes an open file, and the limit cannot be raised";
            tracing::warn!(open_files = shown(current), %error, "{text}");
        }
    }
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}
