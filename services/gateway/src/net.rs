//! From a listening socket to HTTP: accepting, the PROXY header, TLS.

pub(crate) mod http_stream;
pub(crate) mod listener;
pub(crate) mod proxy_protocol;
pub(crate) mod serve;
pub(crate) mod tls;
pub(crate) mod transport;
