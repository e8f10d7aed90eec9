//! `tidings-bench offline`: what it costs that users are away, and how fast they get what they
//! missed.

mod absent;
mod reading;
mod returning;
mod start;

use std::time::Instant;

use crate::Failure;
use crate::arguments::{OfflineOptions, Part};
use crate::report::{Circumstances, Section, write_json};

/// Measures, prints, and writes what was asked for.
pub(crate) async fn run(options: &OfflineOptions) -> Result<(), Failure> {
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let began = Instant::now();
    let mut sections: Vec<Section> = Vec::new();
    let mut show = |section: Section| {
        section.print();
        sections.push(section);
    };
    if wanted(Part::Returning) || wanted(Part::Reading) {
        let away = returning::Away::prepare(options).await?;
        if wanted(Part::Returning) {
            show(returning::measure(options, &away).await?);
        }
        if wanted(Part::Reading) {
            show(reading::measure(options, &away).await?);
        }
    }
    if wanted(Part::Absent) {
        show(absent::measure(options).await?);
    }
    if wanted(Part::Start) {
        show(start::measure(options).await?);
    }
    if let Some(path) = &options.json {
        write_json(path, &circumstances()?, &sections)?;
    }
    progress(&format!("all in {:.0?}", began.elapsed()));
    Ok(())
}

pub(crate) fn circumstances() -> Result<Circumstances, Failure> {
    let places = tidings_embedded::Places::of_this_process();
    let server = tidings_embedded::Binary::find(&places)?;
    Ok(Circumstances {
        cores: std::thread::available_parallelism()?.get(),
        nats_server: server.version.to_string(),
        arguments: std::env::args().skip(1).collect(),
    })
}

/// Says what is being done, beside the figures.
pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}
