//! `tidings-bench way`: the whole path of an event, from its publication to sockets.
//!
//! It is compared with two references: the *limit*, a bare loop of writes without NATS ([`crate::limit`]), and the
//! *bare way*, processes that make the same round trips as Tidings and do nothing else ([`crate::relay`],
//! [`crate::sender`]). All take turns, so that other load on the machine affects all of them. Publisher and clients
//! are in one process, so that one clock measures.

mod scene;

use self::scene::{Scene, Way};
use crate::arguments::WayOptions;
use crate::failure::Failure;
use crate::limit::Limit;
use crate::report::Plot;
use crate::report::{
    Report, Section, Subject, each, median, milliseconds, number, progress, quantile, spread,
};

const COST: &[&str] = &[
    "at once",
    "µs/delivered",
    "± %",
    "delivered per CPU second",
    "× the limit",
    "± %",
    "nats-server µs",
    "projector or relay µs",
    "gateway or sender µs",
];
const LATENCY: &[&str] = &["receivers", "p50 ms", "p99 ms", "p50 × bare", "p99 × bare"];

/// Runs the benchmark.
pub(crate) async fn run(options: &WayOptions, report: &mut Report) -> Result<(), Failure> {
    let WayOptions { receivers, rounds, .. } = *options;
    let mut cost = Section::new(format!("CPU of an event for {receivers} receivers of a topic"), COST);
    cost.plot = Some(Plot::of(&["× the limit"]).target(1.5, "target ≤ 1.5"));
    let mut latency = Section::new("From publication to the socket", LATENCY);
    latency.plot = Some(Plot::of(&["p50 ms", "p99 ms"]).logarithmic());

    let mut alone = open_both(1, options.body).await?;
    for round in 0..=rounds {
        take_turns(&mut alone, round, 1, options.alone).await?;
    }
    add_latency(&mut latency, &mut alone);
    drop(alone);

    let mut scenes = open_both(receivers, options.body).await?;
    let mut limit = Limit::start(receivers, options.body, None).await?;
    for &pending in &options.pending {
        progress(&format!("{pending} at once"));
        scenes.iter_mut().for_each(Scene::forget);
        // The bare way writes each message by itself, so figures of several at once would be meaningless.
        let skipped = usize::from(pending > 1);
        let mut at_limit = Vec::new();
        for round in 0..=rounds {
            take_turns(&mut scenes[skipped..], round, pending, options.times).await?;
            let used = limit.deliver(pending, options.times).await?;
            if round > 0 {
                at_limit.push(each(used, options.times * pending * receivers));
            }
        }
        add_cost(&mut cost, pending, &at_limit, &scenes[skipped..]);
        if pending == 1 {
            add_latency(&mut latency, &mut scenes);
        }
    }
    cost.note("of all server processes; the limit writes finished frames in a loop, without NATS");
    cost.note("at once: messages in one write of the limit, and events that are published together");
    cost.note("Tidings does not wait until events published together are all there, and writes more often");
    cost.note("clients of tidings.v1, authenticated and subscribed, which acknowledge nothing meanwhile");
    latency.note(
        "bare way: JetStream publish, consume, publish with acknowledgement, consume, write to the socket",
    );
    latency.note("of many receivers each counts; their own reading takes its part of the same cores");
    report.add(cost);
    report.add(latency);
    Ok(())
}

async fn open_both(receivers: u64, length: usize) -> Result<[Scene; 2], Failure> {
    Ok([
        Scene::open(Way::Bare, receivers, length).await?,
        Scene::open(Way::Tidings, receivers, length).await?,
    ])
}

/// One round; round 0 runs with cold memory and is not counted.
async fn take_turns(scenes: &mut [Scene], round: usize, pending: u64, times: u64) -> Result<(), Failure> {
    for scene in scenes {
        scene.play(pending, times).await?;
        if round == 0 {
            scene.forget();
        }
    }
    Ok(())
}

fn add_cost(section: &mut Section, pending: u64, at_limit: &[f64], scenes: &[Scene]) {
    let mut add = |subject, name, totals: &[f64], parts: [Option<f64>; 3]| {
        let each = median(totals.to_vec());
        // By round: other load on the machine changes less between turns.
        let ratios: Vec<f64> = totals.iter().zip(at_limit).map(|(total, limit)| total / limit).collect();
        let values =
            [number(pending), each, spread(totals), 1e6 / each, median(ratios.clone()), spread(&ratios)];
        section.row_of(
            subject,
            format!("{name}, {pending} at once"),
            values.map(Some).into_iter().chain(parts),
        );
    };
    add(Subject::Comparison, "limit", at_limit, [None; 3]);
    for scene in scenes {
        let totals: Vec<f64> = scene.costs.iter().map(|round| round.iter().sum()).collect();
        let part = |process: usize| median(scene.costs.iter().map(|round| round[process]).collect());
        let (subject, name) = describe(scene.way);
        add(subject, name, &totals, [0, 1, 2].map(part).map(Some));
    }
}

/// Adds rows for both ways with the same number of receivers, the bare one first.
fn add_latency(section: &mut Section, scenes: &mut [Scene; 2]) {
    let figures = scenes.each_mut().map(|scene| {
        scene.latencies.sort_unstable();
        [0.5, 0.99].map(|part| milliseconds(quantile(&scene.latencies, part)))
    });
    let [bare, _] = figures;
    for (scene, [p50, p99]) in scenes.iter().zip(figures) {
        let receivers = scene.receivers;
        let plural = if receivers == 1 { "" } else { "s" };
        let (subject, name) = describe(scene.way);
        let values = [number(receivers), p50, p99, p50 / bare[0], p99 / bare[1]];
        section.row_of(subject, format!("{name}, {receivers} receiver{plural}"), values.map(Some));
    }
}

fn describe(way: Way) -> (Subject, &'static str) {
    match way {
        Way::Tidings => (Subject::Tidings, "Tidings"),
        Way::Bare => (Subject::Comparison, "bare way"),
    }
}
