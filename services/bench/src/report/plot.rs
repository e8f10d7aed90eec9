//! Plots of the figures: one with horizontal bars for each section, below each other.
//!
//! Bars of Tidings are coloured, those of the comparison are grey, and a target is a line. Each bar is labelled with
//! its figure, so that no value has to be read from the axis.

use svg::Document;
use svg::node::element::{Group, Line, Rectangle, Text};

use super::figures::readable;
use super::section::{Plot, Row, Section, Subject};
use crate::failure::Failure;

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 32.0;
/// The gap between two plots.
const GAP: f64 = 44.0;
const HEAD: f64 = 62.0;
const FOOT: f64 = 26.0;
const BAR: f64 = 16.0;
/// The gap between the bars of two rows.
const SPACE: f64 = 12.0;
/// The approximate width of a character of the names.
const CHARACTER: f64 = 7.4;
/// The width of the figure at a bar's end.
const FIGURE: f64 = 62.0;

const PAPER: &str = "#ffffff";
const INK: &str = "#1f2933";
const FAINT: &str = "#7b8794";
const GRID: &str = "#e4e7eb";
const TARGET: &str = "#c2410c";

/// The colours of the first and second bar of a row.
fn colours(subject: Subject) -> [&'static str; 2] {
    match subject {
        Subject::Tidings => ["#0f766e", "#5eb8ae"],
        Subject::Comparison => ["#9aa5b1", "#cbd2d9"],
    }
}

/// All plots as one SVG document.
pub(super) fn draw(sections: &[Section]) -> Result<String, Failure> {
    let mut page = Group::new();
    let mut top = MARGIN;
    for section in sections {
        let Some(plot) = &section.plot else { continue };
        let panel = Panel::new(section, plot)?;
        page = page.add(panel.draw().set("transform", format!("translate({MARGIN}, {top})")));
        top += panel.height() + GAP;
    }
    let height = top - GAP + MARGIN;
    let paper = Rectangle::new().set("width", WIDTH).set("height", height).set("fill", PAPER);
    let document = Document::new()
        .set("viewBox", (0, 0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .set("font-family", "Inter, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', sans-serif")
        .set("font-size", 12.5)
        .add(paper)
        .add(page);
    Ok(format!("{document}\n"))
}

/// One plot and its layout.
struct Panel<'s> {
    section: &'s Section,
    plot: &'s Plot,
    /// The indices of the columns in the section.
    indices: Vec<usize>,
    rows: Vec<&'s Row>,
    axis: Axis,
    left: f64,
}

impl<'s> Panel<'s> {
    fn new(section: &'s Section, plot: &'s Plot) -> Result<Self, Failure> {
        let find = |column: &&str| section.columns.iter().position(|other| other == column);
        let indices: Option<Vec<usize>> = plot.columns.iter().map(find).collect();
        let indices = indices.ok_or_else(|| format!("{:?} lacks a column to draw", section.title))?;
        let value = |row: &Row, index: usize| row.values.get(index).copied().flatten();
        let rows: Vec<_> = section
            .rows
            .iter()
            .filter(|row| indices.iter().any(|index| value(row, *index).is_some()))
            .collect();
        let figures = rows.iter().flat_map(|row| indices.iter().filter_map(|index| value(row, *index)));
        let target = plot.target.map(|(value, _)| value);
        let figures: Vec<f64> = figures.chain(target).filter(|value| value.is_finite()).collect();
        let longest = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
        let left = f64::from(u32::try_from(longest)?) * CHARACTER + 14.0;
        let width = WIDTH - 2.0 * MARGIN - left - FIGURE;
        let axis = Axis::over(&figures, plot.is_logarithmic, width);
        Ok(Self { section, plot, indices, rows, axis, left })
    }

    fn row_height(&self) -> f64 {
        let bars = if self.indices.len() > 1 { 2.0 } else { 1.0 };
        bars * BAR + SPACE
    }

    fn bars_height(&self) -> f64 {
        self.rows.iter().map(|_| self.row_height()).sum()
    }

    fn height(&self) -> f64 {
        HEAD + self.bars_height() + FOOT
    }

    fn draw(&self) -> Group {
        let title = text(&self.section.title, 0.0, 14.0, INK).set("font-size", 17).set("font-weight", 600);
        let mut group = Group::new().add(title);
        group = self.add_legend(group);
        group = self.add_grid(group);
        group = self.add_target(group);
        for (row, top) in self.rows.iter().zip(tops(HEAD + SPACE / 2.0, self.row_height())) {
            group = self.add_row(group, row, top);
        }
        group
    }

    /// Adds the axis title and the legend of shades.
    fn add_legend(&self, group: Group) -> Group {
        let scale = if self.plot.is_logarithmic { ", logarithmic" } else { "" };
        if let [only] = self.plot.columns {
            return group.add(text(&format!("{only}{scale}"), 0.0, 35.0, FAINT));
        }
        let mut group = group;
        let mut left = 0.0;
        for (column, colour) in self.plot.columns.iter().zip(colours(Subject::Tidings)) {
            let label = format!("{column}{scale}");
            group =
                group.add(bar(left, 25.0, 12.0, 12.0, colour)).add(text(&label, left + 18.0, 35.0, FAINT));
            left += 18.0 + width_of(&label) + 22.0;
        }
        group
    }

    fn add_grid(&self, mut group: Group) -> Group {
        let bottom = HEAD + self.bars_height();
        for tick in &self.axis.ticks {
            let x = self.left + self.axis.place(*tick);
            let label = text(&readable(*tick), x, bottom + 18.0, FAINT).set("text-anchor", "middle");
            group = group.add(vertical(x, HEAD, bottom, GRID)).add(label.set("font-size", 11));
        }
        group
    }

    fn add_row(&self, group: Group, row: &Row, top: f64) -> Group {
        let middle = top + (self.row_height() - SPACE) / 2.0 + 4.5;
        let name = text(&row.name, self.left - 10.0, middle, INK).set("text-anchor", "end");
        let mut group = group.add(name);
        let tops = tops(top, BAR);
        for ((index, colour), top) in self.indices.iter().zip(colours(row.subject)).zip(tops) {
            let Some(value) = row.values.get(*index).copied().flatten() else { continue };
            let length = self.axis.place(value).max(1.5);
            let figure = text(&readable(value), self.left + length + 7.0, top + BAR - 3.5, INK)
                // No line runs through the text.
                .set("paint-order", "stroke")
                .set("stroke", PAPER)
                .set("stroke-width", 4);
            group = group.add(bar(self.left, top + 1.0, length, BAR - 2.0, colour)).add(figure);
        }
        group
    }

    fn add_target(&self, group: Group) -> Group {
        let Some((value, meaning)) = self.plot.target else { return group };
        let x = self.left + self.axis.place(value);
        let line = vertical(x, HEAD - 4.0, HEAD + self.bars_height(), TARGET)
            .set("stroke-width", 1.5)
            .set("stroke-dasharray", "5 3");
        let label = text(meaning, x, HEAD - 10.0, TARGET).set("text-anchor", "middle").set("font-size", 11.5);
        group.add(line).add(label)
    }
}

/// Maps values to coordinates.
struct Axis {
    is_logarithmic: bool,
    from: f64,
    to: f64,
    width: f64,
    ticks: Vec<f64>,
}

impl Axis {
    /// An axis from 0, or from the next lower power of ten, to the greatest of these values.
    fn over(values: &[f64], is_logarithmic: bool, width: f64) -> Self {
        let greatest = values.iter().copied().fold(0.0, f64::max);
        let greatest = if greatest > 0.0 { greatest } else { 1.0 };
        if is_logarithmic {
            let least = values.iter().copied().filter(|value| *value > 0.0).fold(greatest, f64::min);
            let first = 10_f64.powf((least / 2.0).log10().floor());
            let ticks = std::iter::successors(Some(first), |tick| Some(tick * 10.0));
            let ticks = ticks.take_while(|tick| *tick <= greatest).collect();
            return Self { is_logarithmic, from: first, to: greatest, width, ticks };
        }
        let step = step(greatest);
        let ticks = std::iter::successors(Some(0.0), |tick| Some(tick + step));
        let ticks = ticks.take_while(|tick| *tick <= greatest * 1.001).collect();
        Self { is_logarithmic, from: 0.0, to: greatest, width, ticks }
    }

    fn place(&self, value: f64) -> f64 {
        let part = if self.is_logarithmic {
            (value / self.from).log10() / (self.to / self.from).log10()
        } else {
            value / self.to
        };
        part.clamp(0.0, 1.0) * self.width
    }
}

/// The distance of ticks: 1, 2 or 5 times a power of ten, so that there are four to ten.
fn step(greatest: f64) -> f64 {
    let power = 10_f64.powf(greatest.log10().floor());
    match greatest / power {
        part if part < 2.0 => power / 5.0,
        part if part < 5.0 => power / 2.0,
        _ => power,
    }
}

fn tops(first: f64, height: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(first), move |top| Some(top + height))
}

fn text(content: &str, x: f64, y: f64, colour: &str) -> Text {
    Text::new(content).set("x", x).set("y", y).set("fill", colour)
}

fn width_of(content: &str) -> f64 {
    content.chars().map(|_| CHARACTER).sum()
}

fn bar(x: f64, y: f64, width: f64, height: f64, colour: &str) -> Rectangle {
    Rectangle::new()
        .set("x", x)
        .set("y", y)
        .set("width", width)
        .set("height", height)
        .set("rx", 2)
        .set("fill", colour)
}

fn vertical(x: f64, top: f64, bottom: f64, colour: &str) -> Line {
    Line::new().set("x1", x).set("x2", x).set("y1", top).set("y2", bottom).set("stroke", colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for (greatest, expected) in [
            (1.0, vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
            (2.6, vec![0.0, 0.5, 1.0, 1.5, 2.0, 2.5]),
            (7_000.0, (0..=7).map(|thousands| f64::from(thousands) * 1_000.0).collect()),
        ] {
            let ticks = Axis::over(&[greatest], false, 100.0).ticks;
            let near = |(tick, expected): (&f64, &f64)| (tick - expected).abs() < 1e-9 * greatest;
            assert!(ticks.len() == expected.len() && ticks.iter().zip(&expected).all(near), "{ticks:?}");
        }
    }

    #[test]
    fn a_logarithmic_axis_has_powers_of_ten_and_shows_the_least() {
        let axis = Axis::over(&[3.0, 4_000.0], true, 100.0);
        assert_eq!(axis.ticks, [1.0, 10.0, 100.0, 1_000.0]);
        assert!(axis.place(3.0) > 0.0);
        assert!((axis.place(4_000.0) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn a_section_is_drawn_if_it_says_what_of_it() {
        let mut section = Section::new("Kings & cabbages < 3", &["µs", "×"]);
        section.row("a king", [Some(2.0), Some(1.5)]);
        section.row("no king", [None, None]);
        assert!(!draw(std::slice::from_ref(&section)).unwrap().contains("Kings"));
        section.plot = Some(Plot::of(&["×"]).target(1.25, "the target"));
        let drawing = draw(std::slice::from_ref(&section)).unwrap();
        for text in ["Kings &amp; cabbages &lt; 3", "a king", "1.50", "the target"] {
            assert!(drawing.contains(text), "{text} in {drawing}");
        }
        assert!(!drawing.contains("no king"));
        section.plot = Some(Plot::of(&["ms"]));
        assert!(draw(&[section]).is_err());
    }
}
