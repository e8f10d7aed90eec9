//! `tidings types` and `tidings describe`: print types for clients or producers, and the description of all messages, made from
//! a tenant's catalog.

use std::path::Path;
use std::process::ExitCode;

use tidings_catalog::Files;
use tidings_model::Tenant;
use tidings_runtime::config::SecretRule;

use crate::arguments::{DescribeOptions, Language, Role, TypesOptions};
use crate::failure::Failure;
use crate::output::{print_pretty_json, print_text};
use crate::{catalogs, known, serve};

/// Prints the description.
pub(crate) fn describe(file: Option<&Path>, options: &DescribeOptions) -> Result<ExitCode, Failure> {
    let (tenant, files) = catalog(file, &options.tenant)?;
    print_pretty_json(&tidings_types::asyncapi(&tenant, &files)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The files of a tenant's catalog.
fn catalog(file: Option<&Path>, tenant: &str) -> Result<(Tenant, Files), Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let tenant = known::served_tenant(&config, tenant)?;
    let texts = catalogs::read_texts(&config.schemas)?;
    let files = texts.get(&tenant).cloned().unwrap_or_default();
    Ok((tenant, files))
}

/// Prints the types.
pub(crate) fn run(file: Option<&Path>, options: &TypesOptions) -> Result<ExitCode, Failure> {
    let (tenant, files) = catalog(file, &options.tenant)?;
    let text = match (options.lang, options.role) {
        (Language::Ts, None | Some(Role::Client)) => tidings_types::typescript_client(&tenant, &files)?,
        (Language::Ts, Some(Role::Producer)) => tidings_types::typescript_producer(&tenant, &files)?,
        (Language::Python, None | Some(Role::Producer)) => tidings_types::python_producer(&tenant, &files)?,
        (Language::Rust, None | Some(Role::Producer)) => tidings_types::rust_producer(&tenant, &files)?,
        (Language::Python | Language::Rust, Some(Role::Client)) => {
            return Err("types for clients are made for `--lang ts` alone; leave out `--for client`".into());
        }
    };
    print_text(&text)?;
    Ok(ExitCode::SUCCESS)
}
