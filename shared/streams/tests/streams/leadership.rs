//! One of several projectors leads, the others know that they do not, and terms rise.

use harness::{BOUND, FlakyProxy, eventually};
use tidings_streams::{Candidate, Lease, Topology};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{Scene, settings};

struct Projector {
    lease: Lease,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Projector {
    async fn start(topology: &Topology) -> Self {
        let (candidate, lease) = Candidate::open(topology).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(candidate.run(async { _ = stopped.await }));
        Self { lease, stop, running }
    }

    /// The term in which it leads at this moment.
    fn leads(&self) -> Option<u64> {
        self.lease.term().filter(|term| self.lease.holds(*term))
    }

    async fn until_leads(&self, term: Option<u64>) {
        eventually(&format!("it leads in {term:?}"), BOUND, async || match self.leads() {
            found if found == term => Ok(()),
            found => Err(format!("{found:?}")),
        })
        .await;
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
    }
}

#[tokio::test]
async fn one_leads_and_the_next_one_when_it_stops() {
    let scene = Scene::new().await;
    let first = Projector::start(&scene.topology).await;
    first.until_leads(Some(1)).await;
    let second = Projector::start(&scene.other_topology().await).await;
    assert_eq!(second.leads(), None);
    first.stop().await;
    second.until_leads(Some(2)).await;
    // Aborted: it does not give the lease back.
    second.running.abort();
    let third = Projector::start(&scene.topology).await;
    third.until_leads(Some(3)).await;
}

#[tokio::test]
async fn one_that_is_cut_off_leads_no_longer_before_another_one_does() {
    let scene = Scene::new().await;
    let cable = FlakyProxy::to(scene.nats.url()).await;
    let client = async_nats::connect(cable.url()).await.unwrap();
    let first = Projector::start(&Topology::ensure(&client, &settings()).await.unwrap()).await;
    first.until_leads(Some(1)).await;
    let second = Projector::start(&scene.topology).await;
    cable.silence();
    eventually("another one leads", BOUND, async || {
        let (former, next) = (first.leads(), second.leads());
        assert!(former.is_none() || next.is_none(), "both lead, in {former:?} and {next:?}");
        next.ok_or("not yet")
    })
    .await;
    assert_eq!(second.leads(), Some(2));
    cable.plug();
    eventually("the former one knows", BOUND, async || match first.lease.term() {
        None => Ok(()),
        term => Err(format!("{term:?}")),
    })
    .await;
    assert_eq!(second.leads(), Some(2));
}

#[tokio::test]
async fn an_outage_of_nats_changes_no_leader() {
    let mut scene = Scene::new().await;
    let first = Projector::start(&scene.topology).await;
    first.until_leads(Some(1)).await;
    let second = Projector::start(&scene.other_topology().await).await;
    scene.nats.pause().unwrap();
    first.until_leads(None).await;
    assert_eq!(first.lease.term(), Some(1), "nobody else has led");
    scene.nats.resume().unwrap();
    first.until_leads(Some(1)).await;
    scene.crash().await;
    first.until_leads(Some(1)).await;
    assert_eq!(second.leads(), None);
}

#[tokio::test]
async fn terms_rise_though_the_bucket_is_lost_or_damaged() {
    let scene = Scene::new().await;
    let projector = Projector::start(&scene.topology).await;
    projector.until_leads(Some(1)).await;
    scene.context.delete_stream("KV_PROJECTORS").await.unwrap();
    projector.until_leads(Some(2)).await;
    let sent = scene.context.publish("$KV.PROJECTORS.shard", "{}".into()).await.unwrap();
    sent.await.unwrap();
    projector.until_leads(Some(3)).await;
}
