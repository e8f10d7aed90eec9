//! Generates typed helpers for producers from a tenant's catalog.
//!
//! A catalog defines which events there are and which data they need. The generated Rust types let the compiler refuse
//! most events that the projector would reject. In a producer's `build.rs`:
//!
//! ```no_run
//! # fn main() -> Result<(), tidings_producer_build::GenerateError> {
//! tidings_producer_build::generate("schemas/ops")
//! # }
//! ```
//!
//! In its code, write `tidings_producer::include_tenant!("ops");`. This includes a module `ops` with a struct for the
//! data of each event, a `Producer` with a method for each event, and the catalog itself, which checks what the types
//! cannot express before an event is sent. `tidings types --lang rust` prints the same text.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use tidings_catalog::{Files, is_catalog_file};
use tidings_model::{Tenant, TenantError};
use tidings_types::{RustError, rust_producer};

/// Writes `$OUT_DIR/<tenant>.rs` for the tenant of this folder. Cargo runs it again when a file in the folder changes.
pub fn generate(folder: impl AsRef<Path>) -> Result<(), GenerateError> {
    let folder = folder.as_ref();
    println_to_cargo(&format!("rerun-if-changed={}", folder.display()));
    let (tenant, files) = read(folder)?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(GenerateError::NotInBuildScript)?);
    let path = out.join(format!("{tenant}.rs"));
    fs::write(&path, rust_producer(&tenant, &files)?).map_err(|source| GenerateError::File { path, source })
}

/// Returns the tenant of this folder and the files of its catalog.
pub fn read(folder: &Path) -> Result<(Tenant, Files), GenerateError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| GenerateError::File { path, source }
    };
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let tenant = Tenant::parse(&name)?;
    let within = folder.canonicalize().map_err(unreadable(folder))?;
    let mut files = Files::new();
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && is_catalog_file(&name) {
            if !path.canonicalize().map_err(unreadable(&path))?.starts_with(&within) {
                return Err(GenerateError::Outside(path));
            }
            files.insert(name, fs::read_to_string(&path).map_err(unreadable(&path))?);
        }
    }
    Ok((tenant, files))
}

/// Prints an instruction for cargo on the build script's standard output.
#[expect(clippy::print_stdout, reason = "it is how a build script talks to cargo")]
fn println_to_cargo(instruction: &str) {
    println!("cargo::{instruction}");
}

/// Why nothing is generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A file cannot be read or written.
    #[error("cannot use {path}, to generate a producer's helpers", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A link leads out of the folder.
    #[error("{path} leads out of its tenant's folder, which must hold all that belongs to the catalog", path = .0.display())]
    Outside(PathBuf),
    /// The folder's name is not a tenant's name.
    #[error("the folder of a catalog is named as its tenant")]
    Tenant(#[from] TenantError),
    /// The catalog has mistakes.
    #[error(transparent)]
    Rust(#[from] RustError),
    /// Cargo did not set the output directory.
    #[error("OUT_DIR is not set; call this in a build script")]
    NotInBuildScript,
}
