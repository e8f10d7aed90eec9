//! `tidings types`: prints types for clients, made from a tenant's catalog.

use std::path::Path;
use std::process::ExitCode;

use tidings_runtime::config::SecretRule;

use crate::arguments::{Language, TypesOptions};
use crate::failure::Failure;
use crate::output::print_text;
use crate::{catalogs, known, serve};

/// Prints the types.
pub(crate) fn run(file: Option<&Path>, options: &TypesOptions) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let tenant = known::served_tenant(&config, &options.tenant)?;
    let texts = catalogs::read_texts(&config.schemas)?;
    let files = texts.get(&tenant).cloned().unwrap_or_default();
    let text = match options.lang {
        Language::Ts => tidings_client_types::typescript(&tenant, &files)?,
    };
    print_text(&text)?;
    Ok(ExitCode::SUCCESS)
}
