//! The certificates that verify servers where Tidings is the client: key servers and gateways.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::{ClientConfig, RootCertStore};

/// Which root certificates verify servers.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'p> {
    /// The system's root certificates, or those in the PEM file that the variable `SSL_CERT_FILE` names.
    System,
    /// Only the certificates in this PEM file.
    File(&'p Path),
    /// No certificates: TLS is not used.
    Nobody,
}

impl Trust<'_> {
    /// Returns the client's TLS settings with these roots: TLS 1.2 and 1.3, without a client certificate.
    pub fn client_config(self) -> Result<ClientConfig, TrustError> {
        let roots = match self {
            Self::System => system_roots()?,
            Self::File(path) => roots_in(path)?,
            Self::Nobody => RootCertStore::empty(),
        };
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(config)
    }
}

/// Returns the system's root certificates. Unreadable certificates are skipped.
fn system_roots() -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TrustError::NoRoots) } else { Ok(roots) }
}

fn roots_in(path: &Path) -> Result<RootCertStore, TrustError> {
    let content =
        std::fs::read(path).map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&content) {
        let certificate = certificate.map_err(|source| TrustError::Pem { path: path.to_owned(), source })?;
        roots.add(certificate).map_err(|source| TrustError::Certificate { path: path.to_owned(), source })?;
    }
    if roots.is_empty() { Err(TrustError::NoCertificate { path: path.to_owned() }) } else { Ok(roots) }
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The system has no root certificates.
    #[error(
        "the system has no root certificates to check servers with; install its package of them \
         (ca-certificates), or name a file of them in SSL_CERT_FILE"
    )]
    NoRoots,
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The file is not valid PEM.
    #[error("{} is not PEM (RFC 7468)", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: PemError,
    },
    /// The file contains no certificate.
    #[error("{} has no certificate; expected one or more in PEM", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in the file cannot be used.
    #[error("a certificate in {} cannot be used", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// The TLS library reports an error.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}
