//! Catalogs change: what they would break is told before, and a running projector takes them up.

use std::fs;
use std::os::unix::fs::symlink;

use harness::{BOUND, Finished, Launch, SECRET, Setup, System, eventually, token};
use rustix::process::Signal;
use serde_json::json;

use crate::command::Desk;
use crate::kitchen;

async fn check(desk: &Desk, arguments: &[&str]) -> Finished {
    desk.tidings(&[&["check"], arguments].concat()).finish(BOUND).await
}

#[tokio::test]
async fn what_a_new_catalog_breaks_is_told_before_it_runs() {
    let desk = Desk::without_schemas();
    kitchen::write(&desk, &["dish.ready", "dish.late"], &json!([1, 2]));
    let alone = check(&desk, &["--offline"]).await.succeeded();
    let expected = "kitchen: 1 message type, 1 example, not compared; without an example: dish.late\n";
    assert_eq!(alone, expected);
    let mut dev = desk.dev().await;
    let same = check(&desk, &[]).await.succeeded();
    assert!(same.contains("1 example, backward compatible; without"), "{same}");

    // One event less, and one table less. What runs in `dev` takes it up as soon as it is on disk, so it is looked at from
    // another folder.
    let other = Desk::without_schemas();
    kitchen::write(&other, &["dish.ready"], &json!([1]));
    let schemas = other.folder().join("schemas");
    let from_there = |arguments: &[&str]| {
        let launch = desk.tidings(&[&["check"], arguments].concat());
        launch.variable("TIDINGS_SCHEMAS__DIRECTORY", &schemas).finish(BOUND)
    };
    let broken = from_there(&[]).await;
    assert_eq!(broken.code, Some(1), "{}", broken.errors);
    for expected in [
        "kitchen: breaks clients: message `dish`: event dish.late no longer becomes it",
        "kitchen: breaks producers: event dish.late: it no longer becomes a message and is rejected",
        "kitchen: breaks producers: message `dish` /table: it may no longer be 2",
        "kitchen: 1 message type, 1 example, 3 breaking changes",
        "breaking changes fail this check; --allow-breaking lets them pass",
    ] {
        assert!(
            broken.output.lines().any(|line| line == expected),
            "{expected:?} is not in\n{}",
            broken.output
        );
    }
    from_there(&["--allow-breaking"]).await.succeeded();
    // An example that does not hold is wrong, whatever is allowed.
    fs::write(schemas.join("kitchen/examples/wrong.json"), "{}").unwrap();
    let wrong = from_there(&["--allow-breaking"]).await;
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.output.contains("examples/wrong.json: not an example"), "{}", wrong.output);

    // Running, it tells so, too.
    kitchen::write(&desk, &["dish.ready"], &json!([1]));
    dev.line("breaks clients: message `dish`: event dish.late no longer becomes it", BOUND).await;
    dev.line("catalogs reloaded", BOUND).await;
    fs::remove_file(schemas.join("kitchen/examples/wrong.json")).unwrap();
    // And so does the check, although it runs already: that it was saved does not mean that clients can do without.
    let edited = check(&desk, &[]).await;
    assert_eq!(edited.code, Some(1), "{}", edited.errors);
    assert!(edited.output.contains("3 breaking changes"), "{}", edited.output);
    // A restart of `tidings dev` does not change that, either.
    dev.interrupt();
    assert!(dev.end(BOUND).await.0.success());
    let dev = desk.dev().await;
    assert_eq!(check(&desk, &["--accept"]).await.code, Some(1));
    assert_eq!(check(&desk, &[]).await.code, Some(1), "what has not passed is not accepted");
    let accepted = check(&desk, &["--accept", "--allow-breaking"]).await.succeeded();
    assert!(accepted.ends_with("accepted: from now on, catalogs are compared with these\n"), "{accepted}");
    assert!(check(&desk, &[]).await.succeeded().contains("backward compatible"));
    dev.interrupt();
    assert!(dev.end(BOUND).await.0.success());
}

/// Somebody who starts or reloads a projector has decided it: that is what the next change is compared with.
#[tokio::test]
async fn what_a_projector_is_started_or_reloaded_with_is_accepted() {
    let desk = Desk::without_schemas();
    kitchen::write(&desk, &["dish.ready", "dish.late"], &json!([1]));
    let mut system = Setup::default().schemas(&desk.folder().join("schemas")).start().await;
    kitchen::write(&desk, &["dish.ready"], &json!([1]));
    let broken = system.command(&["check"]).finish(BOUND).await;
    assert_eq!(broken.code, Some(1), "{}", broken.errors);
    system.projector.signal(Signal::HUP);
    system.projector.line("catalogs reloaded", BOUND).await;
    eventually("it is accepted", BOUND, async || {
        let checked = system.command(&["check"]).finish(BOUND).await;
        if checked.code == Some(0) { Ok(()) } else { Err(checked.output + &checked.errors) }
    })
    .await;
}

#[tokio::test]
async fn catalogs_are_compared_with_those_of_another_folder() {
    let (desk, other) = (Desk::without_schemas(), Desk::without_schemas());
    kitchen::write(&desk, &["dish.ready"], &json!([1]));
    kitchen::write(&other, &["dish.ready", "dish.late"], &json!([1]));
    let older = other.folder().join("schemas");
    let against = ["--against", older.to_str().unwrap()];
    let added =
        check(&other, &["--against", desk.folder().join("schemas").to_str().unwrap()]).await.succeeded();
    assert!(added.contains("kitchen: adds: message `dish`: event dish.late becomes it\n"), "{added}");
    let broken = check(&desk, &against).await;
    assert_eq!(broken.code, Some(1), "{}", broken.errors);
    assert!(
        broken.output.contains("kitchen: breaks clients: message `dish`: event dish.late"),
        "{}",
        broken.output
    );
    fs::rename(older.join("kitchen"), older.join("garden")).unwrap();
    let gone = check(&desk, &against).await;
    assert_eq!(gone.code, Some(1), "{}", gone.errors);
    assert!(gone.output.contains("garden: breaks clients: the tenant is gone\n"), "{}", gone.output);
    let nowhere = check(&desk, &["--against", "nowhere"]).await.failed();
    assert!(nowhere.contains("--against: cannot read nowhere"), "{nowhere}");

    let file = "[gateway.tenants.kitchn]\nmessage_burst = 7\n[streams.shards]\ngarden = 1\n";
    fs::write(desk.folder().join("tidings.toml"), file).unwrap();
    let wrong = check(&desk, &["--offline"]).await;
    assert_eq!(wrong.code, Some(1), "{}", wrong.errors);
    for expected in [
        "gateway.tenants: no tenant \"kitchn\" has a catalog; did you mean \"kitchen\"?; there are kitchen",
        "streams.shards: no tenant \"garden\" has a catalog; there are kitchen",
    ] {
        assert!(wrong.output.lines().any(|line| line == expected), "{}", wrong.output);
    }

    let misspelled = desk.tidings(&["check", "--offline"]).variable("TIDINGS_SCHEMAS__TENANTS", "kitchn");
    let misspelled = misspelled.finish(BOUND).await.failed();
    let expected = "has a catalog of tenant \"kitchn\"; did you mean \"kitchen\"?; there are kitchen";
    assert!(
        misspelled.starts_with("tidings: schemas.tenants: ") && misspelled.ends_with(expected),
        "{misspelled}"
    );
}

#[tokio::test]
async fn a_running_projector_takes_up_all_of_it_or_nothing() {
    let desk = Desk::without_schemas();
    kitchen::write(&desk, &["dish.ready"], &json!([1]));
    let schemas = desk.folder().join("schemas");
    let mut system = Setup::default().schemas(&schemas).start().await;
    let mut ada = system.open(json!({ "tenant": "kitchen", "sub": "ada" })).await;

    // Nothing happens by itself, and nothing of what has a mistake in any tenant's catalog.
    kitchen::write(&desk, &["dish.ready", "dish.late"], &json!([1, 2]));
    fs::create_dir(schemas.join("garden")).unwrap();
    fs::write(schemas.join("garden/catalog.toml"), "grants = []").unwrap();
    system.projector.signal(Signal::HUP);
    system.projector.line("catalogs not reloaded", BOUND).await;
    system.projector.line("missing field `message`", BOUND).await;
    let late = system.publish("kitchen", "dish.late", &json!({ "guest": "ada", "table": 1 })).await;
    assert_eq!(system.rejected(late).await.header("Tidings-Reason"), Some("unknown-event"));

    fs::remove_dir_all(schemas.join("garden")).unwrap();
    system.projector.signal(Signal::HUP);
    system.projector.line("catalogs reloaded", BOUND).await;
    system.publish("kitchen", "dish.late", &json!({ "guest": "ada", "table": 2 })).await;
    assert_eq!(ada.next_json(BOUND).await, json!({ "type": "dish", "table": 2 }));
    system.projector.signal(Signal::HUP);
    system.projector.line("the catalogs are the same as before", BOUND).await;
    system.check_well();
}

/// Those who are connected hear by the new catalogs, too, but for keys, which are their tokens'.
#[tokio::test]
async fn a_running_gateway_takes_them_up() {
    let desk = Desk::without_schemas();
    kitchen::write(&desk, &["dish.ready"], &json!([1]));
    let schemas = desk.folder().join("schemas");
    let catalog = schemas.join("kitchen/catalog.toml");
    let without_menus = fs::read_to_string(&catalog).unwrap();
    let menus = r#"
        [topics.menus]
        [[message]]
        name = "menu"
        events = ["menu.written"]
        schema = "dish.schema.json"
        to = "topic:menus"
        body = { type = "menu" }
    "#;
    let with_menus = format!("{without_menus}{menus}");
    let mut system = Setup::default().schemas(&schemas).start().await;
    let mut ada = system.open(json!({ "tenant": "kitchen", "sub": "ada" })).await;
    let subscribe = json!({ "action": "subscribe", "topics": ["menus"] });
    ada.send_json(&subscribe).await;
    assert_eq!(ada.next_json(BOUND).await["data"]["code"], "UNKNOWN_TOPIC");
    let gardener = token(SECRET, json!({ "tenant": "garden", "sub": "bob" }));
    assert_eq!(system.dial().bearer(&gardener).refused().await.status, 403);

    fs::write(&catalog, &with_menus).unwrap();
    fs::create_dir(schemas.join("garden")).unwrap();
    fs::write(schemas.join("garden/any.json"), "{}").unwrap();
    let garden = without_menus.replace("dish.schema.json", "any.json");
    fs::write(schemas.join("garden/catalog.toml"), garden).unwrap();
    take_up(&mut system, 1).await;
    system.dial().bearer(&gardener).open().await.close().await;
    eventually("the topic is known", BOUND, async || {
        ada.send_json(&subscribe).await;
        ada.send_json(&json!({ "action": "ping" })).await;
        let answer = ada.next_json(BOUND).await;
        if answer["type"] == "error" {
            ada.next_json(BOUND).await;
            return Err(answer.to_string());
        }
        Ok(())
    })
    .await;
    system.publish("kitchen", "menu.written", &json!({ "guest": "-" })).await;
    assert_eq!(ada.next_json(BOUND).await, json!({ "type": "menu" }));

    // What is no topic any more brings nothing more.
    let elsewhere =
        with_menus.replace("[topics.menus]", "[topics.cards]").replace("topic:menus", "topic:cards");
    fs::write(&catalog, elsewhere).unwrap();
    take_up(&mut system, 2).await;
    ada.send_json(&json!({ "action": "subscribe", "topics": ["cards"] })).await;
    system.publish("kitchen", "dish.ready", &json!({ "guest": "ada", "table": 1 })).await;
    ada.until(BOUND, |message| message["type"] == "dish").await;
    system.check_well();
}

/// Has projector and gateway take up the catalogs on disk, for the `nth` time.
async fn take_up(system: &mut System, nth: usize) {
    for process in [&mut system.projector, &mut system.gateway] {
        process.signal(Signal::HUP);
        process.nth_line("catalogs reloaded", nth, BOUND).await;
    }
}

#[tokio::test]
async fn without_nats_it_says_how_to_check_all_the_same() {
    let desk = Desk::new();
    let alone = desk.tidings(&["check"]).finish(BOUND).await;
    assert!(alone.failed().contains("--offline"));
    let all = Launch::tidings(["check", "--offline"]).folder(desk.folder()).finish(BOUND).await.succeeded();
    assert_eq!(all.lines().count(), 5, "{all}");
    assert!(!all.contains("without an example"), "{all}");
}

#[tokio::test]
async fn what_lies_beside_a_catalog_is_passed_over_and_nothing_elsewhere_is_read() {
    let desk = Desk::without_schemas();
    kitchen::write(&desk, &["dish.ready"], &json!([1]));
    let folder = desk.folder().join("schemas/kitchen");
    // macOS, Emacs, Vim and other editors; Kubernetes has links to the files themselves.
    for place in [&folder, &folder.join("examples")] {
        fs::write(place.join("._x.schema.json"), b"\x00\x05\x16\x07\xFF").unwrap();
        symlink("somebody@host.4711", place.join(".#dish.schema.json")).unwrap();
        fs::write(place.join("dish.schema.json~"), "{").unwrap();
        fs::write(place.join(".dish.schema.json.swp"), b"b0VIM\xFF").unwrap();
    }
    fs::create_dir_all(desk.folder().join("schemas/.backup")).unwrap();
    fs::write(desk.folder().join("schemas/.backup/catalog.toml"), "[").unwrap();
    let schema = fs::read_to_string(folder.join("dish.schema.json")).unwrap();
    fs::create_dir(folder.join("..data")).unwrap();
    fs::write(folder.join("..data/common.schema.json"), schema).unwrap();
    symlink("..data/common.schema.json", folder.join("common.schema.json")).unwrap();
    let refers =
        json!({ "$schema": "http://json-schema.org/draft-07/schema#", "$ref": "common.schema.json" });
    fs::write(folder.join("dish.schema.json"), refers.to_string()).unwrap();
    check(&desk, &["--offline"]).await.succeeded();
    // The schema of the file beside counts.
    let wrong = json!({ "event": "dish.ready", "data": { "guest": "ada", "table": 2 },
        "becomes": { "to": ["user:ada"], "message": { "type": "dish", "table": 2 } } });
    fs::write(folder.join("examples/wrong.json"), wrong.to_string()).unwrap();
    let rejected = check(&desk, &["--offline"]).await;
    assert!(rejected.output.contains("examples/wrong.json: the event is rejected"), "{}", rejected.output);
    fs::remove_file(folder.join("examples/wrong.json")).unwrap();

    fs::write(desk.folder().join("outside.json"), "{}").unwrap();
    symlink("../../outside.json", folder.join("linked.schema.json")).unwrap();
    let linked = check(&desk, &["--offline"]).await;
    assert_eq!(linked.code, Some(1));
    assert!(
        linked.errors.contains("linked.schema.json leads out of its tenant's folder"),
        "{}",
        linked.errors
    );
    fs::remove_file(folder.join("linked.schema.json")).unwrap();

    fs::write(folder.join("dish.schema.json"), r#"{"$ref":"../../outside.json"}"#).unwrap();
    let referred = check(&desk, &["--offline"]).await;
    assert_eq!(referred.code, Some(1));
    assert!(referred.errors.contains("is not a file of the tenant's folder"), "{}", referred.errors);
}

#[tokio::test]
async fn a_destination_that_no_token_opens_is_told() {
    let desk = Desk::without_schemas();
    kitchen::write(&desk, &["dish.ready"], &json!([1]));
    let path = desk.folder().join("schemas/kitchen/catalog.toml");
    let catalog = fs::read_to_string(&path).unwrap();
    let misspelled =
        catalog.replace(r#"to = "user:{data.guest}""#, r#"to = ["user:{data.guest}", "tabel:{data.table}"]"#);
    fs::write(&path, misspelled).unwrap();
    let told = check(&desk, &["--offline"]).await;
    assert_eq!(told.code, Some(1));
    let expected =
        r#"message `dish`: no token opens its destination "tabel:{data.table}": `grants` open user:{sub}"#;
    assert!(told.errors.contains(expected), "{}", told.errors);
}
