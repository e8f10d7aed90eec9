//! Connections that follow their tenant to another shard, whose sequences are others.

use harness::FlakyProxy;
use rustix::process::Signal;

use super::*;
use crate::dial::{Return, sequence_of};

#[tokio::test]
async fn a_client_that_acknowledges_follows_its_tenant_without_reconnecting() {
    let (mut site, gateway) = Site::with_gateway().await;
    let maker = Maker::instead_of_the_projector(&mut site).await;
    maker.second_shard(&site).await;
    let mut ada = dial("ada").returns(&gateway).await.wire;
    let mut plain = dial("ada").device("plain").open(&gateway).await;
    for making in [FIRST, ELSEWHERE] {
        for n in 1..=3 {
            maker.write(making, "ada", n).await;
        }
    }
    let heard = hear(&mut ada, 3).await;
    ada.ack(heard[2]["seq"].as_u64().unwrap()).await;
    hear(&mut plain, 3).await;
    plain.question().await;
    plain.answer_all().await;
    let since = maker.change_over("ENVELOPES_1", "places_1.lab", 1).await;
    maker.write(ELSEWHERE, "ada", 4).await;

    let welcome = ada.message().await;
    assert_eq!(welcome["action"], "welcome", "before anything of the new shard: {welcome}");
    let position = welcome["position"].as_str().unwrap();
    assert_eq!(epoch_of(position), epoch_of(&since), "sequences are those of the new shard");
    // Said again, as clients may: it is about the old shard, whose sequences were lower.
    ada.ack(heard[2]["seq"].as_u64().unwrap()).await;
    let mut left = 2;
    let heard = ada
        .until(|message| {
            left -= i32::from(message["n"] == 4 || message["action"] == "caught_up");
            left == 0
        })
        .await;
    assert_eq!(heard.len(), 2, "nothing else is told: {heard:?}");
    let note = heard.iter().find(|message| message["n"] == 4).unwrap();
    assert!(note["seq"].as_u64().unwrap() > sequence_of(&welcome["position"]));
    let caught_up = heard.iter().find(|message| message["action"] == "caught_up").unwrap();
    assert_eq!(note["form"], "elsewhere");
    let position = caught_up["position"].as_str().unwrap();
    assert_eq!(epoch_of(position), epoch_of(&since), "sequences are those of the new shard");
    assert_eq!(workers_of(&gateway), 1, "the worker serves both shards");
    let sequence = note["seq"].as_u64().unwrap();
    ada.ack(sequence).await;
    assert_eq!(told(&hear(&mut plain, 4).await), [(4, "elsewhere")]);
    maker.write(ELSEWHERE, "ada", 5).await;
    assert_eq!(told(&hear(&mut ada, 5).await), [(5, "elsewhere")]);
    assert_eq!(told(&hear(&mut plain, 5).await), [(5, "elsewhere")]);

    // What was acknowledged counts wherever the device returns.
    ada.close().await;
    site.left("ada", "d").await;
    let back = dial("ada").returns(&gateway).await;
    assert_eq!((told(&back.missed), back.gap), (vec![(5, "elsewhere")], None));
    gateway.stop().await;
}

/// What a client says again of the old shard must not count in the new one, where the same sequences name messages that it
/// has not acknowledged, or has not even received.
#[tokio::test]
async fn an_acknowledgement_of_the_old_shard_counts_nothing_in_the_new_one() {
    let (mut site, gateway) = Site::with_gateway().await;
    let maker = Maker::instead_of_the_projector(&mut site).await;
    maker.second_shard(&site).await;
    let mut ada = dial("ada").returns(&gateway).await.wire;
    let mut plain = dial("ada").device("plain").open(&gateway).await;
    plain.polite = false;
    // The sequences of the old shard are far ahead of those of the new one.
    for n in 1..=40 {
        maker.write(FIRST, "bob", 100_000 + n).await;
    }
    for making in [FIRST, ELSEWHERE] {
        for n in 41..=43 {
            maker.write(making, "ada", n).await;
        }
    }
    let last = hear(&mut ada, 43).await.last().unwrap()["seq"].as_u64().unwrap();
    hear(&mut plain, 43).await;
    plain.question().await;
    let asked = plain.questions.back().unwrap().clone();
    plain.answer_all().await;
    ada.ack(last).await;
    maker.change_over("ENVELOPES_1", "places_1.lab", 1).await;
    for n in 44..=46 {
        maker.write(ELSEWHERE, "ada", n).await;
    }
    let told_to_leave = ada.until(|message| message["action"] == "draining").await;
    assert_eq!(told_to_leave.len(), 1, "sequences only ascend on a connection: {told_to_leave:?}");
    ada.ack(last).await;
    assert_eq!(ada.next(BOUND).await, Heard::Close(1001));
    let back = dial("ada").returns(&gateway).await;
    assert_eq!(back.numbers(), [44, 45, 46]);
    assert_eq!(back.gap, None);

    // A plain client stays, and what it answers again counts nothing either.
    assert_eq!(numbers(&hear(&mut plain, 46).await), [44, 45, 46]);
    plain.questions.clear();
    plain.questions.push_back(asked);
    plain.answer().await;
    plain.close().await;
    site.left("ada", "plain").await;
    let mut plain = dial("ada").device("plain").open(&gateway).await;
    assert_eq!(numbers(&hear(&mut plain, 46).await), [44, 45, 46], "it has acknowledged none of these");
    gateway.stop().await;
}

/// The projector of the old shard has written more than that of the new one, when the connections follow.
#[tokio::test]
async fn what_the_new_shard_writes_later_does_not_come_twice() {
    let (mut site, gateway) = Site::with_gateway().await;
    let maker = Maker::instead_of_the_projector(&mut site).await;
    maker.second_shard(&site).await;
    let mut plain = dial("ada").device("plain").open(&gateway).await;
    let mut ada = dial("ada").returns(&gateway).await.wire;
    for n in 1..=6 {
        maker.write(FIRST, "ada", n).await;
    }
    for n in 1..=3 {
        maker.write(ELSEWHERE, "ada", n).await;
        // Ahead of the old shard's sequences, so that nobody has to reconnect.
        maker.write(ELSEWHERE, "bob", 100_000 + n).await;
    }
    let last = hear(&mut ada, 6).await.last().unwrap()["seq"].as_u64().unwrap();
    hear(&mut plain, 6).await;
    plain.question().await;
    plain.answer_all().await;
    ada.ack(last).await;
    maker.change_over("ENVELOPES_1", "places_1.lab", 1).await;
    let welcome = ada.message().await;
    assert_eq!(welcome["action"], "welcome", "{welcome}");
    for n in 4..=8 {
        maker.write(ELSEWHERE, "ada", n).await;
    }
    assert_eq!(told(&hear(&mut plain, 8).await), [(7, "elsewhere"), (8, "elsewhere")]);
    let heard = hear(&mut ada, 8).await;
    let notes: Vec<_> = heard.iter().filter_map(|message| message["n"].as_u64()).collect();
    assert_eq!(notes, [7, 8]);
    gateway.stop().await;
}

#[tokio::test]
async fn who_is_connected_follows_its_tenant_to_another_shard() {
    let (mut site, gateway) = Site::with_gateway().await;
    let maker = Maker::instead_of_the_projector(&mut site).await;
    maker.second_shard(&site).await;
    dial("bob").returns(&gateway).await.leave().await;
    let mut ada = dial("ada").returns(&gateway).await.wire;
    for making in [FIRST, ELSEWHERE] {
        for n in 1..=3 {
            maker.write(making, "ada", n).await;
            maker.write(making, "bob", 100_000 + n).await;
        }
    }
    let heard = hear(&mut ada, 3).await;
    ada.ack(heard[1]["seq"].as_u64().unwrap()).await;
    let since = maker.change_over("ENVELOPES_1", "places_1.lab", 1).await;
    maker.write(ELSEWHERE, "ada", 4).await;

    let told_to_leave = ada.until(|message| message["action"] == "draining").await;
    assert_eq!(told_to_leave.len(), 1);
    assert_eq!(ada.next(BOUND).await, Heard::Close(1001));
    let back = dial("ada").returns(&gateway).await;
    assert_eq!((told(&back.missed), back.gap.clone()), (vec![(3, "elsewhere"), (4, "elsewhere")], None));
    let mut ada = back.wire;
    maker.write(ELSEWHERE, "ada", 5).await;
    assert_eq!(told(&hear(&mut ada, 5).await), [(5, "elsewhere")]);
    let bob = dial("bob").returns(&gateway).await;
    assert_eq!(told(&bob.missed), [(100_001, "elsewhere"), (100_002, "elsewhere"), (100_003, "elsewhere")]);
    gateway.stop().await;
    let gateway = site.gateway().await;
    let back = dial("ada").device("other").since(&since).returns(&gateway).await;
    assert_eq!(told(&back.missed), [(4, "elsewhere"), (5, "elsewhere")]);
    gateway.stop().await;
}

/// What retention has removed of one shard's stream says nothing of a position in another one's, which was created later.
#[tokio::test]
async fn a_tenant_that_comes_back_has_no_gap_where_others_envelopes_were_removed() {
    const BACK: Making = Making { root: "envelopes.lab~2", form: "back" };
    let (mut site, gateway) = Site::with_gateway().await;
    let maker = Maker::instead_of_the_projector(&mut site).await;
    maker.second_shard(&site).await;
    dial("ada").returns(&gateway).await.leave().await;
    site.left("ada", "d").await;
    for n in 1..=40 {
        maker.write(FIRST, "bob", 100_000 + n).await;
    }
    site.remove_through(40).await;
    harness::eventually("the gateway has noticed the removal", BOUND, async || {
        let bob = dial("bob").returns(&gateway).await;
        if bob.missed.is_empty() { Ok(()) } else { Err(format!("{:?}", bob.missed)) }
    })
    .await;
    for making in [FIRST, ELSEWHERE] {
        maker.write(making, "ada", 41).await;
    }
    let away = maker.change_over("ENVELOPES_1", "places_1.lab", 1).await;
    let there = returns_in(&gateway, "from=0 to=1", &away).await;
    assert_eq!((told(&there.missed), &there.gap), (vec![(41, "elsewhere")], &None));
    there.leave().await;
    site.left("ada", "d").await;
    for n in 41..=42 {
        maker.write(BACK, "ada", n).await;
    }
    let notice = maker.announce("places.lab", "0/2").await;
    let since = format!("{}-{notice}", maker.epoch("ENVELOPES", 2).await);
    let place = |shard: u16, generation: u32| json!({ "shard": shard, "generation": generation });
    let placement = json!({
        "version": 1,
        "current": { "place": place(0, 2), "since": since },
        "former": [{ "place": place(0, 0), "since": null }, { "place": place(1, 1), "since": away }],
        "next": null,
        "cancelled": null,
    });
    maker.publish("$KV.PLACEMENTS.lab".to_owned(), HeaderMap::new(), placement.to_string()).await;
    let back = returns_in(&gateway, "from=1 to=0", &since).await;
    assert_eq!((told(&back.missed), back.gap), (vec![(42, "back")], None));
    gateway.stop().await;
}

/// Ada, once she is served where the tenant is from this position on. Before the gateway knows of the move, she would be served
/// where the tenant was, and sent away.
async fn returns_in(gateway: &Gateway, moved: &str, since: &str) -> Return {
    harness::eventually("the gateway knows of the move", BOUND, async || {
        let output = gateway.process.output();
        if output.contains(moved) { Ok(()) } else { Err(output) }
    })
    .await;
    let ada = dial("ada").returns(gateway).await;
    assert_eq!(epoch_of(ada.welcome["position"].as_str().unwrap()), epoch_of(since));
    ada
}

/// A gateway watches where tenants' envelopes are, and reads all of it again after every fault.
#[tokio::test]
async fn a_move_while_the_gateway_is_cut_off_counts_when_it_is_back() {
    let mut site = Site::setup().start().await;
    let cable = FlakyProxy::to(site.url()).await;
    let gateway = site.gateway_with(&[("TIDINGS_NATS__URL", cable.url())]).await;
    let maker = Maker::instead_of_the_projector(&mut site).await;
    maker.second_shard(&site).await;
    let mut ada = dial("ada").returns(&gateway).await.wire;
    for making in [FIRST, ELSEWHERE] {
        maker.write(making, "ada", 1).await;
    }
    let heard = hear(&mut ada, 1).await;
    ada.ack(heard[0]["seq"].as_u64().unwrap()).await;
    cable.pull();
    let since = maker.change_over("ENVELOPES_1", "places_1.lab", 1).await;
    maker.write(ELSEWHERE, "ada", 2).await;
    cable.plug();
    let welcome = ada.message().await;
    assert_eq!(welcome["action"], "welcome", "of the new shard: {welcome}");
    assert_eq!(epoch_of(welcome["position"].as_str().unwrap()), epoch_of(&since));
    assert_eq!(told(&hear(&mut ada, 2).await), [(2, "elsewhere")]);
    gateway.stop().await;
}

/// A gateway that serves other tenants is given the catalog of one that moved before.
#[tokio::test]
async fn a_tenant_that_moved_before_its_catalog_came_is_served_where_it_is() {
    let mut site = Site::setup().start().await;
    let maker = Maker::instead_of_the_projector(&mut site).await;
    maker.second_shard(&site).await;
    let schemas = tempfile::tempdir().unwrap();
    site.copy_catalog(schemas.path(), "other");
    let variables = [("TIDINGS_SCHEMAS__DIRECTORY", schemas.path().to_str().unwrap())];
    let since = maker.change_over("ENVELOPES_1", "places_1.lab", 1).await;
    let mut gateway = site.gateway_with(&variables).await;
    site.copy_catalog(schemas.path(), "lab");
    gateway.process.signal(Signal::HUP);
    gateway.process.line("catalogs reloaded", BOUND).await;
    let Return { mut wire, welcome, .. } = dial("ada").returns(&gateway).await;
    assert_eq!(epoch_of(welcome["position"].as_str().unwrap()), epoch_of(&since));
    maker.write(ELSEWHERE, "ada", 1).await;
    assert_eq!(told(&hear(&mut wire, 1).await), [(1, "elsewhere")]);
    gateway.stop().await;
}
