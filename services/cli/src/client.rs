//! What `tidings listen` and `tidings send` have in common: a client of a gateway, for people at a terminal.

mod screen;

use std::time::Duration;

use tidings_access::Trust;
use tidings_client::{ClientError, Reconnect, Settings};
use tidings_runtime::config::GatewayConfig;

pub(crate) use self::screen::{Form, Screen};
use crate::arguments::ConnectOptions;
use crate::failure::Failure;

/// Advice about an invalid token.
const FRESH_TOKEN: &str = "; get a fresh token, as `tidings token` prints one, for --token or TIDINGS_TOKEN";

/// The settings of a client, and its gateway's URL.
pub(crate) fn settings(
    gateway: &GatewayConfig,
    options: &ConnectOptions,
) -> Result<(Settings, String), Failure> {
    if options.token.is_empty() {
        return Err("the token is empty; `tidings token` prints one for --token or TIDINGS_TOKEN".into());
    }
    let url = options.url.clone().unwrap_or_else(|| default_url(gateway));
    let settings = Settings::new(&url, options.token.as_str()).reconnect(pauses());
    if url.starts_with("wss://") {
        let trust = options.ca.as_deref().map_or(Trust::System, Trust::File);
        return Ok((settings.tls(trust.client_config()?.into()), url));
    }
    if options.ca.is_some() {
        return Err(format!("--ca is for URLs that begin with wss://, and {url} does not").into());
    }
    Ok((settings, url))
}

/// Somebody waits in front of a terminal; and listeners spread.
fn pauses() -> Reconnect {
    Reconnect::after([1, 2, 4, 8, 16, 30].map(Duration::from_secs)).spread()
}

/// Says what to do where the command line has an option for it.
pub(crate) fn advise(error: ClientError) -> Failure {
    match &error {
        ClientError::Unauthorized { .. } => format!("{error}{FRESH_TOKEN}").into(),
        ClientError::Connect { is_untrusted: true, .. } => {
            format!("{error}; --ca names a file of certificates to trust").into()
        }
        _ => error.into(),
    }
}

/// The URL of the configured gateway on this machine. Certificates are for names rather than addresses, so over TLS
/// the host is `localhost`, unless the gateway listens on a specific external address.
pub(crate) fn default_url(gateway: &GatewayConfig) -> String {
    let address = gateway.listen;
    if gateway.tls_certificate.is_none() {
        format!("ws://{address}/api/ws")
    } else if address.ip().is_loopback() || address.ip().is_unspecified() {
        format!("wss://localhost:{}/api/ws", address.port())
    } else {
        format!("wss://{address}/api/ws")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_where_the_configuration_says() {
        for (listen, tls, url) in [
            ("127.0.0.1:8080", false, "ws://127.0.0.1:8080/api/ws"),
            ("127.0.0.1:8080", true, "wss://localhost:8080/api/ws"),
            ("[::]:8443", true, "wss://localhost:8443/api/ws"),
            ("[2001:db8::7]:8443", true, "wss://[2001:db8::7]:8443/api/ws"),
        ] {
            let tls_certificate = tls.then(|| "tls.crt".into());
            let listen = listen.parse().unwrap();
            let gateway = GatewayConfig { listen, tls_certificate, ..GatewayConfig::default() };
            assert_eq!(default_url(&gateway), url);
        }
    }
}
