//! Reads and checks the tenants' catalogs before anything starts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidings_catalog::{Catalog, CatalogError, Catalogs, Files, is_catalog_file};
use tidings_model::{Tenant, TenantError};
use tidings_runtime::config::SchemasConfig;

use crate::suggestion::missing;

/// The file contents of the tenants' folders.
pub(crate) type Texts = BTreeMap<Tenant, Files>;

/// Catalogs and the files from which they were parsed.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) catalogs: Arc<Catalogs>,
    pub(crate) texts: Texts,
}

impl Read {
    /// The tenants' names, for display.
    pub(crate) fn tenants(&self) -> String {
        self.texts.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Reads the configured tenants' catalogs; all existing ones, if none are configured.
pub(crate) fn read(config: &SchemasConfig) -> Result<Read, CatalogsError> {
    parse(read_texts(config)?)
}

/// Reads the files of the configured tenants without parsing them.
pub(crate) fn read_texts(config: &SchemasConfig) -> Result<Texts, CatalogsError> {
    let tenants = tenants(config)?;
    if tenants.is_empty() {
        return Err(CatalogsError::None(config.directory.clone()));
    }
    let files = |tenant: Tenant| Ok((tenant.clone(), read_files(&config.directory.join(tenant.as_str()))?));
    tenants.into_iter().map(files).collect()
}

/// The configured tenants, whether or not their catalogs are valid; all existing ones, if none are configured.
pub(crate) fn tenants(config: &SchemasConfig) -> Result<Vec<Tenant>, CatalogsError> {
    let Some(named) = &config.tenants else { return find(&config.directory) };
    let known = |name: &String| match Tenant::parse(name) {
        Ok(tenant) if config.directory.join(name).join("catalog.toml").is_file() => Ok(tenant),
        _ => {
            let there_are = find(&config.directory)?;
            let what =
                format!("no folder in {} has a catalog of tenant {name:?}", config.directory.display());
            Err(CatalogsError::Unknown(missing(&what, name, there_are.iter().map(Tenant::as_str))))
        }
    };
    named.iter().map(known).collect()
}

/// Parses all catalogs, or returns every error in them.
pub(crate) fn parse(texts: Texts) -> Result<Read, CatalogsError> {
    let (mut catalogs, mut wrong) = (Catalogs::new(), Vec::new());
    for (tenant, files) in &texts {
        match Catalog::parse(tenant, files) {
            Ok(catalog) => drop(catalogs.insert(tenant.clone(), catalog)),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.is_empty() {
        Ok(Read { catalogs: Arc::new(catalogs), texts })
    } else {
        Err(CatalogsError::Wrong(wrong))
    }
}

/// A tenant's examples by file name; none, if the folder does not exist.
pub(crate) fn examples(config: &SchemasConfig, tenant: &Tenant) -> Result<Files, CatalogsError> {
    let folder = config.directory.join(tenant.as_str()).join("examples");
    if folder.is_dir() { read_files(&folder) } else { Ok(Files::new()) }
}

fn tenant(name: &str) -> Result<Tenant, CatalogsError> {
    Tenant::parse(name).map_err(CatalogsError::Tenant)
}

/// Finds the folders that hold a catalog, in the order of their names. Hidden folders are ignored.
fn find(directory: &Path) -> Result<Vec<Tenant>, CatalogsError> {
    let unreadable = |source| CatalogsError::Unreadable { path: directory.to_owned(), source };
    let mut tenants = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        if entry.path().join("catalog.toml").is_file() && !name.as_encoded_bytes().starts_with(b".") {
            tenants.push(tenant(&name.to_string_lossy())?);
        }
    }
    tenants.sort();
    Ok(tenants)
}

/// Reads a catalog and its schemas.
fn read_files(folder: &Path) -> Result<Files, CatalogsError> {
    let unreadable = |path: &Path, source| CatalogsError::Unreadable { path: path.to_owned(), source };
    // Kubernetes mounts files as links within their folder.
    let within = folder.canonicalize().map_err(|source| unreadable(folder, source))?;
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder).map_err(|source| unreadable(folder, source))? {
        let path = entry.map_err(|source| unreadable(folder, source))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_catalog_file(name));
        if let (Some(name), true) = (name, path.is_file()) {
            let target = path.canonicalize().map_err(|source| unreadable(&path, source))?;
            if !target.starts_with(&within) {
                return Err(CatalogsError::Outside(path));
            }
            let text = std::fs::read_to_string(&path).map_err(|source| unreadable(&path, source))?;
            files.insert(name.to_owned(), text);
        }
    }
    Ok(files)
}

/// Why the catalogs cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogsError {
    #[error("cannot read {path}; `schemas.directory` says where the catalogs are", path = path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} leads out of its tenant's folder, which must hold all that belongs to the catalog", path = .0.display())]
    Outside(PathBuf),
    #[error("no folder in {path} has a catalog.toml; `schemas.directory` says where the catalogs are", path = .0.display())]
    None(PathBuf),
    #[error("schemas.tenants: {0}")]
    Unknown(String),
    #[error("the name of a folder under `schemas.directory` is not a valid tenant name")]
    Tenant(#[source] TenantError),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<CatalogError>),
}
