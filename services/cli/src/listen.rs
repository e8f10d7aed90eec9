//! `tidings listen`: a client that prints one message per line; what it has printed is acknowledged. It reconnects if the close
//! code allows it, and continues after the last printed message.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tidings_access::Trust;
use tidings_client::{Client, ClientError, Happening, Reconnect, Settings};
use tidings_runtime::config::{GatewayConfig, SecretRule};

use crate::arguments::ListenOptions;
use crate::failure::Failure;
use crate::output::{print_json_text, remark};
use crate::serve;

/// Somebody waits in front of a terminal; and listeners spread.
fn pauses() -> Reconnect {
    Reconnect::after([1, 2, 4, 8, 16, 30].map(Duration::from_secs)).spread()
}

/// Advice about an invalid token.
const FRESH_TOKEN: &str = "; get a fresh token, as `tidings token` prints one, for --token or TIDINGS_TOKEN";

/// Prints until the gateway closes the connection for good, or the requested number of messages is reached.
pub(crate) async fn run(file: Option<&Path>, options: &ListenOptions) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    if options.token.is_empty() {
        return Err("the token is empty; `tidings token` prints one for --token or TIDINGS_TOKEN".into());
    }
    let url = options.url.clone().unwrap_or_else(|| default_url(&config.gateway));
    let mut client = Client::new(settings(&url, options)?).map_err(advise)?;
    let mut listener = Listener {
        left: options.count.unwrap_or(u64::MAX),
        everything: options.sequenced,
        url,
        connections: 0,
    };
    while listener.left > 0 {
        listener.take(client.next().await.map_err(advise)?)?;
    }
    client.close().await.map_err(advise)?;
    Ok(ExitCode::SUCCESS)
}

fn settings(url: &str, options: &ListenOptions) -> Result<Settings, Failure> {
    let filters = filters(options)?;
    let mut settings = Settings::new(url, options.token.as_str()).reconnect(pauses());
    for topic in &options.topic {
        settings = settings.filtered(topic, filters.clone());
    }
    if let Some(device) = &options.device {
        settings = settings.device(device);
    }
    if url.starts_with("wss://") {
        let trust = options.ca.as_deref().map_or(Trust::System, Trust::File);
        settings = settings.tls(trust.client_config()?.into());
    } else if options.ca.is_some() {
        return Err(format!("--ca is for URLs that begin with wss://, and {url} does not").into());
    }
    Ok(settings)
}

/// Says what to do where the command line has an option for it.
fn advise(error: ClientError) -> Failure {
    match &error {
        ClientError::Unauthorized { .. } => format!("{error}{FRESH_TOKEN}").into(),
        ClientError::Connect { is_untrusted: true, .. } => {
            format!("{error}; --ca names a file of certificates to trust").into()
        }
        _ => error.into(),
    }
}

struct Listener {
    /// The number of messages that are still wanted.
    left: u64,
    /// Whether sequences, ids and control messages are printed, too.
    everything: bool,
    url: String,
    /// The number of connections that were opened.
    connections: u64,
}

impl Listener {
    /// Prints what happens, as far as the options ask for it.
    fn take(&mut self, happening: Happening) -> Result<(), Failure> {
        match happening {
            Happening::Message(message) => {
                print_json_text(if self.everything { &message.text } else { &message.body })?;
                self.left -= 1;
            }
            Happening::Other(text) => {
                print_json_text(&text)?;
                self.left -= 1;
            }
            Happening::Gap(text) | Happening::Control(text) if self.everything => print_json_text(&text)?,
            Happening::Gap(text) => remark([&*format!("some messages cannot be delivered: {text}")]),
            Happening::Open => {
                self.connections += 1;
                let again = if self.connections > 1 { " again" } else { "" };
                // Not on standard output, which holds messages only.
                remark([&*format!("listening at {}{again}; Ctrl-C ends", self.url)]);
            }
            // A gateway that has never been reachable is not waited for.
            Happening::Waiting { what, is_unreachable: true, .. } if self.connections == 0 => {
                return Err(format!("{what}; is a gateway running there?").into());
            }
            Happening::Waiting { what, .. } => remark([&*format!("{what}; connecting again")]),
            _ => {}
        }
        Ok(())
    }
}

fn filters(options: &ListenOptions) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut filters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for filter in &options.filter {
        let wrong =
            || format!("--filter {filter:?} is not of the form name=value, such as environment=production");
        let (name, value) = filter.split_once('=').ok_or_else(wrong)?;
        filters.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    if options.topic.is_empty() && !filters.is_empty() {
        return Err("--filter narrows topics; name them with --topic".into());
    }
    Ok(filters)
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
