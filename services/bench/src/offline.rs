//! `tidings-bench offline`: the cost of absent users, and how fast they get what they missed.

mod absent;
mod reading;
mod returning;
mod start;

use crate::arguments::{OfflineOptions, Part};
use crate::failure::Failure;
use crate::report::Report;

/// Runs the selected parts.
pub(crate) async fn run(options: &OfflineOptions, report: &mut Report) -> Result<(), Failure> {
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    if wanted(Part::Returning) || wanted(Part::Reading) {
        let away = returning::Away::prepare(options).await?;
        if wanted(Part::Returning) {
            report.add(returning::measure(options, &away).await?);
        }
        if wanted(Part::Reading) {
            report.add(reading::measure(options, &away).await?);
        }
    }
    if wanted(Part::Absent) {
        report.add(absent::measure(options).await?);
    }
    if wanted(Part::Start) {
        report.add(start::measure(options).await?);
    }
    Ok(())
}
