use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::task::JoinHandle;

use super::*;

const SETTINGS: RefreshSettings = RefreshSettings {
    max_age: Duration::from_secs(600),
    cooldown: Duration::from_secs(10),
    grace: Duration::from_secs(300),
    patience: Duration::from_secs(5),
};

/// A source that answers with the identifiers that it is told, or fails; each answer takes a second.
struct Scripted {
    answer: watch::Receiver<Option<Vec<&'static str>>>,
    fetches: Arc<AtomicUsize>,
}

#[async_trait]
impl KeySource for Scripted {
    fn name(&self) -> String {
        "scripted".to_owned()
    }

    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Some(ids) = self.answer.borrow().clone() else { return Err(FetchError::TooLarge) };
        let keys =
            ids.iter().map(|id| json!({"kty": "OKP", "crv": "Ed25519", "x": "A".repeat(43), "kid": id}));
        Ok(json!({"keys": keys.collect::<Vec<_>>()}).to_string().into_bytes())
    }
}

struct Bench {
    keys: RemoteKeys,
    answer: watch::Sender<Option<Vec<&'static str>>>,
    fetches: Arc<AtomicUsize>,
    _task: JoinHandle<()>,
}

impl Bench {
    async fn start(answer: Option<Vec<&'static str>>) -> Self {
        let (answer, answers) = watch::channel(answer);
        let fetches = Arc::new(AtomicUsize::new(0));
        let keys = RemoteKeys::new(Scripted { answer: answers, fetches: Arc::clone(&fetches) }, SETTINGS);
        let task = tokio::spawn({
            let keys = keys.clone();
            async move { keys.keep(CancellationToken::new()).await }
        });
        let bench = Self { keys, answer, fetches, _task: task };
        bench.keys.learn().await;
        bench
    }

    fn ids(&self) -> Vec<String> {
        let mut ids: Vec<_> =
            self.keys.known().accepted.iter().filter_map(VerifyingKey::id).map(str::to_owned).collect();
        ids.sort();
        ids
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_at_once_and_when_they_are_old() {
    let bench = Bench::start(Some(vec!["a"])).await;
    assert_eq!((bench.ids(), bench.fetches()), (vec!["a".to_owned()], 1));
    bench.answer.send_replace(Some(vec!["a", "b"]));
    bench.pass(599).await;
    assert_eq!((bench.ids(), bench.fetches()), (vec!["a".to_owned()], 1));
    bench.pass(3).await;
    assert_eq!((bench.ids(), bench.fetches()), (vec!["a".to_owned(), "b".to_owned()], 2));
}

#[tokio::test(start_paused = true)]
async fn who_asks_together_shares_one_fetch_and_who_asks_soon_gets_none() {
    let bench = Bench::start(Some(vec!["a"])).await;
    bench.answer.send_replace(Some(vec!["b"]));
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let keys = bench.keys.clone();
            tokio::spawn(async move {
                keys.learn().await;
                keys.known().accepted.iter().any(|key| key.id() == Some("b"))
            })
        })
        .collect();
    for asked in asking {
        assert!(asked.await.unwrap(), "everybody who asks learns the same");
    }
    assert_eq!(bench.fetches(), 2);

    let asked = Instant::now();
    for _ in 0..1000 {
        bench.keys.learn().await;
    }
    assert_eq!(
        (bench.fetches(), asked.elapsed()),
        (2, Duration::ZERO),
        "nobody waits for what will not come"
    );

    for round in 0..30 {
        bench.pass(1).await;
        bench.keys.learn().await;
        assert!(bench.fetches() <= 3 + round / 5, "round {round}: {}", bench.fetches());
    }
    assert_eq!(bench.fetches(), 5, "one in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_gone_is_accepted_until_its_grace_ends() {
    let bench = Bench::start(Some(vec!["a", "b"])).await;
    bench.answer.send_replace(Some(vec!["b", "c"]));
    bench.keys.learn().await;
    assert_eq!(bench.ids(), ["a", "b", "c"]);
    bench.pass(299).await;
    assert_eq!(bench.ids(), ["a", "b", "c"]);
    bench.pass(2).await;
    assert_eq!(bench.ids(), ["b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_comes_back_stays() {
    let bench = Bench::start(Some(vec!["a", "b"])).await;
    for keys in [vec!["b"], vec!["a", "b"]] {
        bench.answer.send_replace(Some(keys));
        bench.keys.learn().await;
        bench.pass(20).await;
    }
    bench.pass(400).await;
    assert_eq!(bench.ids(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_grace_is_not_renewed_by_later_fetches() {
    let bench = Bench::start(Some(vec!["a", "b"])).await;
    bench.answer.send_replace(Some(vec!["b"]));
    for _ in 0..27 {
        bench.keys.learn().await;
        bench.pass(10).await;
    }
    assert_eq!(bench.ids(), ["a", "b"]);
    bench.pass(5).await;
    assert_eq!(bench.ids(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn failures_take_no_key_away_and_are_retried() {
    let bench = Bench::start(Some(vec!["a"])).await;
    for answer in [None, Some(vec![])] {
        bench.answer.send_replace(answer);
        bench.pass(100_000).await;
        assert_eq!(bench.ids(), ["a"]);
    }
    bench.answer.send_replace(Some(vec!["b"]));
    bench.pass(12).await;
    assert_eq!(bench.ids(), ["a", "b"]);
    bench.pass(300).await;
    assert_eq!(bench.ids(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_down_at_the_start_is_tried_again() {
    let bench = Bench::start(None).await;
    let known = bench.keys.known();
    assert_eq!((known.is_empty(), known.next_attempt), (true, SETTINGS.cooldown));
    bench.answer.send_replace(Some(vec!["a"]));
    bench.pass(12).await;
    assert_eq!(bench.ids(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn keys_that_leave_have_a_bound() {
    let bench = Bench::start(Some(vec!["first"])).await;
    for id in (0..100).map(|number| &*format!("k{number}").leak()) {
        bench.answer.send_replace(Some(vec![id]));
        bench.keys.0.known.send_modify(|known| {
            known.replace(
                KeySet { keys: vec![key(id)], left_out: Vec::new() },
                Instant::now() + SETTINGS.grace,
            );
        });
    }
    assert_eq!(bench.ids().len(), 1 + MAX_LEAVING);
    assert!(bench.ids().contains(&"k99".to_owned()) && !bench.ids().contains(&"first".to_owned()));
}

fn key(id: &str) -> VerifyingKey {
    VerifyingKey::from_jwk(&json!({"kty": "OKP", "crv": "Ed25519", "x": "A".repeat(43), "kid": id})).unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_asks_does_not_wait_longer_than_the_patience() {
    let (_answer, answers) = watch::channel(None);
    let source = Scripted { answer: answers, fetches: Arc::new(AtomicUsize::new(0)) };
    let keys = RemoteKeys::new(source, SETTINGS);
    let asked = Instant::now();
    keys.learn().await;
    assert_eq!(asked.elapsed(), SETTINGS.patience, "nobody fetches, and nobody waits for ever");
}
