//! Ways to users who are not connected: webhooks, e-mail, Amazon SNS, web push.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;
use crate::config::format::{duration, networks};

const ATTEMPT: Duration = Duration::from_secs(15);

/// Webhooks: signed HTTP requests to programs of tenants and users.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// Time that one attempt may take, from the resolution of the name to the answer.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub timeout: Duration,
    /// Private, loopback, link-local and other special networks that webhooks may reach; without them, webhooks reach public
    /// addresses only. Addresses behind NAT64 need its prefix, `64:ff9b::/96`, and are checked by the IPv4 address in them.
    #[serde(deserialize_with = "networks")]
    #[schemars(with = "Vec<String>", extend(
        "items" = { "type": "string", "format": "network" },
        "default" = [],
    ))]
    pub allowed_networks: Vec<IpNet>,
    /// Whether webhooks may have `http` URLs, too. Use it only in a network that attackers cannot reach.
    pub allow_http: bool,
    /// File with certificates in PEM that verify receivers, instead of the system's root certificates.
    #[schemars(length(min = 1))]
    pub tls_ca: Option<PathBuf>,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self { timeout: ATTEMPT, allowed_networks: Vec::new(), allow_http: false, tls_ca: None }
    }
}

/// How a connection to an SMTP server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// By the command STARTTLS, without which nothing is sent.
    StartTls,
    /// From the first byte on, usually on port 465.
    Implicit,
    /// Not at all; for a server on the same machine.
    Off,
}

/// E-mail by SMTP.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmailConfig {
    /// Host of the SMTP server; without it, no e-mail is sent.
    #[schemars(length(min = 1))]
    pub server: Option<String>,
    /// Port of the SMTP server.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// How the connection is encrypted: `starttls`, `implicit`, usually on port 465, or `off`.
    pub tls: SmtpTls,
    /// File with certificates in PEM that verify the server, instead of the system's root certificates.
    #[schemars(length(min = 1))]
    pub tls_ca: Option<PathBuf>,
    /// User of the SMTP server; without it, there is no login.
    #[schemars(length(min = 1))]
    pub user: Option<String>,
    /// Password of that user.
    #[schemars(with = "String", length(min = 1), extend("writeOnly" = true))]
    pub password: Option<Secret>,
    /// File with that password, instead of `password`; one line end after it is not part of the password.
    #[schemars(length(min = 1))]
    pub password_file: Option<PathBuf>,
    /// Sender, such as `Acme <no-reply@acme.example>`. The domain is the one of `Message-ID`, too.
    #[schemars(with = "String", extend("format" = "mailbox"))]
    pub from: Option<String>,
    /// URL at which clients reach gateways, `https://…`, without `/api`; with it, e-mails have a link that unsubscribes at one click
    /// (RFC 8058).
    #[schemars(with = "String", extend("format" = "webhook-url"))]
    pub unsubscribe_url: Option<String>,
    /// File with the secrets that sign these links, at least 32 bytes on each line: the first one signs, all are accepted.
    /// Gateways and dispatchers have the same.
    #[schemars(length(min = 1))]
    pub unsubscribe_keys_file: Option<PathBuf>,
    /// Time that one attempt may take.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub timeout: Duration,
}

impl Default for EmailConfig {
    fn default() -> Self {
        Self {
            server: None,
            port: 587,
            tls: SmtpTls::StartTls,
            tls_ca: None,
            user: None,
            password: None,
            password_file: None,
            from: None,
            unsubscribe_url: None,
            unsubscribe_keys_file: None,
            timeout: 2 * ATTEMPT,
        }
    }
}

/// Amazon SNS.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SnsConfig {
    /// Region of Amazon's, such as `eu-central-1`; without it, nothing is published to SNS.
    #[schemars(with = "String", extend("format" = "region"))]
    pub region: Option<String>,
    /// URL of the service, instead of the region's.
    #[schemars(with = "String", extend("format" = "service-url"))]
    pub endpoint: Option<String>,
    /// Identifier of the access key.
    #[schemars(length(min = 1))]
    pub access_key_id: Option<String>,
    /// The access key's secret.
    #[schemars(with = "String", length(min = 1), extend("writeOnly" = true))]
    pub secret_access_key: Option<Secret>,
    /// File with that secret, instead of `secret_access_key`; one line end after it is not part of the secret.
    #[schemars(length(min = 1))]
    pub secret_access_key_file: Option<PathBuf>,
    /// Time that one attempt may take.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub timeout: Duration,
}

impl Default for SnsConfig {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            access_key_id: None,
            secret_access_key: None,
            secret_access_key_file: None,
            timeout: ATTEMPT,
        }
    }
}

/// Web push: notifications of browsers, by the push services of their vendors.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebPushConfig {
    /// Private key that identifies the sender (VAPID, RFC 8292): 32 bytes in Base64 for URLs. Browsers subscribe with the
    /// public key of it. Without it, nothing is pushed.
    #[schemars(with = "String", extend("format" = "vapid-key", "writeOnly" = true))]
    pub vapid_key: Option<Secret>,
    /// File with that key, instead of `vapid_key`; one line end after it is not part of the key.
    #[schemars(length(min = 1))]
    pub vapid_key_file: Option<PathBuf>,
    /// Where a push service reaches the operator: `mailto:ops@acme.example`, or an `https` URL.
    #[schemars(with = "String", extend("format" = "contact"))]
    pub contact: Option<String>,
    /// Private, loopback, link-local and other special networks that push services may be in; without them, subscriptions
    /// lead to public addresses only.
    #[serde(deserialize_with = "networks")]
    #[schemars(with = "Vec<String>", extend(
        "items" = { "type": "string", "format": "network" },
        "default" = [],
    ))]
    pub allowed_networks: Vec<IpNet>,
    /// File with certificates in PEM that verify push services, instead of the system's root certificates.
    #[schemars(length(min = 1))]
    pub tls_ca: Option<PathBuf>,
    /// Time that one attempt may take.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String", extend("format" = "duration"))]
    pub timeout: Duration,
}

impl Default for WebPushConfig {
    fn default() -> Self {
        Self {
            vapid_key: None,
            vapid_key_file: None,
            contact: None,
            allowed_networks: Vec::new(),
            tls_ca: None,
            timeout: ATTEMPT,
        }
    }
}
