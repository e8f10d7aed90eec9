//! Every tenant's examples hold, and every event has one.

use std::path::{Path, PathBuf};

use tidings_catalog::{Catalog, Example, ExampleReport, Files};
use tidings_model::Tenant;

fn tenants() -> Vec<PathBuf> {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let mut folders: Vec<_> =
        std::fs::read_dir(schemas).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("catalog.toml").is_file());
    folders.sort();
    folders
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn texts(folder: &Path) -> Files {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.is_file())
        .map(|path| (name(&path), std::fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn every_example_holds_and_every_event_has_one() {
    let mut wrong = Vec::new();
    for folder in tenants() {
        let tenant = Tenant::parse(&name(&folder)).unwrap();
        let catalog = Catalog::parse(&tenant, &texts(&folder)).unwrap_or_else(|error| panic!("{error}"));
        let report = ExampleReport::new(&catalog, &texts(&folder.join("examples")));
        wrong.extend(report.wrong.iter().map(|(file, error)| format!("{tenant}/{file}: {error:?}")));
        wrong.extend(report.missing.iter().map(|event| format!("{tenant}: event {event} has no example")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(tenants().len(), 5);
}

#[test]
fn a_report_names_wrong_examples_and_events_without_one() {
    let catalog = crate::support::catalog(
        "grants = ['all', 'user:{sub}']\n[[message]]\nname = 'm'\nevents = ['a.b', 'a.c', 'a.d']\nschema = 'any.json'\nto = 'all'\nbody = {}",
    );
    let becomes = r#""data":{},"becomes":{"to":["all"],"message":{}}"#;
    let files = [
        ("fine.json", format!(r#"{{"event":"a.b",{becomes}}}"#)),
        ("none.json", "[]".to_owned()),
        ("other.json", r#"{"event":"a.c","data":{},"becomes":{"to":["all"],"message":{"n":1}}}"#.to_owned()),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text)).into();
    let report = ExampleReport::new(&catalog, &files);
    assert_eq!(report.count, 3);
    assert_eq!(report.wrong.keys().collect::<Vec<_>>(), ["none.json", "other.json"]);
    assert_eq!(Vec::from_iter(report.missing), ["a.d"]);
}

#[test]
fn an_example_that_does_not_hold_says_what_differs() {
    let catalog = crate::support::catalog(
        "grants = ['all', 'user:{sub}']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\nto = 'user:{data.u}'\nbody.n = '{data.n}'",
    );
    for (text, expected) in [
        ("[]", "not an example"),
        (r#"{"event":"a.b","data":{},"becomes":{"to":[],"message":{}},"x":1}"#, "not an example"),
        (r#"{"event":"ab","data":{},"becomes":{"to":[],"message":{}}}"#, "\"ab\" is not of the form"),
        (r#"{"event":"a.c","data":{},"becomes":{"to":[],"message":{}}}"#, "rejected"),
        (r#"{"event":"a.b","data":{"u":1},"becomes":{"to":["user:1"],"message":{"n":1}}}"#, "rejected"),
        (
            r#"{"event":"a.b","data":{"u":1,"n":1.0},"becomes":{"to":["user:1"],"message":{"n":1}}}"#,
            "another message: {\"n\":1.0}",
        ),
        (
            r#"{"event":"a.b","data":{"u":1,"n":1},"becomes":{"to":["user:2"],"message":{"n":1}}}"#,
            "other addresses: user:1",
        ),
    ] {
        let error = Example::parse(text).and_then(|example| example.check(&catalog)).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}

#[test]
fn an_example_of_what_a_client_says_that_does_not_hold_says_what_differs() {
    let catalog = crate::support::catalog(
        "grants = ['all', 'role:{role}']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\nto = 'all'\nbody.n = '{data.n}'\n\
         [[publish]]\naction = 'say'\nevent = 'a.b'\nroles = ['sre']",
    );
    let published = r#""claims":{"role":"sre"},"publishes":{"action":"say","data":{"n":1}}"#;
    let silent = r#""claims":{},"publishes":{"action":"say","data":{"n":1}}"#;
    for (text, expected) in [
        (format!("{{{published}}}"), "it becomes the event a.b"),
        (
            format!(r#"{{{published},"event":"a.c","becomes":{{"to":["all"],"message":{{"n":1}}}}}}"#),
            "becomes the event a.b",
        ),
        (
            format!(r#"{{{published},"event":"a.b","becomes":{{"to":["all"],"message":{{"n":2}}}}}}"#),
            "another message",
        ),
        (format!(r#"{{{published},"refused":{{"reason":"forbidden"}}}}"#), "not refused"),
        (format!(r#"{{{silent},"refused":{{"reason":"schema-violation"}}}}"#), "refused as forbidden"),
        (
            format!(r#"{{{silent},"refused":{{"reason":"forbidden","pointer":"/data"}}}}"#),
            "refused as forbidden",
        ),
        (
            format!(r#"{{{silent},"event":"a.b","becomes":{{"to":["all"],"message":{{"n":1}}}}}}"#),
            "refused as forbidden",
        ),
        (format!(r#"{{{published},"becoms":{{}}}}"#), "claims, publishes"),
    ] {
        let error = Example::parse(&text).and_then(|example| example.check(&catalog)).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    let fine = format!(r#"{{{silent},"refused":{{"reason":"forbidden"}}}}"#);
    Example::parse(&fine).unwrap().check(&catalog).unwrap();
}
