//! How many files, and so sockets, the process may have open.
//!
//! What shells and service managers set is meant for programs that keep descriptors in sets of bits, a thousand or so;
//! up to the hard limit a process may set it itself.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Allows as many as the system does. Says how many that is.
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
