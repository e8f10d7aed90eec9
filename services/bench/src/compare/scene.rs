//! How a scene is played: in rounds, by all systems in turns, each figure with its median and spread.

use super::options::Options;
use super::system::Kind;
use crate::failure::Failure;
use crate::report::{Section, Subject, median, progress, spread};

const COLUMNS: &[&str] = &["Centrifugo", "± % of it", "Tidings", "± %", "Tidings ÷ Centrifugo"];

/// What a round has measured: names with units, and values; of all of them less is better. `None`: this system has no
/// such process.
pub(super) type Figures = Vec<(&'static str, Option<f64>)>;

/// A scene, on one system.
pub(super) trait Scene: Sized {
    /// Each round starts new processes, so that no round is needed to warm them up.
    const IS_FRESH: bool = false;

    /// What happens in it.
    fn title(options: &Options) -> String;

    /// How to read its figures.
    fn notes() -> &'static [&'static str];

    /// Gets everything ready that lasts for all rounds.
    async fn prepare(kind: &Kind, options: &Options) -> Result<Self, Failure>;

    /// Plays it once.
    async fn round(&mut self, options: &Options) -> Result<Figures, Failure>;
}

/// Plays a scene on each system.
pub(super) async fn measure<S: Scene>(kinds: &[Kind], options: &Options) -> Result<Section, Failure> {
    let title = S::title(options);
    progress(&title);
    let mut contestants = Vec::new();
    for kind in kinds {
        contestants.push((kind, S::prepare(kind, options).await?, Vec::new()));
    }
    // Round 0 runs with cold memory and is not counted.
    for round in u64::from(S::IS_FRESH)..=options.rounds {
        progress(&format!("round {round} of {}", options.rounds));
        for (_, scene, rounds) in &mut contestants {
            let figures = scene.round(options).await?;
            if round > 0 {
                rounds.push(figures);
            }
        }
    }
    let rounds_of = |is_wanted: fn(&Kind) -> bool| {
        contestants.iter().find(|(kind, ..)| is_wanted(kind)).map(|(.., rounds)| rounds.as_slice())
    };
    let ours = rounds_of(|kind| matches!(kind, Kind::Tidings)).unwrap_or_default();
    let theirs = rounds_of(|kind| matches!(kind, Kind::Centrifugo(_))).unwrap_or_default();
    let mut section = Section::new(title, COLUMNS);
    for (index, (name, _)) in ours.first().into_iter().flatten().enumerate() {
        let (theirs, ours) = (of_rounds(theirs, index), of_rounds(ours, index));
        let ratio = theirs.zip(ours).map(|([theirs, _], [ours, _])| ours / theirs);
        let ratio = ratio.filter(|ratio| ratio.is_finite());
        let both = [theirs, ours].map(|pair| pair.map_or([None; 2], |pair| pair.map(Some)));
        section.row_of(Subject::Tidings, *name, both.into_iter().flatten().chain([ratio]));
    }
    for note in S::notes() {
        section.note(*note);
    }
    Ok(section)
}

/// The median and the spread of a figure over all rounds.
fn of_rounds(rounds: &[Figures], index: usize) -> Option<[f64; 2]> {
    let values: Option<Vec<f64>> =
        rounds.iter().map(|figures| figures.get(index).and_then(|(_, value)| *value)).collect();
    let values = values.filter(|values| !values.is_empty())?;
    let middle = median(values.clone());
    let apart = if middle == 0.0 { 0.0 } else { spread(&values) };
    Some([middle, apart])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_over_rounds() {
        let rounds = [vec![("a", Some(1.0)), ("b", None)], vec![("a", Some(3.0)), ("b", None)]];
        assert_eq!(of_rounds(&rounds, 0).map(|[middle, _]| middle), Some(3.0));
        assert_eq!((of_rounds(&rounds, 1), of_rounds(&[], 0)), (None, None));
        // Nothing lost in any round is no spread.
        assert_eq!(of_rounds(&[vec![("lost", Some(0.0))]], 0), Some([0.0, 0.0]));
    }
}
