//! From a listening socket to HTTP requests: accepting, the PROXY header, TLS.

mod listener;
pub(crate) mod proxy_protocol;
mod serve;
mod tls;
mod transport;

pub use self::listener::Listening;
pub(crate) use self::serve::serve;
pub use self::tls::{CertificateError, Identity};
