//! The writer writes in order or not at all; one that lost its place is refused.

use async_nats::HeaderMap;
use futures_util::StreamExt as _;
use tidings_model::{Address, Epoch, Origin, Position};
use tidings_streams::{EnvelopeWriter, Outgoing, Resume, WriteError, WriteMarkers, purge_address};
use time::{Duration, OffsetDateTime};

use crate::support::{Scene, envelope, latest};

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn origin(epoch: u64, sequence: u64, part: u32) -> Origin {
    Origin { event: Position { epoch: Epoch(epoch), sequence }, message: 0, part }
}

/// An envelope that was held back comes from an early event, and states how far all others were written.
#[tokio::test]
async fn a_late_envelope_says_what_was_written_before_it() {
    let scene = Scene::new().await;
    let (mut writer, resume) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    assert_eq!(resume, Resume::default());
    let after = envelope(9).origin.event;
    let early = WriteMarkers { through: None, held_from: Some(4) };
    let late = WriteMarkers { through: Some(after), held_from: None };
    let ninth = envelope(9);
    writer.send(Outgoing { trail: early, ..Outgoing::from(&ninth) }, now()).await.unwrap().await.unwrap();
    let (mut writer, resume) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    assert_eq!((resume.after, resume.held_from), (Some(envelope(9).origin), Some(4)));

    let fourth = envelope(4);
    let late = writer.send(Outgoing { trail: late, ..Outgoing::from(&fourth) }, now()).await.unwrap();
    let last = late.await.unwrap();
    let (writer, resume) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    assert_eq!((resume.after.unwrap().event, resume.held_from), (after, None));
    assert!(!resume.wants(envelope(9).origin) && resume.wants(envelope(10).origin));
    assert!(writer.is_at(last) && !writer.is_at(last + 1));
}

#[tokio::test]
async fn of_two_writers_the_stale_one_is_refused_and_nothing_interleaves() {
    let scene = Scene::new().await;
    let other = scene.other_topology().await;
    let (mut stale, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    stale.send(&envelope(1), now()).await.unwrap().await.unwrap();

    let (mut active, resume) = EnvelopeWriter::open(&other).await.unwrap();
    assert_eq!(resume.after, Some(envelope(1).origin));
    active.send(&envelope(2), now()).await.unwrap().await.unwrap();

    // Also those pipelined after the first refusal, although the stream may grow to the end that they expect.
    let mut pending = Vec::new();
    for n in 102..=106 {
        pending.push(stale.send(&envelope(n), now()).await.unwrap());
    }
    for refused in pending {
        assert!(matches!(refused.await, Err(WriteError::LostPlace)));
    }
    active.send(&envelope(3), now()).await.unwrap().await.unwrap();
    assert_eq!(scene.count("ENVELOPES").await, 3);

    let (mut stale, resume) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    assert_eq!(resume.after, Some(envelope(3).origin));
    stale.send(&envelope(4), now()).await.unwrap().await.unwrap();
    assert!(matches!(active.send(&envelope(4), now()).await.unwrap().await, Err(WriteError::LostPlace)));
    assert_eq!(scene.count("ENVELOPES").await, 4);
}

#[tokio::test]
async fn nothing_follows_a_publication_that_got_lost() {
    let scene = Scene::new().await;
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    writer.send(&envelope(1), now()).await.unwrap().await.unwrap();
    // The notice of a purge takes the sequence of the second, as if it arrived while the others are in flight.
    let (tenant, address) = (envelope(2).subject.tenant, Address::new("user", "bob").unwrap());
    purge_address(&scene.topology, &tenant, &address).await.unwrap();
    let mut pending = Vec::new();
    for n in 2..=400 {
        pending.push(writer.send(&envelope(n), now()).await.unwrap());
    }
    for refused in pending {
        assert!(matches!(refused.await, Err(WriteError::LostPlace)));
    }
    assert_eq!(scene.count("ENVELOPES").await, 2);
}

/// A purge does not wait until a busy projector is idle.
#[tokio::test]
async fn a_purge_comes_between_the_publications_of_a_busy_writer() {
    let scene = Scene::new().await;
    let other = scene.other_topology().await;
    let purges = async {
        let tenant = envelope(1).subject.tenant;
        for n in 0..5 {
            let address = Address::new("user", &format!("u{n}")).unwrap();
            purge_address(&other, &tenant, &address).await.unwrap();
        }
    };
    let done = std::cell::Cell::new(false);
    let writing = async {
        let (mut next, mut interruptions) = (1, 0);
        while !done.get() {
            let (mut writer, resume) = EnvelopeWriter::open(&scene.topology).await.unwrap();
            assert_eq!(resume.after.map_or(0, |after| after.event.sequence) + 1, next);
            let mut pending = std::collections::VecDeque::new();
            let mut last = next;
            let lost = loop {
                if pending.len() < EnvelopeWriter::MAX_PENDING && !done.get() {
                    match writer.send(&envelope(last), now()).await {
                        Ok(sent) => pending.push_back(sent),
                        Err(error) => break Some(error),
                    }
                    last += 1;
                }
                if pending.len() == EnvelopeWriter::MAX_PENDING || done.get() {
                    let Some(sent) = pending.pop_front() else { break None };
                    match sent.await {
                        Ok(_) => next += 1,
                        Err(error) => break Some(error),
                    }
                }
            };
            // Nothing after the refused publication was stored.
            for sent in pending {
                assert!(matches!(sent.await, Err(WriteError::LostPlace)));
            }
            if let Some(error) = lost {
                assert!(matches!(error, WriteError::LostPlace), "{error}");
                interruptions += 1;
            }
        }
        assert!(interruptions > 0, "the writer was busy");
        next
    };
    let ((), next) = tokio::join!(
        async {
            purges.await;
            done.set(true);
        },
        writing
    );
    assert_eq!(u64::try_from(scene.count("ENVELOPES").await).unwrap(), next - 1 + 5);
}

/// A writer that was only opened has not taken over anything.
#[tokio::test]
async fn opening_disturbs_nobody() {
    let scene = Scene::new().await;
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    for n in 1..=3 {
        writer.send(&envelope(n), now()).await.unwrap().await.unwrap();
        drop(EnvelopeWriter::open(&scene.topology).await.unwrap());
    }
    assert_eq!(scene.state("ENVELOPES").await.last_sequence, 3);
}

#[tokio::test]
async fn no_more_is_under_way_than_fences_keep_out() {
    let scene = Scene::new().await;
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    let mut pending = Vec::new();
    for n in 1..=512 {
        pending.push(writer.send(&envelope(n), now()).await.unwrap());
    }
    // The first envelope of a stream is confirmed at once; refused or dropped publications stay unconfirmed.
    pending.remove(0).await.unwrap();
    pending.push(writer.send(&envelope(513), now()).await.unwrap());
    assert!(matches!(writer.send(&envelope(514), now()).await, Err(WriteError::Unconfirmed)));
    drop(pending);
    assert!(matches!(writer.send(&envelope(514), now()).await, Err(WriteError::Unconfirmed)));
}

#[tokio::test]
async fn writing_is_taken_up_after_the_last_envelope_whatever_lies_behind_it() {
    let scene = Scene::new().await;
    let after = async || EnvelopeWriter::open(&scene.topology).await.unwrap().1.after;
    assert_eq!(after().await, None);
    scene.context.publish("envelopes.by.hand", "".into()).await.unwrap().await.unwrap();
    assert_eq!(after().await, None);
    scene.write(1..=3).await;
    assert_eq!(after().await, Some(envelope(3).origin));
    for _ in 0..3 {
        scene.context.publish("envelopes.by.hand", "".into()).await.unwrap().await.unwrap();
    }
    let mut headers = HeaderMap::new();
    headers.insert("Tidings-Origin", "nonsense");
    scene.context.publish_with_headers("envelopes.by.hand", headers, "".into()).await.unwrap().await.unwrap();
    let hand = scene.state("ENVELOPES").await.last_sequence - 1;
    scene.stream("ENVELOPES").await.delete_message(hand).await.unwrap();
    assert_eq!(after().await, Some(envelope(3).origin));
    scene.write(4..=4).await;
    assert_eq!(after().await, Some(envelope(4).origin));
    scene.stream("ENVELOPES").await.purge().await.unwrap();
    assert_eq!(after().await, None);
}

#[tokio::test]
async fn a_latest_envelope_replaces_the_one_before_of_its_key() {
    let scene = Scene::new().await;
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    for (n, key) in [(1, "a"), (2, "b"), (3, "a"), (4, "a")] {
        writer.send(&latest(n, key), now()).await.unwrap().await.unwrap();
    }
    let state = scene.state("ENVELOPES").await;
    assert_eq!((state.messages, state.last_sequence), (2, 4));
}

#[tokio::test]
async fn an_envelope_is_kept_until_it_expires_and_no_shorter() {
    let scene = Scene::new().await;
    let at = OffsetDateTime::UNIX_EPOCH;
    // Reads what is sent: a stored envelope with a second left may be gone when it is fetched.
    let mut sent = scene.nats.client().await.subscribe("envelopes.>").await.unwrap();
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    for (n, left, expected) in [
        (1, Duration::milliseconds(29_001), "30s"),
        (2, Duration::seconds(30), "30s"),
        (3, Duration::milliseconds(1), "1s"),
        (4, Duration::ZERO, "1s"),
        (5, Duration::seconds(-5), "1s"),
    ] {
        let mut expiring = envelope(n);
        expiring.expires_at = Some(at + left);
        writer.send(&expiring, at).await.unwrap().await.unwrap();
        let headers = sent.next().await.unwrap().headers.unwrap();
        assert_eq!(headers.get("Nats-TTL").unwrap().as_str(), expected, "{left}");
    }
}

#[test]
fn what_is_there_is_not_wanted_again() {
    let resume = Resume { after: Some(origin(7, 10, 2)), held_from: None, stored_at: None };
    for (origin, wanted) in [
        (origin(7, 9, 9), false),
        (origin(7, 10, 1), false),
        (origin(7, 10, 2), false),
        (origin(7, 10, 3), true),
        (origin(7, 11, 0), true),
        (origin(8, 1, 0), true),
    ] {
        assert_eq!(resume.wants(origin), wanted, "{origin:?}");
    }
    assert!(Resume::default().wants(origin(7, 1, 0)));
}
