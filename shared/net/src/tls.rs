//! TLS at the listening socket, and a certificate that is renewed without a restart.
//!
//! The files are looked at every few seconds and compared by content, so that it does not matter how they are
//! replaced (Kubernetes turns a symbolic link). A new connection gets the newest usable pair; a broken
//! one is ignored, logged once, and the one before stays. Open connections are not touched. Sessions
//! are resumed by tickets, which the clients keep: no memory grows with their number.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{Error as TlsError, InconsistentKeys, ServerConfig};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The certificate of a service and its private key.
pub struct Identity {
    files: Files,
    /// What the files held when they were last looked at; `None` if they could not be read.
    seen: Option<Contents>,
    current: watch::Sender<Arc<CertifiedKey>>,
    acceptor: TlsAcceptor,
}

impl Identity {
    /// Reads the certificate's chain and its private key, both PEM.
    pub async fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, CertificateError> {
        let files = Files { certificate, key };
        let contents = files.read().await?;
        let current = watch::Sender::new(Arc::new(files.pair(&contents)?));
        let acceptor = acceptor(current.subscribe()).map_err(CertificateError::Setup)?;
        Ok(Self { files, seen: Some(contents), current, acceptor })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Looks at the files until cancelled, and uses a renewed pair for the connections that come next.
    pub async fn keep_current(mut self, cancelled: CancellationToken) {
        let certificate = self.files.certificate.display().to_string();
        while cancelled.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            match self.look().await {
                Ok(true) => tracing::info!(certificate, "a renewed certificate is used"),
                Ok(false) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "a renewed certificate cannot be used; the one before stays");
                }
            }
        }
    }

    /// Takes a new pair; `false` if there is none. An error is returned once.
    async fn look(&mut self) -> Result<bool, CertificateError> {
        let contents = match self.files.read().await {
            Ok(contents) => contents,
            Err(_) if self.seen.is_none() => return Ok(false),
            Err(error) => {
                self.seen = None;
                return Err(error);
            }
        };
        if self.seen.as_ref() == Some(&contents) {
            return Ok(false);
        }
        let pair = self.files.pair(&contents);
        self.seen = Some(contents);
        self.current.send_replace(Arc::new(pair?));
        Ok(true)
    }
}

/// Takes connections of TLS 1.2 and 1.3, for HTTP/1.1 alone: WebSockets begin with nothing else.
fn acceptor(current: watch::Receiver<Arc<CertifiedKey>>) -> Result<TlsAcceptor, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Newest(current)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Ticketer::new()?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Chooses the pair that is the newest when a client connects.
struct Newest(watch::Receiver<Arc<CertifiedKey>>);

impl ResolvesServerCert for Newest {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.borrow()))
    }
}

/// It holds a private key.
impl fmt::Debug for Newest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Newest")
    }
}

/// The files of a certificate's chain and of its private key, both PEM.
#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    async fn read(&self) -> Result<Contents, CertificateError> {
        Ok(Contents { certificate: read(&self.certificate).await?, key: read(&self.key).await? })
    }

    /// The pair, if it is one.
    fn pair(&self, contents: &Contents) -> Result<CertifiedKey, CertificateError> {
        let (certificate, key) = (self.certificate.clone(), self.key.clone());
        let chain = CertificateDer::pem_slice_iter(&contents.certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|source| CertificateError::Pem { path: certificate.clone(), source })?;
        if chain.is_empty() {
            return Err(CertificateError::NoCertificate { path: certificate });
        }
        let private = match PrivateKeyDer::from_pem_slice(&contents.key) {
            Ok(private) => private,
            Err(PemError::NoItemsFound) => return Err(CertificateError::NoKey { path: key }),
            Err(source) => return Err(CertificateError::Pem { path: key, source }),
        };
        let private = match default_provider().key_provider.load_private_key(private) {
            Ok(private) => private,
            Err(source) => return Err(CertificateError::Key { path: key, source }),
        };
        let pair = CertifiedKey::new(chain, private);
        match pair.keys_match() {
            Ok(()) | Err(TlsError::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
            Err(TlsError::InconsistentKeys(_)) => Err(CertificateError::Mismatch { certificate, key }),
            Err(source) => Err(CertificateError::Certificate { path: certificate, source }),
        }
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let read = tokio::fs::read(path).await;
    read.map_err(|source| CertificateError::Unreadable { path: path.to_owned(), source })
}

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// One of the files cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// One of the files is damaged.
    #[error("{} is not PEM (RFC 7468)", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: PemError,
    },
    /// There is no certificate in the certificate's file.
    #[error(
        "{} has no certificate; expected the service's own in PEM, and then those that vouch for it",
        path.display()
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// There is no key in the key's file.
    #[error(
        "{} has no private key; expected one in PEM that is not encrypted (PKCS #8, PKCS #1 or SEC 1)",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The certificate is of no use.
    #[error("the certificate in {} cannot be used", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: TlsError,
    },
    /// The key is of no use.
    #[error("the private key in {} cannot be used; expected RSA, ECDSA or Ed25519", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: TlsError,
    },
    /// The key belongs to another certificate.
    #[error(
        "the private key in {} is not that of the certificate in {}",
        key.display(),
        certificate.display()
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The library cannot do what is asked of it.
    #[error("TLS cannot be set up")]
    Setup(#[source] TlsError),
}

#[cfg(test)]
mod tests;
