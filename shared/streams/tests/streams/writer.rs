//! The writer writes in order or not at all; one that lost its place is refused.

use async_nats::HeaderMap;
use futures_util::StreamExt as _;
use harness::eventually;
use tidings_model::{Address, Epoch, Origin, Position};
use tidings_streams::{EnvelopeWriter, Outgoing, Resume, WriteError, WriteMarkers, fetch, purge_address};
use time::{Duration, OffsetDateTime};

use crate::support::{SOON, Scene, envelope, latest, store};

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn origin(epoch: u64, sequence: u64, part: u32) -> Origin {
    Origin { event: Position { epoch: Epoch(epoch), sequence }, message: 0, part }
}

/// Waits until the writer fails; returns the last sequence that it has reported as stored, and the error.
async fn failure(writer: &mut EnvelopeWriter) -> (u64, WriteError) {
    let mut last = 0;
    loop {
        match tokio::time::timeout(SOON, writer.stored()).await.unwrap() {
            Ok(stored) => {
                assert!(last == 0 || *stored.start() == last + 1, "{stored:?} after {last}");
                last = *stored.end();
            }
            Err(error) => return (last, error),
        }
    }
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
    store(&mut writer, Outgoing { trail: early, ..Outgoing::from(&ninth) }).await;
    let (mut writer, resume) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    assert_eq!((resume.after, resume.held_from), (Some(envelope(9).origin), Some(4)));

    let fourth = envelope(4);
    let last = store(&mut writer, Outgoing { trail: late, ..Outgoing::from(&fourth) }).await;
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
    store(&mut stale, &envelope(1)).await;

    let (mut active, resume) = EnvelopeWriter::open(&other).await.unwrap();
    assert_eq!(resume.after, Some(envelope(1).origin));
    store(&mut active, &envelope(2)).await;

    // Also those pipelined after the first refusal, although the stream may grow to the end that they expect.
    for n in 102..=106 {
        stale.send(&envelope(n), now()).await.unwrap();
    }
    assert!(matches!(stale.confirm().await, Err(WriteError::LostPlace)));
    assert!(matches!(stale.send(&envelope(107), now()).await, Err(WriteError::LostPlace)));
    assert!(matches!(stale.confirm().await, Err(WriteError::LostPlace)));
    store(&mut active, &envelope(3)).await;
    assert_eq!(scene.count("ENVELOPES").await, 3);

    let (mut stale, resume) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    assert_eq!(resume.after, Some(envelope(3).origin));
    store(&mut stale, &envelope(4)).await;
    active.send(&envelope(4), now()).await.unwrap();
    assert!(matches!(active.confirm().await, Err(WriteError::LostPlace)));
    assert_eq!(scene.count("ENVELOPES").await, 4);
}

/// The message takes the sequence of one envelope, and the next one finds exactly the end that it expects.
#[tokio::test]
async fn nothing_follows_an_envelope_whose_place_was_taken() {
    let scene = Scene::new().await;
    // In a batch in progress, and at the beginning of one.
    for is_open in [true, false] {
        let before = scene.count("ENVELOPES").await;
        let (writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
        // Every envelope is confirmed, without an end of the batch.
        let mut writer = writer.with_window(if is_open { 7 } else { 512 });
        let first = writer.send(&envelope(1), now()).await.unwrap();
        if is_open {
            assert_eq!(writer.stored().await.unwrap(), first..=first);
        } else {
            writer.confirm().await.unwrap();
        }
        scene.context.publish("envelopes.by.hand", "".into()).await.unwrap().await.unwrap();
        for n in 2..=7 {
            writer.send(&envelope(n), now()).await.unwrap();
        }
        let (stored, error) = failure(&mut writer).await;
        assert!(stored == 0 && matches!(error, WriteError::LostPlace), "{stored} {error}");
        assert_eq!(scene.count("ENVELOPES").await, before + 2);
    }
}

#[tokio::test]
async fn nothing_follows_a_notice_of_a_purge() {
    let scene = Scene::new().await;
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    store(&mut writer, &envelope(1)).await;
    // The notice takes the sequence of the second, as if it arrived while the others are in flight.
    let (tenant, address) = (envelope(2).subject.tenant, Address::new("user", "bob").unwrap());
    purge_address(&scene.topology, &tenant, &address).await.unwrap();
    for n in 2..=200 {
        writer.send(&envelope(n), now()).await.unwrap();
    }
    assert!(matches!(failure(&mut writer).await, (0, WriteError::LostPlace)));
    assert_eq!(scene.count("ENVELOPES").await, 2);
}

/// A purge does not wait until a busy projector is idle.
#[tokio::test]
async fn a_purge_comes_between_the_publications_of_a_busy_writer() {
    let scene = Scene::new().await;
    let other = scene.other_topology().await;
    let written = std::cell::Cell::new(0_u64);
    let progress = async || {
        let before = written.get();
        eventually("the writer goes on", SOON, async || match written.get() {
            written if written > before => Ok(()),
            written => Err(written),
        })
        .await;
    };
    let purges = async {
        let tenant = envelope(1).subject.tenant;
        for n in 0..5 {
            progress().await;
            let address = Address::new("user", &format!("u{n}")).unwrap();
            purge_address(&other, &tenant, &address).await.unwrap();
        }
        progress().await;
    };
    let done = std::cell::Cell::new(false);
    let writing = async {
        let mut interruptions = 0;
        while !done.get() {
            let (mut writer, resume) = EnvelopeWriter::open(&scene.topology).await.unwrap();
            let stored = resume.after.map_or(0, |after| after.event.sequence);
            assert!(stored >= written.get(), "{stored} of {}", written.get());
            let (mut next, mut sent) = (stored, 0);
            let lost = loop {
                if done.get() {
                    break writer.confirm().await.err();
                }
                if writer.has_room() {
                    next += 1;
                    sent = writer.send(&envelope(next), now()).await.unwrap();
                    continue;
                }
                match writer.stored().await {
                    Ok(sequences) => written.set(next - (sent - *sequences.end())),
                    Err(error) => break Some(error),
                }
            };
            if let Some(error) = lost {
                assert!(matches!(error, WriteError::LostPlace), "{error}");
                interruptions += 1;
            }
        }
        assert!(interruptions > 0, "the writer was busy");
    };
    tokio::join!(
        async {
            purges.await;
            done.set(true);
        },
        writing
    );
    let (_, resume) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    let last = resume.after.unwrap().event.sequence;
    assert_eq!(scene.count("ENVELOPES").await, last + 5);
    let mut numbers = Vec::new();
    for sequence in 1..=last + 5 {
        let stored = fetch(&scene.topology, sequence).await.unwrap();
        numbers.extend(stored.map(|stored| stored.envelope.origin.event.sequence));
    }
    assert!(numbers.iter().copied().eq(1..=last), "each once and in order");
}

/// A writer that was only opened has not taken over anything.
#[tokio::test]
async fn opening_disturbs_nobody() {
    let scene = Scene::new().await;
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    for n in 1..=3 {
        store(&mut writer, &envelope(n)).await;
        drop(EnvelopeWriter::open(&scene.topology).await.unwrap());
    }
    assert_eq!(scene.state("ENVELOPES").await.last_sequence, 3);
}

#[tokio::test]
async fn no_more_is_under_way_than_the_window_permits() {
    let scene = Scene::new().await;
    let (writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    let mut writer = writer.with_window(3);
    for n in 1..=3 {
        assert!(writer.has_room());
        writer.send(&envelope(n), now()).await.unwrap();
    }
    assert!(!writer.has_room());
    let refused = writer.send(&envelope(4), now()).await;
    assert!(matches!(refused, Err(WriteError::Unconfirmed { window: 3 })), "{refused:?}");
    writer.stored().await.unwrap();
    writer.send(&envelope(4), now()).await.unwrap();
    writer.confirm().await.unwrap();
    assert_eq!(scene.count("ENVELOPES").await, 4);
}

/// Under load one answer confirms many; otherwise each envelope is confirmed as soon as it is stored.
#[tokio::test]
async fn answers_are_few_under_load() {
    let scene = Scene::new().await;
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    // Beside the writer: an answer and the end of a batch have a reply subject of their own.
    let mut answers = scene.nats.client().await.subscribe("_INBOX.*.*.64.fail.>").await.unwrap();
    for n in 1..=3_000 {
        while !writer.has_room() {
            writer.stored().await.unwrap();
        }
        writer.send(&envelope(n), now()).await.unwrap();
    }
    writer.confirm().await.unwrap();
    let mut count = 0;
    loop {
        let answer = tokio::time::timeout(SOON, answers.next()).await.unwrap().unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        count += 1;
        if answer["count"].is_u64() {
            break assert!(count < 150, "{count}");
        }
    }
}

/// Whatever the window is, and although nobody asks for it.
#[tokio::test]
async fn what_was_sent_is_confirmed_by_and_by() {
    let scene = Scene::new().await;
    for window in [1, 3, 64, 512] {
        let (writer, resume) = EnvelopeWriter::open(&scene.topology).await.unwrap();
        let mut writer = writer.with_window(window);
        let first = resume.after.map_or(0, |after| after.event.sequence) + 1;
        let mut confirmed = first - 1;
        for n in first..first + 150 {
            while !writer.has_room() {
                confirmed = *tokio::time::timeout(SOON, writer.stored()).await.unwrap().unwrap().end();
            }
            assert_eq!(writer.send(&envelope(n), now()).await.unwrap(), n);
        }
        while confirmed < first + 149 {
            assert!(writer.unconfirmed() > 0);
            confirmed = *tokio::time::timeout(SOON, writer.stored()).await.unwrap().unwrap().end();
        }
        assert_eq!(writer.unconfirmed(), 0);
    }
    assert_eq!(scene.count("ENVELOPES").await, 600);
}

/// The stream takes all before it, and nothing after it.
#[tokio::test]
async fn an_envelope_that_is_too_large_is_refused_in_its_turn() {
    let scene = Scene::new().await;
    let mut config = scene.stream("ENVELOPES").await.cached_info().config.clone();
    config.max_message_size = 4_096;
    scene.context.update_stream(config).await.unwrap();
    let mut last = 0;
    for before in [0, 1, 3] {
        for behind in [0, 1, 3] {
            let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
            for _ in 0..before {
                last = writer.send(&envelope(1), now()).await.unwrap();
            }
            let mut large = envelope(2);
            large.body = "x".repeat(8_192).into();
            writer.send(&large, now()).await.unwrap();
            for _ in 0..behind {
                writer.send(&envelope(3), now()).await.unwrap();
            }
            let (stored, error) = failure(&mut writer).await;
            assert!(matches!(error, WriteError::Refused(_)), "{error:?}");
            assert_eq!(stored, if before == 0 { 0 } else { last }, "{before} before, {behind} behind");
            assert_eq!(scene.state("ENVELOPES").await.last_sequence, last);
        }
    }
}

/// A server that was killed has forgotten the batch, and what was in flight is stored up to some envelope or not.
#[tokio::test]
async fn a_server_killed_amid_a_batch_leaves_no_hole() {
    let mut scene = Scene::new().await;
    let mut failures = 0;
    for _ in 0..5 {
        let (mut writer, resume) = EnvelopeWriter::open(&scene.topology).await.unwrap();
        let first = resume.after.map_or(0, |after| after.event.sequence) + 1;
        for n in first..first + 200 {
            writer.send(&envelope(n), now()).await.unwrap();
        }
        scene.crash().await;
        for n in first + 200..first + 300 {
            if writer.send(&envelope(n), now()).await.is_err() {
                break;
            }
        }
        failures += u64::from(writer.confirm().await.is_err());
        let (_, resume) = EnvelopeWriter::open(&scene.topology).await.unwrap();
        let last = resume.after.map_or(0, |after| after.event.sequence);
        assert_eq!(scene.count("ENVELOPES").await, last);
        assert_eq!(scene.state("ENVELOPES").await.last_sequence, last);
    }
    assert!(failures > 0, "nothing was in flight");
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
        store(&mut writer, &latest(n, key)).await;
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
        writer.send(&expiring, at).await.unwrap();
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
