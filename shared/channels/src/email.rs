//! E-mail by SMTP.
//!
//! An attempt that is repeated has the same `Message-ID`, by which mail servers and programs of users recognise it. A
//! server that refuses the login or the connection refuses every message, so the message is kept; one that refuses the
//! message says whether it ever takes it, and whether the address exists.

mod message;

use std::time::Duration;

use async_trait::async_trait;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use tidings_access::TrustError;
use tidings_runtime::config::{EmailConfig, SmtpTls};

use crate::channel::{causes_of, misdirected};
use crate::setup::needed;
use crate::{Accepted, Channel, Delivery, Failed, SetupError, Target};

/// Sends e-mail.
pub struct Email {
    server: String,
    port: u16,
    /// How this side names itself: by the domain of the sender.
    client: ClientId,
    tls: SmtpTls,
    parameters: Option<TlsParameters>,
    credentials: Option<Credentials>,
    from: Mailbox,
    timeout: Duration,
}

impl Email {
    /// Creates the channel.
    pub fn new(config: &EmailConfig) -> Result<Self, SetupError> {
        let server = needed("email.server", config.server.as_ref())?.clone();
        let from: Mailbox = needed("email.from", config.from.as_ref())?.parse().map_err(|_| {
            let expected = "an e-mail address, such as Acme <no-reply@acme.example>";
            SetupError::Invalid { key: "email.from", expected }
        })?;
        let parameters = match config.tls {
            SmtpTls::Off => None,
            SmtpTls::StartTls | SmtpTls::Implicit => Some(parameters(&server, config)?),
        };
        let login = config.user.as_ref().zip(config.password.as_ref());
        let credentials = login.map(|(user, password)| {
            Credentials::new(user.clone(), String::from_utf8_lossy(password.expose()).into_owned())
        });
        let client = ClientId::Domain(from.email.domain().to_owned());
        let (port, tls, timeout) = (config.port, config.tls, config.timeout);
        Ok(Self { server, port, client, tls, parameters, credentials, from, timeout })
    }

    /// Opens a connection and logs in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let server = (self.server.as_str(), self.port);
        let from_the_start = self.parameters.clone().filter(|_| self.tls == SmtpTls::Implicit);
        let wait = Some(self.timeout);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, wait, &self.client, from_the_start, None).await?;
        if self.tls == SmtpTls::StartTls
            && let Some(parameters) = &self.parameters
        {
            connection.starttls(parameters.clone(), &self.client).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await?;
        }
        Ok(connection)
    }

    async fn attempt(&self, envelope: &Envelope, message: &[u8]) -> Result<Response, Failed> {
        let connected = self.connect().await;
        let mut connection = connected.map_err(|error| Failed::later(causes_of(&error)))?;
        let sent = connection.send(envelope, message).await;
        // What the server says to that changes nothing.
        connection.abort().await;
        sent.map_err(|error| refused(&error, envelope))
    }
}

#[async_trait]
impl Channel for Email {
    async fn send(&self, delivery: &Delivery) -> Result<Accepted, Failed> {
        let Target::Email(to) = &delivery.target else { return Err(misdirected(&delivery.target)) };
        let message = message::build(&self.from, to, delivery)?;
        let (envelope, message) = (message.envelope(), message.formatted());
        let attempt = self.attempt(envelope, &message);
        let Ok(outcome) = tokio::time::timeout(self.timeout, attempt).await else {
            return Err(Failed::later(format!("the server did not take it within {:?}", self.timeout)));
        };
        Ok(Accepted { reference: outcome?.first_line().map(str::to_owned) })
    }
}

/// TLS with the roots of the configuration.
fn parameters(server: &str, config: &EmailConfig) -> Result<TlsParameters, SetupError> {
    let builder = TlsParameters::builder(server.to_owned());
    let builder = match &config.tls_ca {
        None => builder,
        Some(path) => {
            let content = std::fs::read(path)
                .map_err(|source| TrustError::Unreadable { path: path.clone(), source })?;
            let certificate = Certificate::from_pem(&content).map_err(|_| SetupError::Invalid {
                key: "email.tls_ca",
                expected: "a file with certificates in PEM",
            })?;
            builder.certificate_store(CertificateStore::None).add_root_certificate(certificate)
        }
    };
    let expected = "a file with certificates that can be used, and a host that can have one";
    builder.build_rustls().map_err(|_| SetupError::Invalid { key: "email.tls_ca", expected })
}

/// What follows from the refusal of a message (RFC 5321, section 4.2; RFC 3463).
fn refused(error: &SmtpError, envelope: &Envelope) -> Failed {
    // Servers repeat the address, which belongs to a user.
    let hide = |reason: String, to: &Address| reason.replace(to.as_ref() as &str, "…");
    let reason = envelope.to().iter().fold(causes_of(error), hide);
    // Addresses and domains that do not exist, moved or take no mail, and mailboxes that are disabled.
    let is_gone = ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"]
        .iter()
        .any(|code| reason.contains(&format!("{code} ")));
    match (error.is_permanent(), error.is_client()) {
        (true, _) if is_gone => Failed::Gone { reason },
        (true, _) | (_, true) => Failed::Never { reason },
        _ => Failed::later(reason),
    }
}
