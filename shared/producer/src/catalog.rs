//! The tenant's catalog, which checks events before they are sent.

pub use tidings_catalog::{Catalog, CatalogError, Files};
use tidings_model::Tenant;

use crate::ConnectError;

/// Parses a tenant's catalog from the texts of its files, by their names.
pub fn parse(tenant: &str, files: &[(&str, &str)]) -> Result<Catalog, ConnectError> {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Ok(Catalog::parse(&Tenant::parse(tenant)?, &files)?)
}
