//! Rate limits for any number of keys, in bounded memory: governor's limiter (GCRA) with a memory that forgets.
//!
//! [`RateByKey`] remembers its keys itself. A caller that has a place for what is remembered of a key, as a connection has, keeps
//! it there ([`Used`]): [`RateByOwner`] counts how often, and [`Budget`] how much.
//!
//! Of a key one time is remembered. It lies in one of two generations: a key that is used goes into the current one, and
//! when that has lasted as long as a limit takes to recover, or is full, it becomes the previous one, and what was
//! previous is forgotten. A key that was not used for so long is as good as new, so that time alone forgets nothing that
//! matters. Only when more than 114,688 keys come within that time is something forgotten that does: then it errs
//! on the side of letting in. An attacker with so many addresses gains another burst for each of them; no client is
//! refused because of another one.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference as _};
use governor::middleware::{NoOpMiddleware, StateInformationMiddleware};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

/// Keys of one generation, as many as std's table of that size takes. With entries of 24 bytes, two generations take
/// less than 7 MB.
const CAPACITY: usize = 131_072 / 8 * 7;

const MINUTE: Duration = Duration::from_secs(60);

/// So many in the long run, so many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_minute: NonZeroU32,
    burst: NonZeroU32,
}

impl Rate {
    /// So many per minute in the long run, and a burst.
    #[must_use]
    pub fn new(per_minute: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { per_minute, burst }
    }

    /// How many per minute in the long run.
    #[must_use]
    pub fn per_minute(self) -> NonZeroU32 {
        self.per_minute
    }

    /// How many at once after a pause.
    #[must_use]
    pub fn burst(self) -> NonZeroU32 {
        self.burst
    }

    fn quota(self) -> Quota {
        Quota::per_minute(self.per_minute).allow_burst(self.burst)
    }

    /// After this time without use, a whole burst is there again.
    fn recovery(self) -> Duration {
        MINUTE / self.per_minute.get() * self.burst.get()
    }
}

/// A limit for each of any number of keys.
pub struct RateByKey<K: Hash + Eq + Clone, C: Clock = MonotonicClock> {
    clock: C,
    limiter: RateLimiter<K, Generations<K, C>, C, NoOpMiddleware<C::Instant>>,
}

impl<K: Hash + Eq + Clone> RateByKey<K> {
    /// No key has used up anything.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self::with_clock(rate, CAPACITY, MonotonicClock)
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> RateByKey<K, C> {
    fn with_clock(rate: Rate, capacity: usize, clock: C) -> Self {
        let generations = Generations::new(rate.recovery(), capacity, clock.clone());
        Self { limiter: RateLimiter::new(rate.quota(), generations, clock.clone()), clock }
    }

    /// So many more for this key, or how long to wait; nothing is counted then. More than a burst is never let in.
    pub fn check_many(&self, key: &K, amount: NonZeroU32) -> Result<(), Duration> {
        match self.limiter.check_key_n(key, amount) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(denied)) => Err(denied.wait_time_from(self.clock.now())),
            Err(_) => Err(MINUTE),
        }
    }

    /// Once more for this key, or how long to wait.
    pub fn check(&self, key: &K) -> Result<(), Duration> {
        self.limiter.check_key(key).map_err(|denied| denied.wait_time_from(self.clock.now()))
    }
}

/// A limit for each of any number of things that keep for themselves what is remembered of them.
pub struct RateByOwner<C: Clock = MonotonicClock> {
    clock: C,
    limiter: RateLimiter<Used, Owners, C, NoOpMiddleware<C::Instant>>,
}

/// How much of a limit is used up, 0 at first. Of use with one [`RateByOwner`] alone.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Used(Cell<u64>);

impl RateByOwner {
    /// With the same limit for each owner.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { limiter: RateLimiter::new(rate.quota(), Owners, MonotonicClock), clock: MonotonicClock }
    }

    /// Once more for this owner, or how long to wait.
    pub fn check(&self, used: &Used) -> Result<(), Duration> {
        self.limiter.check_key(used).map_err(|denied| denied.wait_time_from(self.clock.now()))
    }
}

/// A limit on amounts, such as bytes, of any number of things that keep for themselves what is remembered of them.
///
/// An owner that has spent a burst is warned, and has another one until nothing is left: what was read cannot be refused.
pub struct Budget<C: Clock = MonotonicClock> {
    clock: C,
    burst: u32,
    limiter: RateLimiter<Used, Owners, C, StateInformationMiddleware>,
}

/// What an amount comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// The burst is not spent.
    Within,
    /// A burst is spent; it will not be after so long.
    Beyond(Duration),
    /// And another one; the wait is as long.
    Everything(Duration),
}

impl Budget {
    /// With the same limit for each owner.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self::with_clock(rate, MonotonicClock)
    }
}

impl<C: Clock + Clone> Budget<C> {
    fn with_clock(rate: Rate, clock: C) -> Self {
        let quota =
            rate.quota().allow_burst(rate.burst.saturating_mul(const { NonZeroU32::new(2).unwrap() }));
        let limiter = RateLimiter::new(quota, Owners, clock.clone());
        Self { clock, burst: rate.burst.get(), limiter }
    }

    /// So much more for this owner.
    pub fn spend(&self, used: &Used, amount: usize) -> Spent {
        let Some(amount) = NonZeroU32::new(u32::try_from(amount).unwrap_or(u32::MAX)) else {
            return Spent::Within;
        };
        match self.limiter.check_key_n(used, amount) {
            Ok(Ok(left)) => match self.burst.saturating_sub(left.remaining_burst_capacity()) {
                0 => Spent::Within,
                missing => Spent::Beyond(left.quota().replenish_interval() * missing),
            },
            Ok(Err(denied)) => Spent::Everything(denied.wait_time_from(self.clock.now())),
            // More than two bursts at once.
            Err(_) => Spent::Everything(Duration::ZERO),
        }
    }
}

struct Owners;

impl StateStore for Owners {
    type Key = Used;

    fn measure_and_replace<T, F, E>(&self, key: &Used, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let used = Some(key.0.get()).filter(|used| *used > 0);
        let (outcome, next) = measure(used.map(Nanos::from))?;
        key.0.set(next.into());
        Ok(outcome)
    }
}

/// Governor demands it of every key, for tables.
impl Hash for Used {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.get().hash(hasher);
    }
}

/// What governor remembers of each key: the time at which its limit will have recovered.
struct Generations<K, C: Clock> {
    clock: C,
    recovery: Nanos,
    capacity: usize,
    known: Mutex<Known<K, C::Instant>>,
}

struct Known<K, I> {
    current: HashMap<K, Nanos>,
    previous: HashMap<K, Nanos>,
    /// The current generation began then.
    since: I,
}

impl<K, C: Clock> Generations<K, C> {
    fn new(recovery: Duration, capacity: usize, clock: C) -> Self {
        let since = clock.now();
        let known = Mutex::new(Known { current: HashMap::new(), previous: HashMap::new(), since });
        Self { clock, recovery: recovery.into(), capacity, known }
    }
}

impl<K: Hash + Eq + Clone, C: Clock> StateStore for Generations<K, C> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let now = self.clock.now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(known.since) >= self.recovery {
            known.turn(now);
        }
        if let Some(state) = known.current.get_mut(key) {
            let (outcome, next) = measure(Some(*state))?;
            *state = next;
            return Ok(outcome);
        }
        let (outcome, next) = measure(known.previous.get(key).copied())?;
        if known.current.len() >= self.capacity {
            known.turn(now);
        }
        known.current.insert(key.clone(), next);
        Ok(outcome)
    }
}

impl<K, I> Known<K, I> {
    fn turn(&mut self, now: I) {
        self.previous = std::mem::take(&mut self.current);
        self.since = now;
    }
}

#[cfg(test)]
mod tests;
