//! What lies between a client and the gateway, below HTTP: TCP, with as little room as a test wants, whatever
//! a balancer puts in front, and TLS.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

/// A way to a gateway; without anything else, bare TCP.
#[derive(Clone, Debug, Default)]
pub struct Transport {
    receive_buffer: Option<u32>,
    preface: Vec<u8>,
    tls: Option<Arc<ClientConfig>>,
}

/// Bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin> Stream for T {}

impl Transport {
    /// TLS with whoever shows this certificate, PEM, for `localhost`.
    #[must_use]
    pub fn tls(certificate: &str) -> Self {
        Self::default().with_tls(certificate, &[&TLS12, &TLS13])
    }

    /// As [`Self::tls`], in version 1.2.
    #[must_use]
    pub fn tls12(certificate: &str) -> Self {
        Self::default().with_tls(certificate, &[&TLS12])
    }

    fn with_tls(self, certificate: &str, versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: Some(Arc::new(config)), ..self }
    }

    /// With a protocol that is asked for in the TLS handshake (ALPN), such as `h2`.
    #[must_use]
    pub fn protocol(mut self, name: &str) -> Self {
        let tls = Arc::make_mut(self.tls.as_mut().expect("only TLS asks for protocols"));
        tls.alpn_protocols.push(name.as_bytes().to_vec());
        self
    }

    /// With a socket that holds little of what has come.
    #[must_use]
    pub fn receive_buffer(self, bytes: u32) -> Self {
        Self { receive_buffer: Some(bytes), ..self }
    }

    /// With these bytes before everything else, as a balancer sends.
    #[must_use]
    pub fn preface(self, bytes: &[u8]) -> Self {
        Self { preface: bytes.to_vec(), ..self }
    }

    /// Goes to the gateway.
    pub async fn open(&self, gateway: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let mut stream = socket.connect(gateway).await?;
        stream.write_all(&self.preface).await?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from("localhost").expect("it is a name");
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
        Ok(Box::new(stream))
    }
}
