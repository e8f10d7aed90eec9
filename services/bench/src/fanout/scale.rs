//! Whether the cost of a delivered message depends on the number of connections and addresses. It is compared with
//! the limit, because more sockets cost the system itself more for each message.

use super::Options;
use super::scene::{Crowd, Scene, address};
use crate::affinity::Cores;
use crate::failure::Failure;
use crate::limit::Limit;
use crate::report::Plot;
use crate::report::{Section, each, progress};
use crate::usage::Stopwatch;

const COLUMNS: &[&str] = &[
    "delivered",
    "limit CPU µs",
    "worker CPU µs/delivered",
    "× the limit",
    "CPU µs/delivered",
    "envelopes",
    "other CPU µs/envelope",
];

pub(crate) async fn measure(options: &Options, cores: &Cores) -> Result<Section, Failure> {
    let mut section = Section::new("A delivered message, by connections and addresses", COLUMNS);
    section.plot = Some(Plot::of(&["worker CPU µs/delivered", "limit CPU µs"]));
    for &connections in &options.crowds {
        for &addresses in &options.addresses {
            progress(&format!("{connections} connections at {addresses} addresses"));
            let crowd = Crowd { connections, addresses, stalled: None };
            add_row(&mut section, options, cores, crowd).await?;
        }
    }
    section.note("limit: a bare loop of writes of finished frames to as many connections, just before");
    section
        .note("an envelope for each address in turn; a connection with several addresses receives several");
    section.note("worker: the thread that delivers; other: reading, framing and indexing an envelope, once");
    Ok(section)
}

async fn add_row(
    section: &mut Section,
    options: &Options,
    cores: &Cores,
    crowd: Crowd,
) -> Result<(), Failure> {
    let Crowd { connections, addresses, .. } = crowd;
    let at_limit = at_limit(options, cores, connections).await?;
    let mut scene = Scene::prepare(options.body, cores).await?;
    scene.fill(crowd).await?;
    // More addresses than connections are shared evenly if one number divides the other.
    let each_receives = (addresses / connections).max(1);
    let in_a_turn = connections * each_receives;
    let turns = options.delivered.div_ceil(in_a_turn);
    let everywhere = (0..addresses).map(address).collect::<Result<Vec<_>, _>>()?;
    scene.deliver(everywhere.clone(), each_receives).await?;
    let pid = scene.gateway.pid;
    let used = (Stopwatch::start(pid)?, Stopwatch::of_threads(pid, "worker")?);
    for _ in 0..turns {
        scene.deliver(everywhere.clone(), each_receives).await?;
    }
    let (all, worker) = (used.0.read()?, used.1.read()?);
    let (delivered, envelopes) = (in_a_turn * turns, addresses * turns);
    let number = |count| Some(crate::report::number(count));
    let of_worker = each(worker, delivered);
    section.row(
        format!("{connections} connections, {addresses} addresses"),
        [
            number(delivered),
            Some(at_limit),
            Some(of_worker),
            Some(of_worker / at_limit),
            Some(each(all, delivered)),
            number(envelopes),
            Some(each(all.saturating_sub(worker), envelopes)),
        ],
    );
    Ok(())
}

/// Microseconds of the limit for a message, with this many connections.
async fn at_limit(options: &Options, cores: &Cores, connections: u64) -> Result<f64, Failure> {
    let mut limit = Limit::start(connections, options.body, Some(cores.measured)).await?;
    limit.deliver(1, 1).await?;
    let writes = options.delivered.div_ceil(connections);
    Ok(each(limit.deliver(1, writes).await?, connections * writes))
}
