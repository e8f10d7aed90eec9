//! Starting a gateway on a long stream: the time until it is ready, and its memory then.

use std::time::{Duration, Instant};

use tidings_mailbox::{Delivery, Entry, Mailbox};
use tidings_model::{Address, Position};
use tidings_streams::{Content, EnvelopeFollower, Followed};

use crate::arguments::OfflineOptions;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::population::{body, user, write_envelopes};
use crate::report::Plot;
use crate::report::{Section, megabytes, number, progress};
use crate::usage::{processor_time, resident};

const COLUMNS: &[&str] = &["envelopes", "seconds", "gateway CPU s", "MB"];

pub(crate) async fn measure(options: &OfflineOptions) -> Result<Section, Failure> {
    let OfflineOptions { envelopes, addresses, .. } = *options;
    let title = format!("Starting on {envelopes} envelopes of {addresses} users");
    let mut section = Section::new(title, COLUMNS);
    section.plot = Some(Plot::of(&["seconds"]));
    let deployment = Deployment::start(1_000).await?;
    add_start(&mut section, "gateway, empty stream", 0, &deployment, options.hot_tail).await?;

    progress(&format!("writing {envelopes} envelopes"));
    let mut users = Vec::new();
    for index in 0..addresses {
        users.push(Address::new("user", &user(index))?);
    }
    let envelopes_of_all = users.iter().cycle().take(usize::try_from(envelopes)?).cloned();
    write_envelopes(&deployment, envelopes_of_all, &body(options.body)).await?;

    progress("starting gateways on them");
    let (mailbox, elapsed) = index(&deployment).await?;
    let bytes = u64::try_from(mailbox.footprint())?;
    section.row(
        "mailbox alone, from headers",
        [Some(number(mailbox.len() as u64)), Some(elapsed.as_secs_f64()), None, Some(megabytes(bytes))],
    );
    add_start(&mut section, "gateway without a hot tail", envelopes, &deployment, Some(1)).await?;
    add_start(&mut section, "gateway", envelopes, &deployment, options.hot_tail).await?;
    section.note(
        "seconds: from the start of the process until /readyz returns 200; MB of a gateway: resident then",
    );
    section.note("the hot tail holds 128 MiB of the newest envelopes by default");
    Ok(section)
}

async fn add_start(
    section: &mut Section,
    name: &str,
    envelopes: u64,
    deployment: &Deployment,
    hot_tail: Option<u64>,
) -> Result<(), Failure> {
    let gateway = deployment.gateway(hot_tail).await?;
    section.row(
        name,
        [
            Some(number(envelopes)),
            Some(gateway.ready_after.as_secs_f64()),
            Some(processor_time(gateway.pid)?.as_secs_f64()),
            Some(megabytes(resident(gateway.pid)?)),
        ],
    );
    gateway.kill().await
}

/// Builds the index of the whole stream, as a gateway does.
async fn index(deployment: &Deployment) -> Result<(Mailbox, Duration), Failure> {
    let began = Instant::now();
    let topology = &deployment.topology;
    let extent = topology.extent().await?;
    let position = Position { epoch: extent.epoch, sequence: extent.floor };
    let mut follower = EnvelopeFollower::after(topology, position, Content::HeadersOnly).await?;
    let mut mailbox = Mailbox::new(extent.floor);
    while let Some(followed) = follower.next_pending().await? {
        let Followed::Envelopes(envelopes) = followed else { continue };
        for stored in envelopes {
            let subject = &stored.envelope.subject;
            mailbox.append(Entry {
                tenant: subject.tenant.as_str(),
                address: subject.address.as_str(),
                sequence: stored.sequence,
                delivery: Delivery::Durable,
                expires_at: None,
            })?;
        }
    }
    Ok((mailbox, began.elapsed()))
}
