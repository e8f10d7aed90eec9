//! How long a run takes and which faults it has.

use std::str::FromStr;
use std::time::Duration;

/// The length of a run for which nothing is said.
const SHORT: Duration = Duration::from_secs(40);

/// `--minutes 60 --faults 1000 --seed 7 --moves 1 --roll-back-all`, in any order; it ends at the first that is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) faults: usize,
    pub(crate) time: Duration,
    /// The share of faults that fall into a move, besides those that fall into a move or a rebuild by chance.
    pub(crate) moves: f64,
    /// Whether NATS comes back with less than it had, too.
    pub(crate) rolls_back_all: bool,
}

impl Options {
    /// As `TIDINGS_FAULTS` says.
    pub(crate) fn read() -> Self {
        let text = std::env::var("TIDINGS_FAULTS").unwrap_or_default();
        Self::parse(&text).unwrap_or_else(|mistake| panic!("TIDINGS_FAULTS is {text:?}: {mistake}"))
    }

    /// How long producers publish while nothing fails.
    pub(crate) fn quiet(self) -> Duration {
        if self.faults > 0 {
            return Duration::ZERO;
        }
        if self.time == Duration::MAX { SHORT } else { self.time }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (mut seed, mut faults, mut time) = (1, None, None);
        let (mut moves, mut rolls_back_all) = (0.0, false);
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            match word {
                "--seed" => seed = number(words.next())?,
                "--faults" => faults = Some(number(words.next())?),
                "--minutes" => time = Some(Duration::from_secs_f64(60.0 * number::<f64>(words.next())?)),
                "--moves" => moves = number(words.next())?,
                "--roll-back-all" => rolls_back_all = true,
                _ => {
                    return Err(format!(
                        "{word:?} is not known; --minutes, --faults, --seed, --moves and --roll-back-all are"
                    ));
                }
            }
        }
        let time = time.unwrap_or(if faults.is_some() { Duration::MAX } else { SHORT });
        Ok(Self { seed, faults: faults.unwrap_or(usize::MAX), time, moves, rolls_back_all })
    }
}

fn number<T: FromStr>(word: Option<&str>) -> Result<T, String> {
    word.and_then(|word| word.parse().ok()).ok_or_else(|| format!("expected a number, found {word:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_by_number_or_by_time() {
        for (text, faults, seconds) in [
            ("", usize::MAX, 40),
            ("--minutes 0.5 --seed 7", usize::MAX, 30),
            ("--faults 3", 3, u64::MAX),
            ("--faults 3 --minutes 1", 3, 60),
        ] {
            let options = Options::parse(text).unwrap();
            assert_eq!((options.faults, options.time.as_secs()), (faults, seconds), "{text}");
        }
        assert_eq!(
            Options::parse("--seed 7 --roll-back-all").map(|options| (options.seed, options.rolls_back_all)),
            Ok((7, true))
        );
        assert_eq!(Options::parse("--moves 0.5").map(|options| options.moves), Ok(0.5));
        for text in ["--seed", "--faults many", "--hours 3"] {
            assert!(Options::parse(text).is_err(), "{text}");
        }
    }
}
