//! What can be seen without NATS: the configuration, files of this machine, and what issuers publish.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tidings_access::{HttpKeySource, KeySource as _, usable_keys};
use tidings_net::Identity;
use tidings_runtime::config::{Config, ConfigErrors, IssuerConfig};
use time::OffsetDateTime;
use x509_parser::pem::parse_x509_pem;

use super::finding::{self as kind, Finding, Report};
use super::judge;
use crate::failure::{Failure, line};
use crate::{catalogs, issuers};

/// How long the fetch of a key set may take.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Why the configuration cannot be used, a finding for each mistake.
pub(super) fn mistakes(failure: &Failure, report: &mut Report) {
    match failure.downcast_ref::<ConfigErrors>() {
        Some(errors) => {
            let texts = errors.as_slice().iter().map(ToString::to_string);
            report.add(texts.map(|text| Finding::new(&kind::CONFIGURATION, text)));
        }
        None => report.find(&kind::CONFIGURATION, line(&**failure)),
    }
}

/// Reads the catalogs, and reports every line of what is wrong with them.
pub(super) fn catalogs(config: &Config, report: &mut Report) {
    if let Err(error) = catalogs::read(&config.schemas) {
        let text = line(&error);
        report.add(text.lines().map(|line| Finding::new(&kind::CATALOG, line.trim())));
    }
}

/// The limit of open files.
pub(super) fn open_files(config: &Config, report: &mut Report) {
    let most = config.gateway.max_connections.map(std::num::NonZeroUsize::get);
    report.add(judge::open_files(getrlimit(Resource::Nofile).maximum, most));
}

/// The certificates that this machine's processes show to others.
pub(super) async fn certificates(config: &Config, report: &mut Report) {
    let pairs = [
        ("gateway.tls_certificate", &config.gateway.tls_certificate, &config.gateway.tls_key),
        ("nats.tls_certificate", &config.nats.tls_certificate, &config.nats.tls_key),
    ];
    for (key, certificate, private) in pairs {
        let (Some(certificate), Some(private)) = (certificate, private) else { continue };
        if let Err(error) = Identity::load(certificate.clone(), private.clone()).await {
            report.find(&kind::CERTIFICATE, format!("`{key}`: {}", line(&error)));
            continue;
        }
        match valid_until(certificate).await {
            Ok(until) => report.add(judge::certificate(key, until, OffsetDateTime::now_utc())),
            Err(error) => report.find(&kind::CERTIFICATE, format!("`{key}`: {}", line(&*error))),
        }
    }
}

/// Until when the first certificate of the file is valid.
async fn valid_until(path: &Path) -> Result<OffsetDateTime, Failure> {
    let content = tokio::fs::read(path).await?;
    let (_, pem) = parse_x509_pem(&content).map_err(|error| error.to_string())?;
    let certificate = pem.parse_x509().map_err(|error| error.to_string())?;
    Ok(OffsetDateTime::from_unix_timestamp(certificate.validity().not_after.timestamp())?)
}

/// The keys that issuers publish.
pub(super) async fn key_sets(config: &Config) -> Vec<Finding> {
    let published =
        config.access.issuers.iter().filter_map(|issuer| Some((issuer, issuer.jwks_url.as_deref()?)));
    let fetches =
        published.map(async |(issuer, url)| judge::key_set(&issuer.issuer, fetch(issuer, url).await));
    futures_util::future::join_all(fetches).await.into_iter().flatten().collect()
}

async fn fetch(issuer: &IssuerConfig, url: &str) -> Result<(usize, usize), String> {
    let fetched = async {
        let source = HttpKeySource::new(url.parse()?, PATIENCE)?;
        let (keys, unknown) = usable_keys(&source.fetch().await?)?;
        let fits = |key: &&_| issuer.algorithms.iter().any(|allowed| issuers::fits(key, *allowed));
        let usable = keys.iter().filter(fits).count();
        Ok::<_, Failure>((usable, keys.len() - usable + unknown))
    };
    fetched.await.map_err(|error| line(&*error))
}
