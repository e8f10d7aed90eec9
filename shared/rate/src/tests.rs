use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::*;

type Clocked<K> = RateByKey<K, FakeRelativeClock>;

fn rate(per_minute: u32, burst: u32) -> Rate {
    Rate::new(NonZeroU32::new(per_minute).unwrap(), NonZeroU32::new(burst).unwrap())
}

fn clocked<K: Hash + Eq + Clone>(rate: Rate, capacity: usize) -> (Clocked<K>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (RateByKey::with_clock(rate, capacity, clock.clone()), clock)
}

#[test]
fn a_burst_and_then_one_after_the_other() {
    let (limit, clock) = clocked(rate(6, 3), CAPACITY);
    for _ in 0..3 {
        assert_eq!(limit.check(&'a'), Ok(()));
    }
    assert_eq!(limit.check(&'a'), Err(Duration::from_secs(10)));
    assert_eq!(limit.check(&'b'), Ok(()), "another key has its own");
    clock.advance(Duration::from_secs(4));
    assert_eq!(limit.check(&'a'), Err(Duration::from_secs(6)));
    clock.advance(Duration::from_secs(6));
    assert_eq!(limit.check(&'a'), Ok(()), "whoever waits as long as told is let in");
    assert_eq!(limit.check(&'a'), Err(Duration::from_secs(10)));
}

#[test]
fn a_budget_warns_after_a_burst_and_is_spent_after_two() {
    let clock = FakeRelativeClock::default();
    let budget = Budget::with_clock(rate(60, 10), clock.clone());
    let (used, other) = (Used::default(), Used::default());
    assert_eq!(budget.spend(&used, 0), Spent::Within);
    assert_eq!(budget.spend(&used, 4), Spent::Within);
    assert_eq!(budget.spend(&used, 6), Spent::Within);
    assert_eq!(budget.spend(&used, 7), Spent::Beyond(Duration::from_secs(7)));
    assert_eq!(budget.spend(&used, 4), Spent::Everything(Duration::from_secs(1)));
    assert_eq!(budget.spend(&other, 10), Spent::Within, "another has its own");
    assert_eq!(budget.spend(&other, 21), Spent::Everything(Duration::ZERO));
    clock.advance(Duration::from_secs(7));
    assert_eq!(budget.spend(&used, 0), Spent::Within);
    assert_eq!(budget.spend(&used, 1), Spent::Beyond(Duration::from_secs(1)));
    clock.advance(Duration::from_secs(1000));
    assert_eq!(budget.spend(&used, 10), Spent::Within, "whoever pauses has all of it again");
}

/// Most of a day's attack in numbers; honest clients come again and again in between.
#[test]
fn a_million_keys_take_bounded_memory_and_hinder_no_other() {
    // As large as a network of IPv6 that says which kind it is.
    let (limit, clock) = clocked::<(u16, u64)>(rate(60, 10), CAPACITY);
    for number in 0..1_000_000 {
        let _ = limit.check(&(6, number));
        if number % 1000 == 0 {
            clock.advance(Duration::from_millis(20));
            // Each of these once every two seconds.
            assert_eq!(limit.check(&(4, number / 1000 % 100)), Ok(()), "after {number}");
        }
    }
    let known = limit.limiter.into_state_store().known.into_inner().unwrap();
    let tables = [&known.current, &known.previous];
    assert!(tables.iter().all(|table| table.len() <= CAPACITY), "{:?}", tables.map(HashMap::len));
    let slots: usize = tables.iter().map(|table| table.capacity() / 7 * 8).sum();
    // An entry and its byte of the table's index.
    let bytes = slots * (size_of::<((u16, u64), Nanos)>() + 1);
    assert!(bytes < 7_000_000, "{bytes} bytes");
}

#[test]
fn what_was_refused_stays_refused_while_there_is_room() {
    let (limit, _clock) = clocked(rate(1, 1), 1000);
    assert_eq!(limit.check(&0), Ok(()));
    for other in 1..1000 {
        assert_eq!(limit.check(&other), Ok(()));
        assert!(limit.check(&0).is_err(), "after {other} others");
    }
}

#[test]
fn memory_is_given_back() {
    let (limit, clock) = clocked(rate(60, 10), CAPACITY);
    for key in 0..10_000 {
        assert_eq!(limit.check(&key), Ok(()));
    }
    for _ in 0..2 {
        clock.advance(Duration::from_secs(10));
        assert_eq!(limit.check(&0), Ok(()));
    }
    let known = limit.limiter.into_state_store().known.into_inner().unwrap();
    assert_eq!((known.current.len(), known.previous.len()), (1, 1));
}

proptest! {
    /// While the keys fit, forgetting by generations decides as a limiter does that never forgets.
    #[test]
    fn nothing_that_matters_is_forgotten(
        per_minute in 1_u32..600,
        burst in 1_u32..20,
        steps in proptest::collection::vec((0_u8..8, 0_u64..20_000), 1..400),
    ) {
        let rate = rate(per_minute, burst);
        let (limit, clock) = clocked(rate, 8);
        let reference = RateLimiter::hashmap_with_clock(rate.quota(), clock.clone());
        for (key, pause) in steps {
            clock.advance(Duration::from_millis(pause));
            prop_assert_eq!(limit.check(&key).is_ok(), reference.check_key(&key).is_ok());
        }
    }
}
