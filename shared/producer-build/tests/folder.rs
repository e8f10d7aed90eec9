//! Whatever lies in a tenant's folder, and whatever drafts and files its schemas are made of.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its tests share")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tidings_producer_build::{GenerateError, read};
use tidings_types::rust_producer;

const CATALOG: &str = r#"
grants = ["user:{sub}"]
[[message]]
name = "dish"
events = ["dish.ready"]
schema = "dish.schema.json"
to = "user:{data.guest}"
body = { dish = "{data.dish}", note = "{data.note?}" }
"#;

const DISH: &str = r##"{
    "$schema": "http://json-schema.org/draft-07/schema#",
    "required": ["dish"],
    "properties": { "dish": { "$ref": "common.schema.json#/definitions/dish" }, "note": { "$ref": "#/definitions/note" } },
    "definitions": { "note": { "type": "string", "description": "For the waiter." } }
}"##;

const COMMON: &str = r#"{
    "$schema": "http://json-schema.org/draft-04/schema#",
    "definitions": { "dish": { "enum": ["soup", "salad"], "description": "What it is." } }
}"#;

fn write(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (name, text) in
        [("catalog.toml", CATALOG), ("dish.schema.json", DISH), ("common.schema.json", COMMON)]
    {
        fs::write(folder.join(name), text).unwrap();
    }
}

#[test]
fn types_come_from_files_beside_and_drafts_that_are_older() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("kitchen");
    write(&folder);
    fs::write(folder.join("._dish.schema.json"), b"\x00\x05\xFF").unwrap();
    symlink("nobody@host.1", folder.join(".#dish.schema.json")).unwrap();
    let (tenant, files) = read(&folder).unwrap();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["catalog.toml", "common.schema.json", "dish.schema.json"]);
    let generated = rust_producer(&tenant, &files).unwrap();
    for expected in
        ["pub enum DishDish {", "Soup,", "/// What it is.", "/// For the waiter.", "pub note: Option<String>"]
    {
        assert!(generated.contains(expected), "{expected:?} is not in\n{generated}");
    }
}

#[test]
fn a_link_to_a_file_elsewhere_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("kitchen");
    write(&folder);
    fs::write(root.path().join("outside.json"), "{}").unwrap();
    symlink("../outside.json", folder.join("x.json")).unwrap();
    assert!(matches!(read(&folder), Err(GenerateError::Outside(path)) if path.ends_with("x.json")));
}
