//! What `nats-accounts.sh` grants each process is what `tidings doctor` says that it needs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Stands in for `nsc`: it knows nothing yet, and notes what is imported.
const NSC: &str = r#"#!/bin/sh
case "$1 $2" in
"describe account") case "$*" in *--field*) echo '"A"' ;; *) exit 1 ;; esac ;;
"describe operator" | "describe user") exit 1 ;;
"add import") printf '%s %s\n' "$4" "${11}" >>imports ;;
"generate creds") touch "$8" ;;
esac
"#;

/// The subjects in the doctor's list of this name, for two shards.
fn listed(name: &str) -> BTreeSet<String> {
    let source = fs::read_to_string(format!("{TOP}/shared/streams/src/inspection/permissions.rs")).unwrap();
    let (_, rest) = source.split_once(&format!("const {name}: &[&str] = &[\n")).unwrap();
    let (list, _) = rest.split_once("];").unwrap();
    let subjects =
        list.split('"').skip(1).step_by(2).map(|subject| subject.replace("$JS.API.", "TIDINGS.API."));
    subjects.flat_map(|subject| ["", "_1"].map(|suffix| subject.replace('@', suffix))).collect()
}

#[test]
fn the_doctor_knows_what_accounts_import() {
    let folder = tempfile::tempdir().unwrap();
    let nsc = folder.path().join("nsc");
    fs::write(&nsc, NSC).unwrap();
    fs::set_permissions(&nsc, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let mut script = Command::new("sh");
    script.arg(format!("{TOP}/deploy/nats-accounts.sh")).args(["--shards", "2", "ops"]).env("PATH", path);
    let ran = script.current_dir(folder.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let imports = fs::read_to_string(folder.path().join("imports")).unwrap();
    for account in ["GATEWAY", "PROJECTOR", "DISPATCHER"] {
        let own = imports.lines().filter_map(|line| line.strip_prefix(account)?.strip_prefix(' '));
        let needed: BTreeSet<String> = listed("LOOKS").union(&listed(account)).cloned().collect();
        assert_eq!(needed, own.map(str::to_owned).collect(), "{account}");
    }
}
