//! Who is connected, asked of all gateways.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_nats::service::ServiceExt as _;
use futures_util::StreamExt as _;
use harness::{BOUND, Dial, SECRET, token};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::site::{Site, admin, code, is_time, json_lines, open, request, token_of};

#[tokio::test]
async fn connections_of_all_gateways_are_told_and_closed() {
    let site = Site::start().await;
    let [first, second] = site.addresses();
    let ada = token_of("ada", &json!({ "role": "sre" }));
    let mut here = Dial::new(first).bearer(&ada).query("device", "phone").open().await;
    here.send_json(&json!({ "action": "subscribe", "topics": ["incidents", "tasks"] })).await;
    here.expect_nothing_before_pong(BOUND).await;
    let mut there = open(second, &ada).await;
    let mut bo = open(second, &token_of("bo", &json!({}))).await;
    let foreign = token(SECRET, json!({ "tenant": "shelter", "sub": "ada" }));
    let mut foreigner = open(first, &foreign).await;

    let all = site.connections(&[]).await;
    assert_eq!(all.len(), 3, "{}", json!(all));
    let ids: BTreeSet<_> = all.iter().map(|connection| connection["id"].as_str().unwrap()).collect();
    let gateways: BTreeSet<_> =
        all.iter().map(|connection| connection["gateway"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), gateways.len()), (3, 2), "{}", json!(all));
    let (status, body) = request("GET", second, "connections?user=ada", &admin()).await;
    assert_eq!(status, 200, "{body}");
    let of_ada = json_lines(&body);
    let devices: BTreeMap<_, _> =
        of_ada.iter().map(|connection| (connection["device"].as_str().unwrap(), connection)).collect();
    assert_eq!(devices.keys().collect::<Vec<_>>(), [&"default", &"phone"]);
    let phone = devices["phone"];
    assert_eq!(phone["subscriptions"], json!(["incidents", "tasks"]));
    assert_eq!((&phone["tenant"], &phone["address"]), (&json!("ops"), &json!("127.0.0.1")));
    assert_eq!(phone["messages"], json!({ "sent": 0, "received": 2 }));
    assert_eq!(phone["per_minute"], json!({ "sent": 0.0, "received": 2.0 }));
    assert!(is_time(&phone["since"]) && phone["sent"].as_str().unwrap().ends_with("-0"), "{phone}");

    // One, by its name: the other gateway's admin interface does it as well.
    let path = format!("connections/{}", phone["id"].as_str().unwrap());
    assert_eq!(request("DELETE", second, &path, &admin()).await.0, 204);
    assert_eq!(here.close_code(BOUND).await, Some(4007));
    let (status, body) = request("DELETE", second, &path, &admin()).await;
    assert_eq!((status, code(&body).as_str()), (404, "NOT_FOUND"));

    let (status, body) = request("DELETE", first, "connections", &admin()).await;
    assert_eq!((status, code(&body).as_str()), (400, "USER"));
    let (status, body) = request("DELETE", first, "connections?user=ada", &admin()).await;
    assert_eq!((status, json_lines(&body).len()), (200, 1), "{body}");
    assert_eq!(there.close_code(BOUND).await, Some(4007));
    bo.expect_nothing_before_pong(BOUND).await;
    let left = site.connections(&[]).await;
    let close = ["connections", "close", "--tenant", "ops", "--id", left[0]["id"].as_str().unwrap()];
    assert_eq!(site.run(&close).await, format!("closed {} of user \"bo\"\n", close[5]));
    assert_eq!(bo.close_code(BOUND).await, Some(4007));
    let gone = site.system.command(&close).finish(BOUND).await.failed();
    assert!(gone.contains("there is no connection"), "{gone}");
    assert_eq!(site.run(&["connections", "ls", "--tenant", "ops"]).await, "there are no connections\n");
    foreigner.expect_nothing_before_pong(BOUND).await;
}

#[tokio::test]
async fn more_connections_than_a_page_holds_are_each_told_once() {
    const MANY: usize = 400;
    let site = Site::start().await;
    let mut clients = Vec::new();
    for n in 0..MANY {
        let address = site.addresses()[n % 2];
        clients.push(open(address, &token_of(&format!("user-{n}"), &json!({}))).await);
    }
    let users = |connections: &[Value]| -> BTreeSet<String> {
        connections.iter().map(|connection| connection["user"].as_str().unwrap().to_owned()).collect()
    };
    let all = site.connections(&[]).await;
    assert_eq!((all.len(), users(&all).len()), (MANY, MANY));
    let one = site.connections(&["--user", "user-399"]).await;
    assert_eq!((one.len(), users(&one).len()), (1, 1));
}

/// A gateway that is there for the roll call and then is not; what others serve is told all the same.
#[tokio::test]
async fn a_gateway_that_does_not_answer_is_named() {
    let site = Site::start().await;
    let _ada = open(site.system.address(), &token_of("ada", &json!({}))).await;
    let client = site.system.client().clone();
    let metadata = HashMap::from([("gateway".to_owned(), "ghost".to_owned())]);
    let builder = client.service_builder().metadata(metadata);
    let ghost = builder.start("tidings-gateway", "0.0.1").await.unwrap();
    let mut list = ghost.endpoint("tidings.gateway.ghost.list.*").await.unwrap();
    let first_page = tokio::spawn(async move {
        let request = list.next().await.unwrap();
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Tidings-Next", "0.1");
        request.respond_with_headers(Ok("".into()), headers).await.unwrap();
        // Dies in between: the next page is asked of nobody.
        list.stop().await.unwrap();
    });
    let listed = site.system.command(&["connections", "ls", "--tenant", "ops", "--json"]).finish(BOUND).await;
    first_page.await.unwrap();
    assert_eq!(json_lines(&listed.output).len(), 1, "{}", listed.output);
    assert_eq!(listed.code, Some(1), "{}", listed.errors);
    assert!(listed.errors.contains("gateway ghost did not answer"), "{}", listed.errors);

    let (status, body) = request("GET", site.system.address(), "connections", &admin()).await;
    let (told, silent): (Vec<_>, Vec<_>) =
        json_lines(&body).into_iter().partition(|line| line["error"].is_null());
    assert_eq!((status, told.len(), silent.len()), (200, 1, 1), "{body}");
    assert_eq!(silent[0]["error"]["code"], "GATEWAY_SILENT");

    // One that is there and does not answer may have the connection; one that is not there has none.
    let _mute = ghost.endpoint("tidings.gateway.ghost.close.*").await.unwrap();
    let ask = async |id: &str| {
        let path = format!("connections/{id}");
        let (status, body) = request("DELETE", site.system.address(), &path, &admin()).await;
        (status, code(&body))
    };
    assert_eq!(ask("ghost.0.1").await, (503, "UNAVAILABLE".to_owned()));
    assert_eq!(ask("nowhere.0.1").await, (404, "NOT_FOUND".to_owned()));
    ghost.stop().await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_was_killed_is_missed_by_nobody() {
    let site = Site::start().await;
    let _ada = open(site.system.address(), &token_of("ada", &json!({}))).await;
    let _bo = open(&site.second.address, &token_of("bo", &json!({}))).await;
    let all = site.connections(&[]).await;
    let of_bo = all.iter().find(|connection| connection["user"] == "bo").unwrap()["id"].as_str().unwrap();
    site.second.process.signal(Signal::KILL);
    harness::eventually("the killed gateway is gone", BOUND, async || {
        let left = site.connections(&[]).await;
        if left.len() == 1 { Ok(()) } else { Err(json!(left)) }
    })
    .await;
    let close = ["connections", "close", "--tenant", "ops", "--id", of_bo];
    let failed = site.system.command(&close).finish(BOUND).await.failed();
    assert!(failed.contains("there is no connection"), "{failed}");
    let path = format!("connections/{of_bo}");
    let (status, body) = request("DELETE", site.system.address(), &path, &admin()).await;
    assert_eq!((status, code(&body).as_str()), (404, "NOT_FOUND"), "its connections ended with it: {body}");

    // Nobody to ask is not the same as nobody there.
    site.system.gateway.signal(Signal::KILL);
    harness::eventually("no gateway is left", BOUND, async || {
        let listed = site.system.command(&["connections", "ls", "--tenant", "ops"]).finish(BOUND).await;
        let is_told = listed.code == Some(1) && listed.errors.contains("no gateway answered");
        if is_told { Ok(()) } else { Err(listed.output + &listed.errors) }
    })
    .await;
}
