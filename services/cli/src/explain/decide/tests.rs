use tidings_model::{Attribute, EnvelopeSubject, Grants, Position};
use tidings_streams::consumers::{ConsumerState, Places, Subscription, Subscriptions};
use tidings_streams::deliveries::{Fact, StoredFact};
use time::Duration;
use time::macros::datetime;

use super::super::evidence::{Rejection, Stored};
use super::*;

const NOW: OffsetDateTime = datetime!(2026-01-17 12:10:00 UTC);
const STORED: OffsetDateTime = datetime!(2026-01-17 12:01:03 UTC);

/// Of an event that was stored and projected to nothing.
fn evidence() -> Evidence {
    let position: Position = "1-41".parse().unwrap();
    Evidence {
        user: "ada".to_owned(),
        event: "inc-1".to_owned(),
        now: NOW,
        scheduled: None,
        stored: vec![Stored { position, at: STORED, name: "incident.created".to_owned() }],
        rejection: None,
        is_projected: true,
        expected: None,
        envelopes: Vec::new(),
        devices: Vec::new(),
        disabled: None,
        facts: Vec::new(),
        waiting: Vec::new(),
    }
}

fn subject(address: &str) -> EnvelopeSubject {
    let (subject, _) = EnvelopeSubject::parse("envelopes.ops.durable.all.-.incident.-").unwrap();
    EnvelopeSubject { address: Address::parse(address).unwrap(), ..subject }
}

fn envelope(sequence: u64, address: &str) -> StoredEnvelope {
    let squad = Attribute::new(vec!["platform".to_owned()]).unwrap();
    let envelope = tidings_model::Envelope {
        subject: subject(address),
        event_id: "inc-1".to_owned(),
        event_source: None,
        origin: "1-41/0/0".parse().unwrap(),
        attributes: [("squad".to_owned(), squad)].into(),
        expires_at: None,
        trace_parent: None,
        body: (&b""[..]).into(),
    };
    StoredEnvelope { sequence, stored_at: STORED, generation: 0, is_late: false, envelope }
}

fn device(name: &str, sequence: u64, grants: &[&str]) -> Device {
    let grants = grants.iter().map(|grant| Address::parse(grant).unwrap()).collect::<Grants>();
    let position: Position = format!("1-{sequence}").parse().unwrap();
    let state = ConsumerState {
        position,
        generation: 0,
        since: 0,
        subscriptions: Subscriptions::new(),
        grants,
        last_seen: 0,
        connected: None,
        resets: 0,
        places: Places::default(),
    };
    Device { name: name.to_owned(), state, sequence: Some(sequence), is_in_place: true }
}

fn subscribed(mut device: Device, squad: &str, since: u64) -> Device {
    let filter = [("squad".to_owned(), [squad.to_owned()].into())].into();
    device.state.subscriptions =
        Subscriptions::from_iter([("news".to_owned(), Subscription { filter, since })]);
    device
}

fn fact(status: Status, reason: Option<&str>) -> StoredFact {
    let tenant = tidings_model::Tenant::parse("ops").unwrap();
    let name = tidings_model::DeliveryName::of_user(&tenant, "ada", "1-41-0-0").unwrap();
    let fact = Fact {
        delivery: "dlv_1".to_owned(),
        event: "inc-1".to_owned(),
        source: None,
        message: "incident".to_owned(),
        channel: "email".to_owned(),
        status,
        reason: reason.map(str::to_owned),
        attempts: 1,
        is_repeated: false,
        reference: None,
        reached: Vec::new(),
        next: None,
    };
    StoredFact { user: "ada".to_owned(), name, at: STORED + Duration::minutes(8), fact }
}

fn check(evidence: &Evidence, ending: Ending, said: &str) {
    let explanation = evidence.explain();
    assert_eq!(explanation.ending, ending, "{explanation:#?}");
    assert!(explanation.summary.contains(said), "{said}: {explanation:#?}");
}

#[test]
fn an_event_ends_before_it_is_a_message() {
    check(&Evidence { stored: Vec::new(), ..evidence() }, Ending::Unknown, "never published");
    let due = Some(NOW + Duration::hours(1));
    check(&Evidence { scheduled: due, ..evidence() }, Ending::Scheduled, "until 2026-01-17T13:10:00Z");
    check(&Evidence { is_projected: false, ..evidence() }, Ending::NotProjected, "no projector");
    let (reason, text) = ("schema-violation".to_owned(), "\"n\" is missing".to_owned());
    let rejection = Some(Rejection { at: NOW, reason, text });
    check(&Evidence { rejection, ..evidence() }, Ending::Rejected, "schema-violation: \"n\" is missing");
    check(&Evidence { expected: Some(Ok(Vec::new())), ..evidence() }, Ending::NoMessage, "no message");
    let why = Some(Err("unknown event".to_owned()));
    check(&Evidence { expected: why, ..evidence() }, Ending::NoMessage, "unknown event");
}

#[test]
fn a_message_that_is_gone_says_why() {
    let expected = |newer: Option<&str>, expires_at, purged_at| {
        let newer = newer.map(str::to_owned);
        let message =
            Expected { subject: subject("user:ada"), attributes: [].into(), expires_at, newer, purged_at };
        Evidence { expected: Some(Ok(vec![message])), ..evidence() }
    };
    let past = Some(NOW - Duration::minutes(1));
    check(&expected(Some("inc-2"), None, None), Ending::Gone, "replaced or retracted by event \"inc-2\"");
    check(&expected(None, past, None), Ending::Gone, "expired at 2026-01-17T12:09:00Z");
    check(&expected(None, None, past), Ending::Gone, "purged at 2026-01-17T12:09:00Z");
    check(&expected(None, None, None), Ending::Gone, "older than `streams.envelopes_max_age`");
    check(&evidence(), Ending::Gone, "not there any more");
}

#[test]
fn a_message_is_received_waits_or_is_for_others() {
    let of = |address: &str, devices: Vec<Device>| Evidence {
        envelopes: vec![envelope(77, address)],
        devices,
        ..evidence()
    };
    let role = |sequence| device("phone", sequence, &["role:sre"]);
    check(&of("role:sre", vec![role(77)]), Ending::Received, "on device \"phone\", which is at 1-77");
    check(&of("role:sre", vec![role(76)]), Ending::Waits, "\"phone\", which is not connected and is at 1-76");
    check(&of("user:ada", Vec::new()), Ending::Waits, "who has no device");
    check(
        &of("role:sre", vec![device("phone", 90, &["all", "user:ada"])]),
        Ending::NotMeant,
        "grant no role:sre, but all, user:ada",
    );
    check(&of("role:sre", Vec::new()), Ending::NotMeant, "nothing is known of claims");
    let topic = |device| of("topic:news", vec![device]);
    check(&topic(role(90)), Ending::NotMeant, "has not subscribed to topic:news");
    check(&topic(subscribed(role(90), "data", 0)), Ending::NotMeant, "leaves out what has {\"squad\":");
    check(
        &topic(subscribed(role(90), "platform", 77)),
        Ending::NotMeant,
        "has subscribed to topic:news later",
    );
    check(&topic(subscribed(role(90), "platform", 76)), Ending::Received, "on device \"phone\"");
    let mut new = role(90);
    new.state.since = 77;
    check(&of("role:sre", vec![new]), Ending::NotMeant, "started behind it, at 1-90");
    // After a rebuild, the sequence is that of the present place.
    let mut moved = role(5);
    (moved.sequence, moved.is_in_place) = (Some(80), false);
    check(&of("role:sre", vec![moved]), Ending::Received, "which is at 1-5");
    let mut expired = of("user:ada", Vec::new());
    expired.envelopes[0].envelope.expires_at = Some(NOW);
    check(&expired, Ending::NotMeant, "expired at 2026-01-17T12:10:00Z");
}

#[test]
fn other_channels_have_the_last_word_unless_it_was_received() {
    let of = |sequence, facts| Evidence {
        envelopes: vec![envelope(77, "user:ada")],
        devices: vec![device("laptop", sequence, &["user:ada"])],
        facts,
        ..evidence()
    };
    let sent = vec![fact(Status::Attempted, None), fact(Status::Sent, None)];
    check(&of(5, sent), Ending::Sent, "email sent at 2026-01-17T12:09:03Z");
    let skipped = vec![fact(Status::Skipped, Some("received on device \"laptop\""))];
    check(&of(80, skipped), Ending::Received, "email skipped: received on device \"laptop\" at 2026");
    let failed = vec![fact(Status::Failed, Some("status 410"))];
    check(&of(5, failed), Ending::Waits, "email failed: status 410");
    let whole = of(5, vec![fact(Status::Sent, None)]).explain();
    let texts: Vec<_> = whole.steps.iter().map(|step| step.text.as_str()).collect();
    assert_eq!(texts[0], "stored in EVENTS at 1-41 as incident.created");
    assert_eq!(texts[1], "projected to 1 message in ENVELOPES");
    assert!(texts[2].starts_with("envelope 77, \"incident\" to user:ada: waits for device"), "{texts:?}");
    assert_eq!(texts[3], "email sent");
}
