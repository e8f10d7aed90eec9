//! Checks the listener's settings: the certificate with its key, the proxies and the limits of messages.

use super::{Conflict, GatewayConfig, half_a_pair, keys, unreadable};

pub(super) fn conflicts(gateway: &GatewayConfig) -> Vec<Conflict> {
    let half = half_a_pair("gateway", gateway.tls_certificate.as_deref(), gateway.tls_key.as_deref());
    let files =
        [("gateway.tls_certificate", &gateway.tls_certificate), ("gateway.tls_key", &gateway.tls_key)];
    let files = files.into_iter().filter_map(|(key, path)| unreadable(key, path.as_deref()?));
    half.into_iter().chain(files).chain(senders(gateway)).chain(longest_message(gateway)).collect()
}

/// Otherwise a client that stays within the message limit would exceed the byte limit.
fn longest_message(gateway: &GatewayConfig) -> Option<Conflict> {
    let most = gateway.max_frame_bytes;
    let is_short = |(own_burst, own_most): (Option<usize>, Option<usize>)| {
        own_burst.unwrap_or(gateway.byte_burst) < own_most.unwrap_or(most)
    };
    let own = gateway.tenants.values().map(|tenant| (tenant.byte_burst, tenant.max_frame_bytes));
    std::iter::once((None, None)).chain(own).any(is_short).then(|| Conflict {
        keys: keys(["gateway.byte_burst", "gateway.max_frame_bytes", "gateway.tenants"]),
        value: Some(gateway.byte_burst.to_string()),
        expected: "at least gateway.max_frame_bytes, for all tenants and for each".to_owned(),
    })
}

/// Otherwise no client could connect.
fn senders(gateway: &GatewayConfig) -> Option<Conflict> {
    (gateway.proxy_protocol && gateway.trusted_proxies.is_empty()).then(|| Conflict {
        keys: keys(["gateway.trusted_proxies", "gateway.proxy_protocol"]),
        value: None,
        expected: "the proxies that may send PROXY headers, since gateway.proxy_protocol is true".to_owned(),
    })
}
