//! `tidings check`: whether the catalogs may go out.

use std::path::Path;
use std::process::ExitCode;

use tidings_catalog::{Break, Catalog, ExampleReport, Files, breaks};
use tidings_model::Tenant;
use tidings_runtime::config::{Config, SecretRule};
use tidings_streams::{Topology, running_catalog};

use crate::arguments::CheckOptions;
use crate::failure::{self, Failure};
use crate::output::print;
use crate::{catalogs, serve};

/// Checks, and prints a line for each tenant and for each thing that is wrong.
pub(crate) async fn run(file: Option<&Path>, options: &CheckOptions) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let read = catalogs::read(&config.schemas)?;
    let topology = if options.offline { None } else { Some(running(&config).await?) };
    let (mut is_right, mut is_compatible) = (true, true);
    for (tenant, catalog) in &*read.catalogs {
        let examples = ExampleReport::new(catalog, &catalogs::examples(&config.schemas, tenant)?);
        for (name, error) in &examples.wrong {
            print(&format!("{tenant}: examples/{name}: {}", failure::line(error)))?;
        }
        is_right &= examples.wrong.is_empty();

        let running = match &topology {
            Some(topology) => running_catalog(topology, tenant).await?,
            None => None,
        };
        let comparison = compare(running.as_ref(), read.texts.get(tenant))?;
        for broken in comparison.iter().flatten() {
            print(&format!("{tenant}: {broken}"))?;
            is_compatible = false;
        }
        print(&summary(tenant, catalog, &examples, comparison.as_deref()))?;
    }
    if !is_compatible && !options.allow_breaking {
        print("what breaks somebody goes out with --allow-breaking only")?;
    }
    Ok(if is_right && (is_compatible || options.allow_breaking) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The streams, where what runs is written down.
async fn running(config: &Config) -> Result<Topology, Failure> {
    let connected = serve::topology(config, "tidings-check").await;
    connected.map_err(|error| {
        format!("cannot compare with what is running (--offline does without): {}", failure::line(&*error))
            .into()
    })
}

/// What the new files would break; `None` if nothing is running.
fn compare(running: Option<&Files>, new: Option<&Files>) -> Result<Option<Vec<Break>>, Failure> {
    Ok(running.zip(new).map(|(running, new)| breaks(running, new)).transpose()?)
}

fn summary(
    tenant: &Tenant,
    catalog: &Catalog,
    examples: &ExampleReport,
    comparison: Option<&[Break]>,
) -> String {
    let compared = match comparison {
        None => "not compared with a running one".to_owned(),
        Some([]) => "breaks nobody".to_owned(),
        Some(broken) => format!("{} that break somebody", counted(broken.len(), "change")),
    };
    let messages = counted(catalog.messages().len(), "message type");
    let missing: Vec<_> = examples.missing.iter().map(String::as_str).collect();
    let missing = match missing.as_slice() {
        [] => String::new(),
        events => format!("; without an example: {}", events.join(", ")),
    };
    format!("{tenant}: {messages}, {}, {compared}{missing}", counted(examples.count, "example"))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
