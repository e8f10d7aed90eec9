//! `tidings listen`: a client that prints one message per line; what it has printed is acknowledged. It reconnects if the close
//! code allows it, and continues after the last printed message.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use tidings_client::{Client, Settings};
use tidings_runtime::config::{GatewayConfig, SecretRule};

use crate::arguments::ListenOptions;
use crate::client::{self, Form, Screen, advise};
use crate::failure::Failure;
use crate::serve;

/// Prints until the gateway closes the connection for good, or the requested number of messages is reached.
pub(crate) async fn run(file: Option<&Path>, options: &ListenOptions) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let (settings, url) = settings(&config.gateway, options)?;
    let mut client = Client::new(settings).map_err(advise)?;
    let form = match options {
        ListenOptions { json: true, .. } => Form::Json,
        ListenOptions { sequenced: true, .. } => Form::Sequenced,
        _ => Form::Bodies,
    };
    let mut screen = Screen::new(url, form, Some("listening at"));
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0 {
        left -= u64::from(screen.show(client.next().await.map_err(advise)?)?);
    }
    client.close().await.map_err(advise)?;
    Ok(ExitCode::SUCCESS)
}

fn settings(gateway: &GatewayConfig, options: &ListenOptions) -> Result<(Settings, String), Failure> {
    let filters = filters(options)?;
    let (mut settings, url) = client::settings(gateway, &options.connect)?;
    for topic in &options.topic {
        settings = settings.filtered(topic, filters.clone());
    }
    if let Some(device) = &options.device {
        settings = settings.device(device);
    }
    if let Some(since) = &options.since {
        settings = settings.since(since);
    }
    Ok((settings, url))
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
