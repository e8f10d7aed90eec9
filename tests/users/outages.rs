//! What is said of users while NATS is away from a gateway.

use harness::{BOUND, FlakyProxy, System};
use serde_json::json;

use crate::site::{Site, open, refused, token_of};

#[tokio::test]
async fn the_watch_outlives_a_restart_of_nats() {
    let mut site = Site::start().await;
    let (ada, bo) = (token_of("ada", &json!({})), token_of("bo", &json!({})));
    let mut client = open(site.system.address(), &bo).await;
    site.users("disable", "ada").await;
    let refused_ada = (403, "USER_DISABLED".to_owned());
    harness::eventually("ada is out", BOUND, async || {
        let refusal = harness::Dial::new(site.system.address()).bearer(&ada).try_open().await;
        refusal.map_or_else(|refusal| Ok(refusal.status), |_| Err("she is in"))
    })
    .await;
    site.system.nats.kill().await.unwrap();
    // Without NATS, what is known counts, and who is here stays.
    assert_eq!(refused(site.system.address(), &ada).await, refused_ada);
    client.expect_nothing_before_pong(BOUND).await;
    site.system.nats.restart().await.unwrap();
    site.users("disable", "bo").await;
    assert_eq!(client.close_code(BOUND).await, Some(4503));
    // It refuses everyone until it has found that NATS is back.
    harness::eventually("the other gateway serves again, and refuses ada", BOUND, async || {
        let refusal = refused(&site.second.address, &ada).await;
        if refusal == refused_ada { Ok(()) } else { Err(format!("{refusal:?}")) }
    })
    .await;
}

#[tokio::test]
async fn what_was_said_while_a_gateway_was_cut_off_holds_when_it_is_back() {
    let system = System::start().await;
    let cable = FlakyProxy::to(system.nats.url()).await;
    let mut far = system.another_gateway(&[("TIDINGS_NATS__URL", cable.url())]).await;
    let (ada, bo) = (token_of("ada", &json!({})), token_of("bo", &json!({})));
    let mut near = open(system.address(), &ada).await;
    let mut ada_there = open(&far.address, &ada).await;
    let mut bo_there = open(&far.address, &bo).await;
    cable.pull();
    far.process.line("lost the connection to NATS", BOUND).await;
    let arguments = ["users", "disable", "--tenant", "ops", "--user", "ada"];
    system.command(&arguments).finish(BOUND).await.succeeded();
    assert_eq!(near.close_code(BOUND).await, Some(4503));
    // It cannot know.
    ada_there.expect_nothing_before_pong(BOUND).await;
    cable.plug();
    assert_eq!(ada_there.close_code(BOUND).await, Some(4503));
    harness::eventually("the gateway serves again, and refuses ada", BOUND, async || {
        let refusal = refused(&far.address, &ada).await;
        if refusal == (403, "USER_DISABLED".to_owned()) { Ok(()) } else { Err(format!("{refusal:?}")) }
    })
    .await;
    bo_there.expect_nothing_before_pong(BOUND).await;

    // The same the other way round.
    cable.pull();
    let enable = ["users", "enable", "--tenant", "ops", "--user", "ada"];
    system.command(&enable).finish(BOUND).await.succeeded();
    cable.plug();
    let comes_in = harness::eventually("ada may come in again", BOUND, async || {
        let dial = harness::Dial::new(&far.address).bearer(&ada);
        dial.try_open().await.map_err(|refusal| refusal.body)
    });
    comes_in.await.expect_nothing_before_pong(BOUND).await;
}
