//! A distribution of times: buckets whose bounds grow by the same factor (a native histogram), and the few fixed ones
//! that every version of Prometheus knows (classic).
//!
//! Both are kept, so that neither is derived from the other and loses precision. The buckets are all there from the
//! start: to observe is three additions, and many observations of the same value are one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// 2 to the power of this many buckets double the bound: each is 9 % wider than the one before.
pub(crate) const SCHEMA: i32 = 3;
const PER_DOUBLING: i32 = 1 << SCHEMA;
/// What is at most this long is in the bucket of zero: 2^-14 seconds, 61 µs.
const SMALLEST_EXPONENT: i32 = -14;
pub(crate) const ZERO_THRESHOLD: f64 = 1.0 / 16_384.0;
/// What is longer than 2^20 seconds, 12 days, is in the last bucket.
const LARGEST_EXPONENT: i32 = 20;
/// The index of the first bucket: its bound is 2^(index / 8) seconds.
pub(crate) const FIRST_INDEX: i32 = SMALLEST_EXPONENT * PER_DOUBLING + 1;
const BUCKETS: usize = ((LARGEST_EXPONENT - SMALLEST_EXPONENT) * PER_DOUBLING) as usize;

/// The bounds of the classic buckets, in seconds.
const CLASSIC: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// A distribution of times. Any thread may observe.
#[derive(Debug)]
pub struct Histogram {
    nanoseconds: AtomicU64,
    zero: AtomicU64,
    native: Box<[AtomicU64]>,
    /// The last one is of what is above all bounds.
    classic: [AtomicU64; CLASSIC.len() + 1],
}

impl Default for Histogram {
    fn default() -> Self {
        let native = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self {
            nanoseconds: AtomicU64::default(),
            zero: AtomicU64::default(),
            native,
            classic: Default::default(),
        }
    }
}

impl Histogram {
    /// Notes that so many took this long.
    pub fn observe(&self, time: Duration, count: u64) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_mul(count);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        let seconds = time.as_secs_f64();
        let classic = CLASSIC.iter().position(|bound| seconds <= *bound).unwrap_or(CLASSIC.len());
        self.classic[classic].fetch_add(count, Ordering::Relaxed);
        let native = native_bucket(seconds).and_then(|bucket| self.native.get(bucket));
        native.unwrap_or(&self.zero).fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Distribution {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a sum of seconds need not be exact")]
        let sum = load(&self.nanoseconds) as f64 / 1e9;
        let native = self.native.iter().map(load).collect();
        Distribution { sum, zero: load(&self.zero), native, classic: self.classic.iter().map(load).collect() }
    }
}

/// The bucket of a time; `None` if that is too short for any.
fn native_bucket(seconds: f64) -> Option<usize> {
    if seconds <= ZERO_THRESHOLD {
        return None;
    }
    let index = (seconds.log2() * f64::from(PER_DOUBLING)).ceil();
    #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a duration is small")]
    let bucket = usize::try_from(index as i32 - FIRST_INDEX).unwrap_or(0);
    Some(bucket.min(BUCKETS - 1))
}

/// What a histogram held when it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Distribution {
    /// In seconds.
    pub(crate) sum: f64,
    pub(crate) zero: u64,
    /// From [`FIRST_INDEX`] on.
    native: Vec<u64>,
    /// One for each of [`CLASSIC`], and one for what is above.
    classic: Vec<u64>,
}

impl Distribution {
    /// How many there were. Of the classic buckets, so that they add up to it even if something was observed meanwhile.
    pub(crate) fn count(&self) -> u64 {
        self.classic.iter().sum()
    }

    /// The classic buckets: the bound of each, and how many are in it and in none before.
    pub(crate) fn classic(&self) -> impl Iterator<Item = (f64, u64)> {
        CLASSIC.into_iter().chain([f64::INFINITY]).zip(self.classic.iter().copied())
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.zero += other.zero;
        self.native.iter_mut().zip(&other.native).for_each(|(own, more)| *own += more);
        self.classic.iter_mut().zip(&other.classic).for_each(|(own, more)| *own += more);
    }

    /// The part of the native buckets that is not empty: the index of the first, and the counts.
    pub(crate) fn filled(&self) -> (i32, &[u64]) {
        let is_filled = |count: &u64| *count > 0;
        let first = self.native.iter().position(is_filled).unwrap_or(0);
        let end = self.native.iter().rposition(is_filled).map_or(first, |last| last + 1);
        let index = FIRST_INDEX + i32::try_from(first).unwrap_or_default();
        (index, self.native.get(first..end).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bound(bucket: usize) -> f64 {
        f64::from(FIRST_INDEX + i32::try_from(bucket).unwrap()).mul_add(1.0 / 8.0, 0.0).exp2()
    }

    #[test]
    fn the_ends_are_in_the_first_and_in_the_last_bucket() {
        assert_eq!(native_bucket(0.0), None);
        assert_eq!(native_bucket(ZERO_THRESHOLD), None);
        assert_eq!(native_bucket(ZERO_THRESHOLD * 1.01), Some(0));
        assert_eq!(native_bucket(1.0), Some(14 * 8 - 1));
        assert_eq!(native_bucket(2_f64.powi(20)), Some(BUCKETS - 1));
        assert_eq!(native_bucket(1e12), Some(BUCKETS - 1));
    }

    #[test]
    fn many_are_observed_at_once() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(40), 1_000);
        histogram.observe(Duration::from_micros(3), 1);
        histogram.observe(Duration::from_secs(1_000), 1);
        let read = histogram.read();
        assert_eq!((read.count(), read.zero), (1_002, 1));
        assert!((read.sum - 1_040.000_003).abs() < 1e-6, "{}", read.sum);
        let mut classic = vec![0; CLASSIC.len() + 1];
        (classic[0], classic[5], classic[16]) = (1, 1_000, 1);
        assert_eq!(read.classic, classic);
        let (_, filled) = read.filled();
        assert_eq!((filled.first(), filled.last()), (Some(&1_000), Some(&1)));
        let mut both = read.clone();
        both.merge(&read);
        assert_eq!(both.count(), 2_004);
    }

    #[test]
    fn an_empty_one_has_no_filled_buckets() {
        assert_eq!(Histogram::default().read().filled().1, [0_u64; 0]);
    }

    proptest! {
        /// A time lies at or below the bound of its bucket, and above that of the one before.
        #[test]
        fn each_time_is_in_its_bucket(nanoseconds in 62_000..1_000_000_000_000_000_u64) {
            let seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
            let bucket = native_bucket(seconds).unwrap();
            prop_assert!(seconds <= bound(bucket) * 1.000_001, "{seconds} {bucket}");
            prop_assert!(bucket == 0 || seconds >= bound(bucket - 1) * 0.999_999, "{seconds} {bucket}");
        }
    }
}
