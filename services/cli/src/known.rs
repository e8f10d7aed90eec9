//! Checks names given at the command line: the command refuses one that does not exist, and lists existing ones.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use tidings_model::Tenant;
use tidings_runtime::config::Config;
use tidings_streams::consumers::ConsumerStore;
use tidings_streams::recorded_tenants;

use crate::catalogs;
use crate::failure::Failure;
use crate::stores;
use crate::suggestion::{did_you_mean, missing};

/// The number of consumers that are searched for a similar name.
const SEARCHED: usize = 10_000;

/// Finds the tenant of this name. Tenants exist whose catalog a projector has run with, so that no local catalogs are
/// needed, and those that the configuration serves.
pub(crate) async fn tenant(
    config: &Config,
    client: &tidings_streams::Client,
    name: &str,
) -> Result<Tenant, Failure> {
    let served = served(config);
    match recorded_tenants(&stores::stream_settings(config).context(client)).await {
        Ok(recorded) => find(name, recorded.union(&served)),
        // Gateways can report connections while JetStream is away.
        Err(_) if served.contains(name) => Ok(Tenant::parse(name)?),
        Err(error) => Err(error.into()),
    }
}

/// Finds the tenant of this name among those that the configuration serves; accepts any where there are no catalogs.
pub(crate) fn served_tenant(config: &Config, name: &str) -> Result<Tenant, Failure> {
    let served = served(config);
    if served.is_empty() { Ok(Tenant::parse(name)?) } else { find(name, &served) }
}

/// The tenants that the configuration serves; none, if it cannot be read.
fn served(config: &Config) -> BTreeSet<Tenant> {
    catalogs::tenants(&config.schemas).unwrap_or_default().into_iter().collect()
}

fn find<'t>(name: &str, tenants: impl IntoIterator<Item = &'t Tenant>) -> Result<Tenant, Failure> {
    let tenants: Vec<_> = tenants.into_iter().collect();
    let found = tenants.iter().find(|tenant| tenant.as_str() == name);
    found.map(|tenant| (*tenant).clone()).ok_or_else(|| {
        if tenants.is_empty() {
            format!(
                "there is no tenant {name:?}: no projector has run at this NATS yet, and `schemas.directory` has no catalogs"
            )
            .into()
        } else {
            missing(&format!("there is no tenant {name:?}"), name, tenants.into_iter().map(Tenant::as_str)).into()
        }
    })
}

/// Works as [`did_you_mean`] does, among the users of a tenant that have consumers.
pub(crate) async fn similar_user(store: &dyn ConsumerStore, tenant: &Tenant, user: &str) -> String {
    let mut users = BTreeSet::new();
    let mut consumers = store.list(tenant, None).take(SEARCHED);
    while let Some(Ok((name, _))) = consumers.next().await {
        users.insert(name.user().to_owned());
    }
    did_you_mean(user, users.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_exist_is_refused_with_what_there_is() {
        let tenants = ["cnc", "ops", "shelter"].map(|name| Tenant::parse(name).unwrap());
        assert_eq!(find("ops", &tenants).unwrap(), tenants[1]);
        for (name, expected) in [
            ("opz", "there is no tenant \"opz\"; did you mean \"ops\"?; there are cnc, ops, shelter"),
            ("garden", "there is no tenant \"garden\"; there are cnc, ops, shelter"),
            ("OPS\n", "there is no tenant \"OPS\\n\"; there are cnc, ops, shelter"),
        ] {
            assert_eq!(find(name, &tenants).unwrap_err().to_string(), expected);
        }
        let nothing = find("ops", &[]).unwrap_err().to_string();
        assert!(nothing.contains("no projector has run"), "{nothing}");
    }
}
