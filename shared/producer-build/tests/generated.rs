//! What is generated for the five systems is what the producer's tests compile.

use std::path::Path;

use tidings_producer_build::{read, source};

/// With `UPDATE_GENERATED=1` it is written anew.
#[test]
fn the_modules_that_the_producers_tests_compile_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for tenant in ["cnc", "documents", "ops", "shelter", "uploads"] {
        let (name, files) = read(&root.join("schemas").join(tenant)).unwrap();
        let generated = source(&name, &files).unwrap();
        let path = root.join(format!("shared/producer/tests/generated/{tenant}.rs"));
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == generated, "{} is out of date; UPDATE_GENERATED=1 writes it anew", path.display());
    }
}
