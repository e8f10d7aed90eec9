//! Where clients come in: the certificate with its key, and the proxies before the gateway.

use super::{Conflict, GatewayConfig, keys, unreadable};

pub(super) fn conflicts(gateway: &GatewayConfig) -> Vec<Conflict> {
    let half = half_a_pair(gateway);
    let files =
        [("gateway.tls_certificate", &gateway.tls_certificate), ("gateway.tls_key", &gateway.tls_key)];
    let files = files.into_iter().filter_map(|(key, path)| unreadable(key, path.as_deref()?));
    half.into_iter().chain(files).chain(senders(gateway)).collect()
}

fn half_a_pair(gateway: &GatewayConfig) -> Option<Conflict> {
    let (missing, given, what) = match (&gateway.tls_certificate, &gateway.tls_key) {
        (Some(_), None) => ("gateway.tls_key", "gateway.tls_certificate", "private key"),
        (None, Some(_)) => ("gateway.tls_certificate", "gateway.tls_key", "certificate"),
        _ => return None,
    };
    Some(Conflict {
        keys: keys([missing, given]),
        value: None,
        expected: format!("the file of the {what}, since {given} is set"),
    })
}

/// Otherwise nobody could connect.
fn senders(gateway: &GatewayConfig) -> Option<Conflict> {
    (gateway.proxy_protocol && gateway.trusted_proxies.is_empty()).then(|| Conflict {
        keys: keys(["gateway.trusted_proxies", "gateway.proxy_protocol"]),
        value: None,
        expected: "those who may send PROXY headers, since gateway.proxy_protocol is true".to_owned(),
    })
}
