//! Each way to log in to NATS, against a server that takes nothing else.

use std::fs;

use harness::{Authority, BOUND, Launch, SCHEMAS, nats_with};
use nkeys::KeyPair;
use tempfile::TempDir;

/// Files for one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes one and returns its path.
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Asks NATS something as `tidings` does with these variables, and what comes of it.
async fn ask(url: &str, variables: &[(&str, &str)]) -> Result<String, String> {
    let launch = Launch::tidings(["connections", "ls", "--tenant", "ops"]);
    let launch = launch.variable("TIDINGS_NATS__URL", url).variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS);
    let folder = tempfile::tempdir().unwrap();
    let asked = launch.variables(variables.iter().copied()).folder(folder.path()).finish(BOUND).await;
    // There is no gateway, which only a connected client can find out.
    let is_connected = asked.errors.contains("no gateway answered");
    if is_connected { Ok(asked.errors) } else { Err(asked.errors) }
}

/// The server takes the login that these variables make, and none that the others do.
async fn check(config: &str, url: impl Fn(u16) -> String, good: &[&[(&str, &str)]], bad: &[&[(&str, &str)]]) {
    let nats = nats_with(|options| options.config(config)).await;
    let url = url(nats.port());
    for variables in good {
        let asked = ask(&url, variables).await;
        assert!(asked.is_ok(), "{variables:?}: {asked:?}");
    }
    for variables in bad {
        let refused = ask(&url, variables).await.expect_err("the login is refused");
        for (_, secret) in
            variables.iter().filter(|(name, _)| !name.ends_with("_FILE") && !name.ends_with("USER"))
        {
            assert!(!refused.contains(secret), "{refused}");
        }
    }
}

fn plain(port: u16) -> String {
    format!("nats://127.0.0.1:{port}")
}

#[tokio::test]
async fn user_and_password() {
    let files = Files::new();
    let password = files.write("password", "hunter2\n");
    check(
        "authorization { user: ada, password: hunter2 }",
        plain,
        &[
            &[("TIDINGS_NATS__USER", "ada"), ("TIDINGS_NATS__PASSWORD", "hunter2")],
            &[("TIDINGS_NATS__USER", "ada"), ("TIDINGS_NATS__PASSWORD_FILE", &password)],
        ],
        &[&[("TIDINGS_NATS__USER", "ada"), ("TIDINGS_NATS__PASSWORD", "guessed-wrong")], &[]],
    )
    .await;
}

#[tokio::test]
async fn a_token() {
    let files = Files::new();
    let token = files.write("token", "a-token\r\n");
    check(
        "authorization { token: a-token }",
        plain,
        &[&[("TIDINGS_NATS__TOKEN", "a-token")], &[("TIDINGS_NATS__TOKEN_FILE", &token)]],
        &[&[("TIDINGS_NATS__TOKEN", "guessed-wrong")], &[]],
    )
    .await;
}

#[tokio::test]
async fn an_nkey() {
    let (user, other) = (KeyPair::new_user(), KeyPair::new_user());
    let (seed, wrong) = (user.seed().unwrap(), other.seed().unwrap());
    let file = Files::new();
    let path = file.write("seed", &format!("{seed}\n"));
    check(
        &format!("authorization {{ users: [{{ nkey: {} }}] }}", user.public_key()),
        plain,
        &[&[("TIDINGS_NATS__NKEY_SEED", &seed)], &[("TIDINGS_NATS__NKEY_SEED_FILE", &path)]],
        &[&[("TIDINGS_NATS__NKEY_SEED", &wrong)], &[]],
    )
    .await;
}

#[tokio::test]
async fn a_certificate_of_an_authority_of_ones_own() {
    let (authority, stranger, files) = (Authority::new(), Authority::new(), Files::new());
    let ca = files.write("ca.pem", authority.certificate());
    let (server, server_key) = authority.identity("127.0.0.1");
    let (certificate, key) = authority.identity("tidings.example");
    let (foreign, foreign_key) = stranger.identity("tidings.example");
    let server = files.write("server.pem", &server);
    let server_key = files.write("server.key", &server_key);
    let (certificate, key) = (files.write("client.pem", &certificate), files.write("client.key", &key));
    let (foreign, foreign_key) =
        (files.write("foreign.pem", &foreign), files.write("foreign.key", &foreign_key));
    let config =
        format!("tls {{ cert_file: {server:?}, key_file: {server_key:?}, ca_file: {ca:?}, verify: true }}");
    let (ca, own) = (("TIDINGS_NATS__TLS_CA", ca.as_str()), "TIDINGS_NATS__TLS_CERTIFICATE");
    let good = [ca, (own, &certificate), ("TIDINGS_NATS__TLS_KEY", &key)];
    let wrong = [ca, (own, &foreign), ("TIDINGS_NATS__TLS_KEY", &foreign_key)];
    let unverified = [good[1], good[2]];
    for url in [plain, |port| format!("tls://127.0.0.1:{port}")] {
        check(&config, url, &[&good], &[&wrong, &[ca], &unverified]).await;
    }
}

/// Whoever says how servers are verified does not speak to one without TLS.
#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_wanted() {
    let (authority, files) = (Authority::new(), Files::new());
    let ca = files.write("ca.pem", authority.certificate());
    check("", plain, &[&[]], &[&[("TIDINGS_NATS__TLS_CA", &ca)]]).await;
}
