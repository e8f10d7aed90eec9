//! `tidings types`: prints types for clients or producers, made from a tenant's catalog.

use std::path::Path;
use std::process::ExitCode;

use tidings_runtime::config::SecretRule;

use crate::arguments::{Language, Role, TypesOptions};
use crate::failure::Failure;
use crate::output::print_text;
use crate::{catalogs, known, serve};

/// Prints the types.
pub(crate) fn run(file: Option<&Path>, options: &TypesOptions) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let tenant = known::served_tenant(&config, &options.tenant)?;
    let texts = catalogs::read_texts(&config.schemas)?;
    let files = texts.get(&tenant).cloned().unwrap_or_default();
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
