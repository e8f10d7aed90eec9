//! One part of a benchmark: a table of figures, notes, and which of its columns are drawn.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Map, Value, json};

use super::figures::readable;

/// Which columns are drawn, and how.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(super) columns: &'static [&'static str],
    pub(super) is_logarithmic: bool,
    /// A line across all bars, and its label.
    pub(super) target: Option<(f64, &'static str)>,
}

impl Plot {
    /// Bars for these columns, which share one unit; at most two.
    pub(crate) fn of(columns: &'static [&'static str]) -> Self {
        Self { columns, is_logarithmic: false, target: None }
    }

    /// Makes the axis logarithmic, for values that differ by orders of magnitude.
    pub(crate) fn logarithmic(self) -> Self {
        Self { is_logarithmic: true, ..self }
    }

    pub(crate) fn target(self, value: f64, meaning: &'static str) -> Self {
        Self { target: Some((value, meaning)), ..self }
    }
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
            let values = row.values.iter().map(|value| value.map_or_else(|| "–".to_owned(), readable));
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

    pub(super) fn to_json(&self) -> Value {
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
