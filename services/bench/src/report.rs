//! Reports of the figures: as tables and plots for people, and as data for programs.

use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Map, Value, json};

use crate::Failure;
use crate::arguments::Output;
use crate::plot::{self, Plot};

/// All figures of one run. A section is printed as soon as it is complete; files are written at the end.
pub(crate) struct Report {
    began: Instant,
    output: Output,
    sections: Vec<Section>,
}

impl Report {
    pub(crate) fn new(output: Output) -> Self {
        Self { began: Instant::now(), output, sections: Vec::new() }
    }

    pub(crate) fn add(&mut self, section: Section) {
        section.print();
        self.sections.push(section);
    }

    /// Writes the requested files.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        if let Some(path) = &self.output.json {
            let sections: Vec<Value> = self.sections.iter().map(Section::to_json).collect();
            let document = json!({ "circumstances": circumstances()?, "sections": sections });
            std::fs::write(path, format!("{document:#}\n"))?;
        }
        if let Some(path) = &self.output.svg {
            std::fs::write(path, plot::draw(&self.sections)?)?;
        }
        progress(&format!("all in {:.0?}", self.began.elapsed()));
        Ok(())
    }
}

/// The environment of the measurement.
fn circumstances() -> Result<Value, Failure> {
    let places = tidings_embedded::Places::of_this_process();
    let server = tidings_embedded::Binary::find(&places)?;
    Ok(json!({
        "cores": std::thread::available_parallelism()?.get(),
        "nats_server": server.version.to_string(),
        "arguments": std::env::args().skip(1).collect::<Vec<_>>(),
    }))
}

/// Prints what is being done, beside the figures.
pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}

/// One part of a benchmark.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) title: String,
    /// The columns, with their units.
    pub(crate) columns: &'static [&'static str],
    pub(crate) rows: Vec<Row>,
    /// Notes that are needed to read the figures.
    pub(crate) notes: Vec<String>,
    /// The section's plot.
    pub(crate) plot: Option<Plot>,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) subject: Subject,
    /// One value for each column; `None` if there is none.
    pub(crate) values: Vec<Option<f64>>,
}

/// The subject of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Tidings.
    Tidings,
    /// The comparison.
    Comparison,
}

impl Section {
    pub(crate) fn new(title: impl Into<String>, columns: &'static [&'static str]) -> Self {
        Self { title: title.into(), columns, rows: Vec::new(), notes: Vec::new(), plot: None }
    }

    /// Adds a row of Tidings.
    pub(crate) fn row(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = Option<f64>>) {
        self.row_of(Subject::Tidings, name, values);
    }

    /// Adds a row of either.
    pub(crate) fn row_of(
        &mut self,
        subject: Subject,
        name: impl Into<String>,
        values: impl IntoIterator<Item = Option<f64>>,
    ) {
        self.rows.push(Row { name: name.into(), subject, values: values.into_iter().collect() });
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub(crate) fn print(&self) {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(std::iter::once("").chain(self.columns.iter().copied()));
        for row in &self.rows {
            let values = row.values.iter().map(|value| value.map_or_else(String::new, readable));
            table.add_row(std::iter::once(row.name.clone()).chain(values));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("\n{}\n\n{table}", self.title);
        for note in &self.notes {
            println!("- {note}");
        }
    }

    fn to_json(&self) -> Value {
        let row = |row: &Row| {
            let values = self.columns.iter().zip(&row.values);
            let mut object: Map<String, Value> =
                values.map(|(column, value)| ((*column).to_owned(), json!(value))).collect();
            object.insert("name".to_owned(), json!(row.name));
            Value::Object(object)
        };
        let rows: Vec<Value> = self.rows.iter().map(row).collect();
        json!({ "title": self.title, "rows": rows, "notes": self.notes })
    }
}

/// Formats three significant digits, more only before the point.
pub(crate) fn readable(value: f64) -> String {
    let decimals = match value.abs() {
        value if value >= 100.0 || value == 0.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    if decimals > 0 { text } else { grouped(&text) }
}

/// Adds commas between thousands.
fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digit.is_ascii_digit() && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

/// Events per second.
pub(crate) fn rate(count: u64, elapsed: Duration) -> f64 {
    number(count) / elapsed.as_secs_f64().max(f64::EPSILON)
}

/// Microseconds for each.
pub(crate) fn each(elapsed: Duration, count: u64) -> f64 {
    elapsed.as_secs_f64() * 1e6 / number(count.max(1))
}

pub(crate) fn megabytes(bytes: u64) -> f64 {
    number(bytes) / 1e6
}

/// The median; of an even number, the upper of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value below which this part of the ascending values lies.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index into what was measured"
)]
pub(crate) fn quantile(ascending: &[Duration], part: f64) -> Duration {
    let index = (ascending.len() as f64 * part) as usize;
    ascending.get(index.min(ascending.len().saturating_sub(1))).copied().unwrap_or_default()
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Half the distance between the lowest and the highest value, in percent of the median.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    50.0 * (highest - lowest) / median(values.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        for (value, expected) in [
            (0.0, "0"),
            (0.0123, "0.012"),
            (1.234, "1.23"),
            (56.78, "56.8"),
            (999.4, "999"),
            (1_000.0, "1,000"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(readable(value), expected);
        }
    }

    #[test]
    fn the_median_and_how_far_the_others_lie_from_it() {
        let values = vec![3.0, 1.0, 2.0];
        assert!((spread(&values) - 50.0).abs() < 1e-9);
        assert!((median(values) - 2.0).abs() < 1e-9);
    }
}
