use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn at(second: u64) -> Moment {
    let wall = OffsetDateTime::UNIX_EPOCH + SECOND * u32::try_from(second).unwrap();
    Moment { instant: *START + Duration::from_secs(second), wall }
}

/// A change must last for 5 s, a lease lasts for 15 s, facts are kept for 1,000 s.
fn board() -> Board {
    Board::new(SECOND * 5, SECOND * 15, SECOND * 1_000, at(0).instant)
}

/// What has settled, as written and as told.
fn tell(board: &mut Board, second: u64) -> Vec<(String, bool, i64)> {
    board.look(at(second));
    let settled = board.settled(at(second));
    for change in &settled {
        board.told(&change.user, change.is_connected, change.since, at(second));
    }
    settled
        .into_iter()
        .map(|change| (change.user, change.is_connected, change.since.unix_timestamp()))
        .collect()
}

fn ada(is_connected: bool, since: i64) -> Vec<(String, bool, i64)> {
    vec![("ada".to_owned(), is_connected, since)]
}

#[test]
fn only_the_change_between_none_and_some_is_told() {
    let mut board = board();
    board.see("ada", "phone", Some("g"), at(1));
    assert_eq!(tell(&mut board, 5), []);
    assert_eq!(tell(&mut board, 6), ada(true, 1));
    board.hear("g", at(7));
    board.see("ada", "laptop", Some("g"), at(7));
    board.see("ada", "phone", None, at(8));
    assert_eq!(tell(&mut board, 20), []);
    board.hear("g", at(20));
    // A short absence is none.
    board.see("ada", "laptop", None, at(21));
    board.see("ada", "phone", Some("g"), at(25));
    assert_eq!(tell(&mut board, 30), []);
    board.see("ada", "phone", None, at(31));
    assert_eq!(tell(&mut board, 36), ada(false, 31));
    assert!(board.users.is_empty() && board.unsettled.is_empty(), "nothing is kept of who is gone");
}

#[test]
fn a_gateway_that_is_not_heard_has_nobody() {
    let mut board = board();
    board.see("ada", "phone", Some("g"), at(0));
    board.see("bob", "phone", Some("h"), at(0));
    for second in [5, 10, 14] {
        board.hear("h", at(second));
    }
    assert_eq!(tell(&mut board, 5).len(), 2);
    assert_eq!(tell(&mut board, 15), []);
    assert_eq!(tell(&mut board, 20), ada(false, 15));
    // It was only cut off.
    board.hear("h", at(20));
    board.hear("g", at(20));
    assert_eq!(tell(&mut board, 25), ada(true, 20));
    // As long as nothing can be heard, silence means nothing.
    board.hears_again(at(100).instant);
    assert_eq!(tell(&mut board, 114), []);
    board.look(at(115));
    assert_eq!(tell(&mut board, 120).len(), 2);
}

#[test]
fn what_was_told_before_is_compared_with_what_is_so() {
    let mut board = board();
    board.remember("ada".to_owned(), at(0).wall, at(0).wall);
    board.remember("bob".to_owned(), at(0).wall, at(0).wall);
    let device = |user: &str| (user.to_owned(), "phone".to_owned(), "g".to_owned());
    board.replace([device("bob"), device("eve")], at(1));
    board.hear("g", at(4));
    let mut told = tell(&mut board, 6);
    told.sort();
    assert_eq!(told, [("ada".to_owned(), false, 1), ("eve".to_owned(), true, 1)]);
    assert_eq!(board.to_repeat(at(499)), []);
    let repeated: Vec<_> =
        board.to_repeat(at(500)).into_iter().map(|change| (change.user, change.since)).collect();
    assert_eq!(repeated, [("bob".to_owned(), at(0).wall)]);
}

proptest! {
    /// Whatever happens: facts about a user alternate, and in the end the last one is right.
    #[test]
    fn facts_alternate_and_end_with_what_is_so(
        steps in prop::collection::vec((0..2_usize, 0..2_usize, 0..4_usize, 0..8_u64), 1..60),
    ) {
        let (mut board, mut now, mut told) = (board(), 0, HashMap::<String, bool>::new());
        let mut check = |found: Vec<(String, bool, i64)>| {
            for (user, is_connected, _) in found {
                let before = told.insert(user.clone(), is_connected).unwrap_or(false);
                assert_ne!(before, is_connected, "{user}");
            }
            told.clone()
        };
        let mut is_so = HashMap::<(usize, usize), bool>::new();
        for (user, device, kind, wait) in steps {
            now += wait;
            let (name, part) = (format!("u{user}"), format!("d{device}"));
            match kind {
                0 => board.see(&name, &part, None, at(now)),
                1 => board.see(&name, &part, Some("g"), at(now)),
                2 => board.hear("g", at(now)),
                _ => {}
            }
            if kind < 2 {
                is_so.insert((user, device), kind == 1);
            }
            check(tell(&mut board, now));
        }
        for _ in 0..4 {
            now += 5;
            board.hear("g", at(now));
            check(tell(&mut board, now));
        }
        let told = check(Vec::new());
        for user in 0..2 {
            let is_connected = (0..2).any(|device| is_so.get(&(user, device)) == Some(&true));
            prop_assert_eq!(told.get(&format!("u{user}")).copied().unwrap_or(false), is_connected);
        }
    }
}
