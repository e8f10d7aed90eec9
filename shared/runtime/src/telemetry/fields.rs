//! Formats the fields of a log line on one line.
//!
//! Names, addresses and errors contain untrusted text. A line break would forge a line, an escape sequence would
//! control the terminal, and a direction mark would reorder the rest. All of them are escaped here, so that no caller
//! needs to do it.

use std::error::Error;
use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::visible::visible;

/// Formats the message, and `name=value` for each other field.
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
        // The fields of `tracing-log` repeat the head of the line.
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

/// Escapes invisible characters.
struct Escaping<'w, 'l>(&'l mut Writer<'w>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&visible(text))
    }
}
