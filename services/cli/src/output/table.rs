//! Tables for display, with columns as wide as their content.

use comfy_table::{ContentArrangement, presets};

use super::{print, visible_name};
use crate::failure::Failure;

/// The number of rows that are buffered to determine column widths; a longer table is printed in several parts.
const PAGE: usize = 1_000;

/// A table that is printed while its rows arrive. Cells may hold untrusted text.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    headings: [&'static str; COLUMNS],
    page: Vec<[String; COLUMNS]>,
    is_empty: bool,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn new(headings: [&'static str; COLUMNS]) -> Self {
        Self { headings, page: Vec::new(), is_empty: true }
    }

    pub(crate) fn row(&mut self, cells: [String; COLUMNS]) -> Result<(), Failure> {
        self.page.push(cells);
        if self.page.len() == PAGE { self.flush() } else { Ok(()) }
    }

    /// Prints the remaining rows, or this text if the table has none.
    pub(crate) fn finish(mut self, nothing: &str) -> Result<(), Failure> {
        if self.is_empty && self.page.is_empty() { print(nothing) } else { self.flush() }
    }

    /// Prints the buffered rows, so that other output follows them.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.page.is_empty() {
            return Ok(());
        }
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if std::mem::take(&mut self.is_empty) {
            table.set_header(self.headings);
        }
        for row in self.page.drain(..) {
            table.add_row(row.iter().map(|cell| visible_name(cell)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.lines().try_for_each(|line| print(line.trim_end()))
    }
}
