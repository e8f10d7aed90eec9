//! How fast durable consumers are created, saved, loaded and listed, 64 at a time, on a
//! nats-server of its own with its data in a temporary folder.
//!
//!     cargo run --release -p tidings-streams --example consumer_rates -- kv 100000
//!     cargo run --release -p tidings-streams --example consumer_rates -- jetstream 500
//!
//! The bucket with a million consumers is a matter of half a minute; of JetStream consumers the
//! server takes a thousand.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_embedded::{NatsServer, Options};
use tidings_model::{Address, Epoch, Position, Tenant};
use tidings_streams::consumers::{
    Change, ConsumerName, ConsumerSettings, ConsumerStore, JetStreamConsumers, KvConsumers, Presence,
    StoredConsumer,
};
use tidings_streams::{Settings, Topology};

const CONCURRENT: usize = 64;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NOW: u64 = 1_800_000_000;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().unwrap_or_else(|| "kv".to_owned());
    let number: usize = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let mut server = NatsServer::start(Options::new(folder.path())).await?;
    let store = open(&server, &kind).await?;
    let names: Vec<_> = (0..number).map(name).collect::<Result<_, _>>()?;

    let created =
        measure("create", &names, async |name| store.save(name, None, &change(name, 1)?).await).await?;
    let known: Vec<_> = names.iter().zip(created).collect();
    measure("save", &known, async |(name, known)| store.save(name, Some(known), &change(name, 2)?).await)
        .await?;
    measure("load", &names, async |name| store.load(name).await).await?;
    let began = Instant::now();
    let listed = store.list(&Tenant::parse("ops")?, None).try_fold(0, async |count, _| Ok(count + 1)).await?;
    report("list", listed, began.elapsed());

    let resident = resident(&server)?;
    server.stop().await?;
    let began = Instant::now();
    server.restart().await?;
    println!("server: {} MB resident, starts again in {:?}", resident / 1_000, began.elapsed());
    Ok(())
}
