//! `tidings check`: checks whether the catalogs can be deployed, and whether the sources fit them.

mod sources;

use std::path::Path;
use std::process::ExitCode;

use tidings_catalog::{Break, Catalog, ExampleReport, Files, additions, breaks};
use tidings_model::Tenant;
use tidings_runtime::config::{Config, SchemasConfig, SecretRule};
use tidings_streams::{Topology, accept_catalogs, accepted_catalog};

use crate::arguments::CheckOptions;
use crate::catalogs::{Read, Texts};
use crate::failure::{self, Failure};
use crate::output::{counted, print};
use crate::sources::configured;
use crate::suggestion::missing;
use crate::{catalogs, serve};

/// Checks, and prints a line for each tenant and for each problem.
pub(crate) async fn run(file: Option<&Path>, options: &CheckOptions) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let read = catalogs::read(&config.schemas)?;
    let baseline = Baseline::open(&config, options).await?;
    let (mut is_right, mut is_compatible) = (true, true);
    for wrong in misnamed(&config)? {
        print(&wrong)?;
        is_right = false;
    }
    for (tenant, catalog) in &*read.catalogs {
        let examples = ExampleReport::new(catalog, &catalogs::examples(&config.schemas, tenant)?);
        for (name, error) in &examples.wrong {
            print(&format!("{tenant}: examples/{name}: {}", failure::line(error)))?;
        }
        is_right &= examples.wrong.is_empty();

        for problem in catalog.without_effect() {
            print(&format!("{tenant}: {problem}"))?;
            is_right = false;
        }

        let older = baseline.of(tenant).await?;
        let (older, new) = (older.as_ref(), read.texts.get(tenant));
        for added in baseline.additions(older, new)? {
            print(&format!("{tenant}: adds: {added}"))?;
        }
        let comparison = compare(older, new)?;
        for broken in comparison.iter().flatten() {
            print(&format!("{tenant}: {broken}"))?;
            is_compatible = false;
        }
        print(&summary(tenant, catalog, &examples, comparison.as_deref()))?;
    }
    is_right &= check_sources(&config, &read, &baseline).await?;
    for tenant in baseline.missing_in(&read) {
        print(&format!("{tenant}: breaks clients: the tenant is gone"))?;
        is_compatible = false;
    }
    let is_accepted = is_right && (is_compatible || options.allow_breaking);
    if !is_compatible && !options.allow_breaking {
        print("breaking changes fail this check; --allow-breaking lets them pass")?;
    }
    if let (true, true, Baseline::Accepted(topology)) = (is_accepted, options.accept, &baseline) {
        accept_catalogs(topology, &read.texts, false).await?;
        print("accepted: from now on, catalogs are compared with these")?;
    }
    Ok(if is_accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what is found of the configured sources; returns whether they can work.
async fn check_sources(config: &Config, read: &Read, baseline: &Baseline) -> Result<bool, Failure> {
    let mut is_right = true;
    for source in configured(config)? {
        let mut found = sources::unknown_names(&source, &read.catalogs);
        if let Baseline::Accepted(topology) = baseline {
            let max_event_bytes = config.projector.max_event_bytes;
            found.extend(sources::newest(&source, topology, &read.catalogs, max_event_bytes).await);
        }
        for finding in found {
            print(&finding.text)?;
            is_right &= !finding.is_wrong;
        }
    }
    Ok(is_right)
}

/// Finds configured tenants without a catalog, whose settings therefore have no effect.
fn misnamed(config: &Config) -> Result<Vec<String>, Failure> {
    let all = SchemasConfig { tenants: None, ..config.schemas.clone() };
    let there_are = catalogs::tenants(&all)?;
    let limits = config.gateway.tenants.keys().map(|name| ("gateway.tenants", name));
    let shards = config.streams.shards.keys().map(|name| ("streams.shards", name));
    let issuers = config
        .access
        .issuers
        .iter()
        .flat_map(|issuer| issuer.tenant.iter().chain(issuer.tenants.iter().flatten()));
    let sources = config.projector.sources.iter().map(|source| ("projector.sources", &source.tenant));
    let named = limits.chain(shards).chain(sources).chain(issuers.map(|name| ("access.issuers", name)));
    let wrong = named.filter(|(_, name)| !there_are.iter().any(|tenant| tenant.as_str() == *name));
    let text = |(key, name): (&str, &String)| {
        let what = format!("{key}: no tenant {name:?} has a catalog");
        missing(&what, name, there_are.iter().map(Tenant::as_str))
    };
    Ok(wrong.map(text).collect())
}

/// The catalogs with which the new ones are compared.
enum Baseline {
    /// No comparison.
    None,
    /// The catalogs in a folder.
    Folder(Texts),
    /// The catalogs that were accepted last, as recorded in JetStream.
    Accepted(Box<Topology>),
}

impl Baseline {
    async fn open(config: &Config, options: &CheckOptions) -> Result<Self, Failure> {
        if let Some(folder) = &options.against {
            let schemas = SchemasConfig { directory: folder.clone(), tenants: None };
            let read = catalogs::read_texts(&schemas);
            return read
                .map(Self::Folder)
                .map_err(|error| format!("--against: {}", failure::line(&error)).into());
        }
        if options.offline {
            return Ok(Self::None);
        }
        let connected = serve::topology(config, "tidings-check").await;
        connected.map(|topology| Self::Accepted(Box::new(topology))).map_err(|error| {
            let why = failure::line(&*error);
            format!("cannot compare with the running catalogs (--offline compares with nothing): {why}")
                .into()
        })
    }

    async fn of(&self, tenant: &Tenant) -> Result<Option<Files>, Failure> {
        match self {
            Self::None => Ok(None),
            Self::Folder(texts) => Ok(texts.get(tenant).cloned()),
            Self::Accepted(topology) => Ok(accepted_catalog(topology, tenant).await?),
        }
    }

    /// What the new files add to those of the folder. Beside recorded catalogs, which change as they are deployed, only what
    /// breaks matters.
    fn additions(&self, older: Option<&Files>, new: Option<&Files>) -> Result<Vec<String>, Failure> {
        let Self::Folder(_) = self else { return Ok(Vec::new()) };
        match (older, new) {
            (Some(older), Some(new)) => Ok(additions(older, new)?),
            (None, Some(_)) => Ok(vec!["the tenant is new".to_owned()]),
            (_, None) => Ok(Vec::new()),
        }
    }

    /// The tenants that the folder has and these catalogs do not have. Recorded tenants are not compared: they may
    /// belong to another projector.
    fn missing_in(&self, read: &Read) -> Vec<&Tenant> {
        match self {
            Self::Folder(texts) => texts.keys().filter(|tenant| !read.texts.contains_key(*tenant)).collect(),
            Self::None | Self::Accepted(_) => Vec::new(),
        }
    }
}

/// Finds the breaking changes of the new files; `None` if there are no older ones.
fn compare(older: Option<&Files>, new: Option<&Files>) -> Result<Option<Vec<Break>>, Failure> {
    Ok(older.zip(new).map(|(older, new)| breaks(older, new)).transpose()?)
}

fn summary(
    tenant: &Tenant,
    catalog: &Catalog,
    examples: &ExampleReport,
    comparison: Option<&[Break]>,
) -> String {
    let compared = match comparison {
        None => "not compared".to_owned(),
        Some([]) => "backward compatible".to_owned(),
        Some(broken) => counted(broken.len() as u64, "breaking change"),
    };
    let messages = counted(catalog.messages().len() as u64, "message type");
    let missing: Vec<_> = examples.missing.iter().map(String::as_str).collect();
    let missing = match missing.as_slice() {
        [] => String::new(),
        events => format!("; without an example: {}", events.join(", ")),
    };
    format!("{tenant}: {messages}, {}, {compared}{missing}", counted(examples.count as u64, "example"))
}
