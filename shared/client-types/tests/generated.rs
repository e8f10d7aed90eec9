//! What is generated for the five systems is what the clients' tests compile.

use std::path::Path;

use tidings_catalog::Files;
use tidings_client_types::typescript;
use tidings_model::Tenant;

/// With `UPDATE_GENERATED=1` it is written anew.
#[test]
fn the_types_that_the_clients_tests_compile_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for tenant in ["cnc", "documents", "ops", "shelter", "uploads"] {
        let mut files = Files::new();
        for entry in std::fs::read_dir(root.join("schemas").join(tenant)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_file() && tidings_catalog::is_catalog_file(&name) {
                files.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
        let generated = typescript(&Tenant::parse(tenant).unwrap(), &files).unwrap();
        let path = root.join(format!("shared/client-ts/types/src/{tenant}.ts"));
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == generated, "{} is out of date; UPDATE_GENERATED=1 writes it anew", path.display());
    }
}
