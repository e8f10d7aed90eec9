//! The gateway's memory for a connection.

use super::Options;
use super::scene::{Crowd, Scene, address};
use crate::affinity::Cores;
use crate::failure::Failure;
use crate::report::Plot;
use crate::report::{Section, megabytes, number, progress};

const COLUMNS: &[&str] =
    &["gateway MB before", "bytes each, idle", "bytes each, after messages", "bytes each, acknowledged"];
/// The number of messages delivered at once.
const AT_ONCE: u64 = 10;

pub(crate) async fn measure(options: &Options, cores: &Cores) -> Result<Section, Failure> {
    let title = format!("Memory of a connection, idle and after {} messages", options.received);
    let mut section = Section::new(title, COLUMNS);
    section.plot = Some(Plot::of(&["bytes each, idle", "bytes each, after messages"]));
    for &connections in &options.held {
        progress(&format!("{connections} connections open and receive {} messages", options.received));
        let mut scene = Scene::prepare(options.body, cores).await?;
        let before = scene.memory().await?;
        scene.fill(Crowd { connections, addresses: 1, stalled: None }).await?;
        let idle = scene.memory().await?;
        let mut left = options.received;
        while left > 0 {
            let count = left.min(AT_ONCE);
            scene.deliver_at_once(&address(0)?, count).await?;
            left -= count;
        }
        let after = scene.memory().await?;
        scene.acknowledge()?;
        let acknowledged = scene.memory().await?;
        let each = |bytes: u64| Some(number(bytes.saturating_sub(before)) / number(connections));
        section.row(
            format!("{connections} connections"),
            [Some(megabytes(before)), each(idle), each(after), each(acknowledged)],
        );
    }
    section
        .note("resident and not from files, in addition to the gateway's memory before the first connection");
    section.note("every connection is authenticated, subscribed and has a durable consumer of its own");
    section.note("this includes the envelopes, which the gateway keeps for returning clients");
    Ok(section)
}
