//! The working directory belongs to a process as a whole, so this is a test binary with one test.

use std::ffi::OsString;

use tidings_runtime::config::{DEFAULT_FILE, SecretRule, load};

#[test]
fn the_default_file_is_read_if_it_exists() {
    let directory = tempfile::tempdir().unwrap();
    std::env::set_current_dir(directory.path()).unwrap();
    let replicas = || {
        let config = load(None, Vec::<(OsString, OsString)>::new(), SecretRule::Optional);
        config.unwrap().streams.replicas
    };
    assert_eq!(replicas(), 1);
    std::fs::write(DEFAULT_FILE, "[streams]\nreplicas = 3\n").unwrap();
    assert_eq!(replicas(), 3);
}
