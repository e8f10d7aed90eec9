//! Measures how fast durable consumers are created, saved, loaded and listed, 64 at a time, on its own nats-server.
//!
//! `cargo run --release -p tidings-streams --example consumer_rates [kv|jetstream] [consumers]`
//!
//! The server accepts up to 1,000 JetStream consumers.
#![expect(clippy::print_stdout, reason = "printing its figures is what this program is for")]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_embedded::{NatsServer, Options};
use tidings_model::{Address, Epoch, PlacedPosition, Position, Tenant};
use tidings_streams::consumers::{
    Change, ConsumerName, ConsumerSettings, ConsumerStore, ConsumerStoreError, JetStreamConsumers,
    KvConsumers, Presence,
};
use tidings_streams::{Settings, Topology};

const CONCURRENT: usize = 64;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NOW: u64 = 1_800_000_000;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().unwrap_or_else(|| "kv".to_owned());
    let number: usize = arguments.next().map_or(Ok(500), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let mut server = NatsServer::start(Options::new(folder.path())).await?;
    let store = Box::pin(open(&server, &kind)).await?;

    let tenant = Tenant::parse("ops")?;
    let names = (0..number).map(|user| ConsumerName::new(tenant.clone(), format!("user-{user}"), "phone"));
    let names: Vec<_> = names.collect::<Result<_, _>>()?;
    let (first, second) = (change(1)?, change(2)?);
    let created = measure("create", names.iter().map(|name| store.save(name, None, &first))).await?;
    let saves = names.iter().zip(&created).map(|(name, known)| store.save(name, Some(known), &second));
    measure("save", saves).await?;
    measure("load", names.iter().map(|name| store.load(name))).await?;
    let began = Instant::now();
    let listed = store.list(&tenant, None).try_fold(0, async |count, _| Ok(count + 1)).await?;
    report("list", listed, began.elapsed());

    if let Some(pid) = server.pid() {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("(not told here)");
        println!("server  {resident}");
    }
    server.stop().await?;
    let began = Instant::now();
    server.restart().await?;
    println!("server  starts again in {:.2?}", began.elapsed());
    Ok(())
}

/// Runs all operations, [`CONCURRENT`] at a time.
async fn measure<T, W>(what: &str, work: impl Iterator<Item = W>) -> Result<Vec<T>, ConsumerStoreError>
where
    W: Future<Output = Result<T, ConsumerStoreError>>,
{
    let began = Instant::now();
    let done: Vec<T> = stream::iter(work).buffered(CONCURRENT).try_collect().await?;
    report(what, done.len(), began.elapsed());
    Ok(done)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn report(what: &str, number: usize, took: Duration) {
    println!("{what:7} {number} in {took:.2?}: {:.0}/s", number as f64 / took.as_secs_f64());
}

fn change(sequence: u64) -> Result<Change, Failure> {
    let position = Position { epoch: Epoch(0x18f3_a0c2), sequence };
    let position = PlacedPosition { generation: 0, position };
    let presence = Presence::Connected("gateway-1".to_owned());
    let grants = ["user:ada", "role:responder", "all"].map(Address::parse);
    let grants = grants.into_iter().collect::<Result<_, _>>()?;
    Ok(Change { grants, ..Change::new(position, presence, NOW + sequence) })
}

async fn open(server: &NatsServer, kind: &str) -> Result<Arc<dyn ConsumerStore>, Failure> {
    let client = async_nats::connect(server.url()).await?;
    let settings = ConsumerSettings { replicas: 1, in_memory: false, inactive_after: 30 * DAY };
    Ok(match kind {
        "kv" => Arc::new(KvConsumers::open(&async_nats::jetstream::new(client.clone()), &settings).await?),
        "jetstream" => {
            let topology = Topology::ensure(&client, &stream_settings()).await?;
            Arc::new(JetStreamConsumers::open(&topology, &settings).await?)
        }
        other => return Err(format!("there is no store {other:?}, only kv and jetstream").into()),
    })
}

fn stream_settings() -> Settings {
    Settings::on_one_server(DAY, Duration::from_secs(120))
}
