//! Reports of the figures: as tables and plots for people, and as data for programs.

mod figures;
mod plot;
mod section;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

pub(crate) use self::figures::{each, median, megabytes, milliseconds, number, quantile, rate, spread};
pub(crate) use self::section::{Plot, Section, Subject};
use crate::failure::Failure;

/// Where the figures are written besides standard output.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Write the figures to this file as JSON
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw them into this file, a plot for each table
    #[arg(long, global = true, value_name = "FILE")]
    svg: Option<PathBuf>,
}

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
