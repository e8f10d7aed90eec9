//! The effect of clients that never read on the others.

use std::time::Duration;

use super::Options;
use super::scene::{Crowd, Scene, address};
use crate::affinity::Cores;
use crate::failure::Failure;
use crate::report::Plot;
use crate::report::{Section, median, milliseconds, progress, quantile};

const COLUMNS: &[&str] = &["p50 ms", "p99 ms", "gateway MB"];
/// More messages than the system and a window hold for a client that never reads.
const UNREAD: u64 = 400;
const AT_ONCE: u64 = 10;

pub(crate) async fn measure(options: &Options, cores: &Cores) -> Result<Section, Failure> {
    let Options { connections, stalled, writes, .. } = *options;
    let mut scenes = Vec::new();
    for stalled in [None, Some(stalled)] {
        let who = stalled.map_or("all read".to_owned(), |every| format!("one in {every} never reads"));
        progress(&format!("{connections} connections, {who}"));
        let mut scene = Scene::prepare(options.body, cores).await?;
        scene.fill(Crowd { connections, addresses: 1, stalled }).await?;
        for _ in 0..UNREAD / AT_ONCE {
            scene.deliver_at_once(&address(0)?, AT_ONCE).await?;
        }
        scenes.push((scene, Vec::new(), Vec::new()));
    }
    for round in 1..=options.rounds {
        progress(&format!("round {round} of {}", options.rounds));
        for (scene, middle, late) in &mut scenes {
            let mut latencies: Vec<Duration> = Vec::new();
            for _ in 0..writes {
                latencies.extend(scene.deliver([address(0)?], 1).await?);
            }
            latencies.sort_unstable();
            middle.push(milliseconds(quantile(&latencies, 0.5)));
            late.push(milliseconds(quantile(&latencies, 0.99)));
        }
    }
    let title = format!("Latency of the reading clients, {connections} connections");
    let mut section = Section::new(title, COLUMNS);
    section.plot = Some(Plot::of(&["p50 ms", "p99 ms"]));
    let mut p99 = Vec::new();
    for ((scene, middle, late), name) in scenes.into_iter().zip(["all read", "some never read"]) {
        p99.push(median(late.clone()));
        let memory = crate::report::megabytes(scene.memory().await?);
        section.row(name, [Some(median(middle)), Some(median(late)), Some(memory)]);
    }
    if let [without, with] = p99[..] {
        section
            .note(format!("p99 when one in {stalled} never reads: {:.2} times that without", with / without));
    }
    section.note("from the publication until the client has read the message; publications one at a time");
    Ok(section)
}
