//! The fields of a log line, on one line whatever is in them.
//!
//! Names, addresses and errors hold text that strangers chose. A line break in it would forge a line, an escape sequence
//! would command the terminal, and a mark of direction would turn the rest around. All of them are spelled out here,
//! in one place, so that no caller has to think of it.

use std::error::Error;
use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::visible::visible;

/// Writes the message and `name=value` for each other field.
#[derive(Debug)]
pub(super) struct OneLine;

impl<'w> FormatFields<'w> for OneLine {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { writer, is_empty: true, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    is_empty: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn field(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let separator = if std::mem::take(&mut self.is_empty) { "" } else { " " };
        let mut escaping = Escaping(&mut self.writer);
        let written = match name {
            "message" => write!(escaping, "{separator}{value}"),
            name => write!(escaping, "{separator}{}={value}", name.trim_start_matches("r#")),
        };
        self.result = self.result.and(written);
    }
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // The fields of `tracing-log` repeat what the head of the line says.
        if !field.name().starts_with("log.") {
            self.field(field.name(), format_args!("{value:?}"));
        }
    }

    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        self.field(field.name(), format_args!("{error}"));
        let causes: Vec<_> = std::iter::successors(error.source(), |cause| Error::source(*cause))
            .map(ToString::to_string)
            .collect();
        if !causes.is_empty() {
            self.field(&format!("{}.sources", field.name()), format_args!("[{}]", causes.join(", ")));
        }
    }

    fn record_str(&mut self, field: &Field, text: &str) {
        match field.name() {
            name @ "message" => self.field(name, format_args!("{text}")),
            name => self.field(name, format_args!("{text:?}")),
        }
    }
}

/// Spells out what would not be seen as the character that it is.
struct Escaping<'w, 'l>(&'l mut Writer<'w>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&visible(text))
    }
}
