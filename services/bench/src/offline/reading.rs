//! Reading one user's missed envelopes alone: no sockets, no handshakes, no tokens.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_mailbox::{Delivery, Entry, Found, HotTail, Mailbox, Query};
use tidings_model::Address;
use tidings_protocol::framing::text_with_sequence;
use tidings_streams::consumers::{ConsumerName, ConsumerStore as _};
use tidings_streams::{Content, EnvelopeFollower, Followed, StoredEnvelope, fetch};

use super::returning::Away;
use crate::arguments::{OfflineOptions, Source};
use crate::deployment::{TENANT, tenant};
use crate::failure::Failure;
use crate::per_user;
use crate::population::{addresses, user, write_consumers};
use crate::report::Plot;
use crate::report::{Section, Subject, number, progress, rate};

const COLUMNS: &[&str] =
    &["users", "users/s", "envelopes/s", "× a durable consumer each", "× a fresh consumer each"];

/// The number of simultaneous JetStream requests for one user's envelopes.
const AT_ONCE: usize = 16;

pub(crate) async fn measure(options: &OfflineOptions, away: &Away) -> Result<Section, Failure> {
    progress("reading without handshakes");
    let retained = Retained::follow(away).await?;
    let OfflineOptions { users, missed, .. } = *options;
    let compared = options.compared.min(users);
    prepare_durables(away, compared).await?;
    write_consumers(&away.deployment, (0..users).map(user), away.position).await?;

    let mut rates: Vec<(Subject, &str, u64, f64)> = Vec::new();
    let elapsed = retained.all_warm(users, missed)?;
    rates.push((Subject::Tidings, "mailbox and hot tail, one thread", users, rate(users, elapsed)));
    let elapsed =
        each_of(users, options.readers, async |index| retained.position_and_warm(away, index, missed).await)
            .await?;
    rates.push((
        Subject::Tidings,
        "the same, with the position from the bucket",
        users,
        rate(users, elapsed),
    ));
    let cold = users.min(2_000);
    let elapsed =
        each_of(cold, options.readers, async |index| retained.cold(away, index, missed).await).await?;
    rates.push((Subject::Tidings, "mailbox and direct gets", cold, rate(cold, elapsed)));
    let elapsed = per_user_rate(options, away, Source::Durable, compared).await?;
    let durable = rate(compared, elapsed);
    rates.push((Subject::Comparison, "a durable JetStream consumer each", compared, durable));
    let elapsed = per_user_rate(options, away, Source::Fresh, compared).await?;
    let anew = rate(compared, elapsed);
    rates.push((Subject::Comparison, "a fresh JetStream consumer each", compared, anew));

    let mut section = Section::new(format!("Reading {missed} missed envelopes, without handshakes"), COLUMNS);
    section.plot = Some(Plot::of(&["users/s"]).logarithmic());
    for (subject, name, users, rate) in rates {
        let values = [number(users), rate, rate * number(missed), rate / durable, rate / anew];
        section.row_of(subject, name, values.map(Some));
    }
    section.note(format!("{} users read at once, but for the first row", options.readers));
    Ok(section)
}

async fn prepare_durables(away: &Away, count: u64) -> Result<(), Failure> {
    per_user::create_durables(&away.stream, count).await?;
    per_user::rewind_durables(&away.stream, count).await
}

async fn per_user_rate(
    options: &OfflineOptions,
    away: &Away,
    source: Source,
    users: u64,
) -> Result<Duration, Failure> {
    each_of(users, options.readers, async |index| {
        let messages = per_user::read(&away.stream, source, &user(index), options.missed).await?;
        if let (Source::Durable, Some(last)) = (source, messages.last()) {
            last.ack().await?;
        }
        Ok(())
    })
    .await
}

/// Runs an operation for each user, a limited number at a time.
async fn each_of(
    users: u64,
    at_once: usize,
    read: impl AsyncFn(u64) -> Result<(), Failure>,
) -> Result<Duration, Failure> {
    let began = Instant::now();
    stream::iter(0..users)
        .map(async |index| read(index).await)
        .buffer_unordered(at_once)
        .try_collect::<()>()
        .await?;
    Ok(began.elapsed())
}

/// The gateway's replica, built with the same crates.
struct Retained {
    mailbox: Mailbox,
    hot_tail: HotTail<Arc<StoredEnvelope>>,
}

impl Retained {
    async fn follow(away: &Away) -> Result<Self, Failure> {
        let topology = &away.deployment.topology;
        let mut follower = EnvelopeFollower::after(topology, away.position, Content::Whole).await?;
        let after = away.position.sequence;
        let mut retained = Self { mailbox: Mailbox::new(after), hot_tail: HotTail::new(usize::MAX, after) };
        while let Some(followed) = follower.next_pending().await? {
            let Followed::Envelopes(envelopes) = followed else { continue };
            for stored in envelopes {
                let subject = &stored.envelope.subject;
                retained.mailbox.append(Entry {
                    tenant: subject.tenant.as_str(),
                    address: subject.address.as_str(),
                    sequence: stored.sequence,
                    delivery: Delivery::Durable,
                    expires_at: None,
                })?;
                retained.hot_tail.push(stored.sequence, Arc::new(stored), 0)?;
            }
        }
        Ok(retained)
    }

    fn merge(&self, user: &str, missed: u64) -> Result<Vec<Found>, Failure> {
        let addresses = addresses(user)?;
        let addresses = addresses.each_ref().map(Address::as_str);
        let query = Query { tenant: TENANT, addresses: &addresses, after: self.mailbox.floor(), now: 0 };
        let page = self.mailbox.merge(&query, self.mailbox.head(), usize::try_from(missed)?)?;
        if page.found.len() as u64 != missed {
            return Err(format!("the mailbox has {} envelopes instead of {missed}", page.found.len()).into());
        }
        Ok(page.found)
    }

    fn warm(&self, user: &str, missed: u64) -> Result<(), Failure> {
        for found in self.merge(user, missed)? {
            let stored = self.hot_tail.get(found.sequence).ok_or("the hot tail lacks an envelope")?;
            let envelope = &stored.envelope;
            black_box(text_with_sequence(stored.sequence, &envelope.event_id, &envelope.body)?);
        }
        Ok(())
    }

    fn all_warm(&self, users: u64, missed: u64) -> Result<Duration, Failure> {
        let names: Vec<String> = (0..users).map(user).collect();
        let began = Instant::now();
        for name in &names {
            self.warm(name, missed)?;
        }
        Ok(began.elapsed())
    }

    async fn position_and_warm(&self, away: &Away, index: u64, missed: u64) -> Result<(), Failure> {
        let user = user(index);
        let name = ConsumerName::new(tenant()?, user.as_str(), "default")?;
        let stored = away.deployment.consumers.load(&name).await?.ok_or("a consumer is missing")?;
        black_box(stored.state.position);
        self.warm(&user, missed)
    }

    async fn cold(&self, away: &Away, index: u64, missed: u64) -> Result<(), Failure> {
        let found = self.merge(&user(index), missed)?;
        let gets = stream::iter(found).map(async |found: Found| {
            let stored = fetch(&away.deployment.topology, found.sequence).await?;
            let stored = stored.ok_or("the stream lacks an envelope")?;
            let envelope = &stored.envelope;
            black_box(text_with_sequence(stored.sequence, &envelope.event_id, &envelope.body)?);
            Ok::<_, Failure>(())
        });
        gets.buffered(AT_ONCE).try_collect().await
    }
}
