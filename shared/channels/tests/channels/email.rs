//! E-mail: what aiosmtpd takes, and what follows from its refusals.

use std::path::Path;
use std::time::Duration;

use harness::{Authority, BOUND, Launch, Tidings, python_packages};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_channels::{Channel, Delivery, Email, Failed, Target};
use tidings_model::Content;
use tidings_runtime::config::{EmailConfig, Secret, SmtpTls};

use crate::delivery;
use crate::receiver::{endless, nobody};
use crate::webhook::SOURCE;

/// A mail server with a certificate of its own authority.
struct Server {
    process: Tidings,
    folder: TempDir,
    port: u16,
    taken: usize,
}

impl Server {
    async fn start(mode: &str) -> Self {
        let packages =
            python_packages(&Path::new(SOURCE).join("email_python"), Path::new(env!("CARGO_TARGET_TMPDIR")));
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let (certificate, key) = authority.identity("localhost");
        for (name, text) in [("ca", authority.certificate()), ("cert", &certificate), ("key", &key)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let files = folder.path().display();
        let script =
            format!("exec python3 '{SOURCE}/email_python/server.py' {mode} '{files}/cert' '{files}/key'");
        let mut process = Launch::shell(&script).variable("PYTHONPATH", packages).start();
        let line = process.line("listening ", BOUND).await;
        let port = line.trim_start_matches("listening ").trim().parse().unwrap();
        Self { process, folder, port, taken: 0 }
    }

    fn config(&self, tls: SmtpTls) -> EmailConfig {
        let login = tls != SmtpTls::Off;
        EmailConfig {
            server: Some("localhost".to_owned()),
            port: self.port,
            tls,
            tls_ca: Some(self.folder.path().join("ca")),
            user: login.then(|| "ada".to_owned()),
            password: login.then(|| Secret::new(*b"hunter2")),
            from: Some("Acme Störungen <no-reply@acme.example>".to_owned()),
            timeout: BOUND,
            ..EmailConfig::default()
        }
    }

    /// The next message that it took.
    async fn next(&mut self) -> Value {
        self.taken += 1;
        let line = self.process.nth_line(r#""parts":"#, self.taken, BOUND).await;
        serde_json::from_str(&line).unwrap()
    }
}

fn header<'m>(message: &'m Value, name: &str) -> Vec<&'m str> {
    let headers = message["headers"].as_array().unwrap().iter();
    headers.filter(|header| header[0] == name).map(|header| header[1].as_str().unwrap()).collect()
}

fn to(address: &str) -> Delivery {
    delivery(Target::Email(address.to_owned()))
}

#[tokio::test]
async fn text_and_html_arrive_with_what_unsubscribes() {
    let mut server = Server::start("off").await;
    let email = Email::new(&server.config(SmtpTls::Off)).unwrap();
    let long = "x".repeat(700);
    let url = format!("https://acme.example/unsubscribe?token={long}");
    let mut mail = to("ada@example.com");
    mail.content.subject = Some("Störung\r\nBcc: eve@example.com".to_owned());
    mail.content.text = Some(format!("Grüße\n.\n{}\n", "ä".repeat(1_500)));
    mail.content.html = Some("<p>Grüße</p>".to_owned());
    mail.unsubscribe = Some(url.clone());
    let accepted = email.send(&mail).await.unwrap();
    assert_eq!(accepted.reference.as_deref(), Some("2.0.0 stored as 4711"));
    let message = server.next().await;
    assert_eq!(
        (&message["from"], &message["to"]),
        (&json!("no-reply@acme.example"), &json!(["ada@example.com"]))
    );
    assert_eq!((&message["tls"], &message["client"]), (&json!(false), &json!("acme.example")));
    let id = format!("<{}@acme.example>", mail.id);
    for (name, value) in [
        ("Subject", "Störung  Bcc: eve@example.com"),
        ("From", "Acme Störungen <no-reply@acme.example>"),
        ("To", "ada@example.com"),
        ("Message-ID", &id),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Auto-Submitted", "auto-generated"),
    ] {
        assert_eq!(header(&message, name), [value]);
    }
    assert!(header(&message, "Bcc").is_empty());
    assert!(message["raw"].as_str().unwrap().contains(&format!("List-Unsubscribe: <{url}>\r\n")), "unfolded");
    let parts = message["parts"].as_array().unwrap();
    let normal = |part: &Value| part.as_str().unwrap().replace("\r\n", "\n").trim_end().to_owned();
    let found: Vec<_> = parts.iter().map(|part| (part[0].as_str().unwrap(), normal(&part[1]))).collect();
    let text = mail.content.text.as_ref().unwrap().trim_end().to_owned();
    assert_eq!(found, [("text/plain", text), ("text/html", "<p>Grüße</p>".to_owned())]);

    // Another attempt is recognised as one. What was not asked for is not there.
    mail.unsubscribe = None;
    mail.content.html = None;
    email.send(&mail).await.unwrap();
    let again = server.next().await;
    assert_eq!(header(&again, "Message-ID"), [&*id]);
    assert!(
        header(&again, "List-Unsubscribe").is_empty() && header(&again, "List-Unsubscribe-Post").is_empty()
    );
    assert_eq!(again["parts"][0][0], "text/plain");

    mail.content = Content { html: Some("<p>only</p>".to_owned()), ..Content::default() };
    email.send(&mail).await.unwrap();
    assert_eq!(server.next().await["parts"][0][0], "text/html");
}

#[tokio::test]
async fn refusals_decide_what_happens_next() {
    let mut server = Server::start("off").await;
    let email = Email::new(&server.config(SmtpTls::Off)).unwrap();
    for (address, expected) in [
        ("nobody.550-5.1.1@example.com", "gone"),
        ("moved.551-5.1.6@example.com", "gone"),
        ("no-mail.556-5.1.10@example.com", "gone"),
        ("disabled.550-5.2.1@example.com", "gone"),
        ("spam.550-5.7.1@example.com", "never"),
        ("large.552-5.3.4@example.com", "never"),
        ("greylisted.451-4.7.1@example.com", "later"),
        ("full.452-4.2.2@example.com", "later"),
        ("busy.421-4.3.2@example.com", "later"),
        ("no address", "never"),
        ("ada@example.com>\r\nRCPT TO:<eve@example.com", "never"),
        ("", "never"),
    ] {
        let (outcome, reason) = match email.send(&to(address)).await {
            Ok(_) => panic!("{address} is taken"),
            Err(Failed::Later { reason, .. }) => ("later", reason),
            Err(Failed::Never { reason }) => ("never", reason),
            Err(Failed::Gone { reason }) => ("gone", reason),
        };
        assert_eq!(outcome, expected, "{address} {reason}");
        assert!(!reason.contains("@example.com"), "the address belongs to a user: {reason}");
    }
    let mut mail = to("ada@example.com");
    for url in
        ["http://acme.example/", "https://acme.example/ä", "https://acme.example/>\r\nBcc: eve@example.com"]
    {
        mail.unsubscribe = Some(url.to_owned());
        assert!(matches!(email.send(&mail).await, Err(Failed::Never { .. })), "{url}");
    }
    mail.unsubscribe = None;
    mail.content.text = None;
    assert!(matches!(email.send(&mail).await, Err(Failed::Never { .. })));

    // None of them was taken; this one is.
    email.send(&to("ada@example.com")).await.unwrap();
    assert_eq!(server.next().await["to"], json!(["ada@example.com"]));
}

#[tokio::test]
async fn a_server_that_refuses_everything_is_tried_again() {
    for (mode, tls) in [("starttls", SmtpTls::StartTls), ("implicit", SmtpTls::Implicit)] {
        let mut server = Server::start(mode).await;
        let config = server.config(tls);
        Email::new(&config).unwrap().send(&to("ada@example.com")).await.unwrap();
        let message = server.next().await;
        assert_eq!((&message["tls"], &message["login"]), (&json!(true), &json!(true)), "{mode}");

        let unknown = server.folder.path().join("unknown");
        std::fs::write(&unknown, Authority::new().certificate()).unwrap();
        for (config, expected) in [
            (EmailConfig { password: Some(Secret::new(*b"wrong")), ..config.clone() }, "5.7.8"),
            (EmailConfig { tls_ca: Some(unknown), ..config.clone() }, "invalid peer certificate"),
            (EmailConfig { server: Some("127.0.0.1".to_owned()), ..config.clone() }, "not valid for name"),
        ] {
            assert_later(&config, expected).await;
        }
    }
    // A server without STARTTLS is told no password.
    let server = Server::start("off").await;
    let config = EmailConfig { tls: SmtpTls::StartTls, ..server.config(SmtpTls::Implicit) };
    assert_later(&config, "STARTTLS is not supported").await;

    let silent = endless(b"", b"").await.port();
    let config = EmailConfig { port: nobody().await.port(), ..server.config(SmtpTls::Off) };
    assert_later(&config, "Connection refused").await;
    let timeout = Duration::from_millis(300);
    assert_later(&EmailConfig { port: silent, timeout, ..config }, "300ms").await;
}

/// The message is kept, for this reason.
async fn assert_later(config: &EmailConfig, expected: &str) {
    let outcome = Email::new(config).unwrap().send(&to("ada@example.com")).await;
    let Err(Failed::Later { reason, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains(expected), "{reason} lacks {expected}");
}
