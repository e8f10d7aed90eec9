//! What a configuration may say, and how every mistake in it is told.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use tidings_runtime::config::{
    Config, LogFormat, Mistakes, Secret, SecretRule, SignatureAlgorithm, Storage, load,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A configuration file in a folder of its own, in which the file has the name that mistakes show.
struct File {
    directory: TempDir,
}

impl File {
    fn new(text: &str) -> Self {
        let file = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::write(file.path("tidings.toml"), text).unwrap();
        file
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn load(&self, environment: &[(&str, &str)], rule: SecretRule) -> Result<Config, Mistakes> {
        load(Some(&self.path("tidings.toml")), environment.iter().copied(), rule)
    }

    /// The mistakes' lines, without the folder's name.
    fn mistakes(&self, environment: &[(&str, &str)], rule: SecretRule) -> Vec<String> {
        let folder = format!("{}/", self.directory.path().display());
        let Err(mistakes) = self.load(environment, rule) else {
            return Vec::new();
        };
        let headline = mistakes.to_string().lines().next().unwrap().to_owned();
        assert!(headline.starts_with("the configuration has "), "{headline}");
        mistakes.as_slice().iter().map(|mistake| mistake.to_string().replace(&folder, "")).collect()
    }
}

#[track_caller]
fn check(text: &str, environment: &[(&str, &str)], expect: &[&str]) {
    assert_eq!(File::new(text).mistakes(environment, SecretRule::Optional), expect, "{text}{environment:?}");
}

/// One wrong value of `key`, given in the file as `toml` and, where that is the same thing, in its variable as `text`.
#[track_caller]
fn check_value(key: &str, toml: &str, text: Option<&str>, told: &str) {
    let (section, entry) = key.split_once('.').unwrap();
    check(
        &format!("[{section}]\n{entry} = {toml}\n"),
        &[],
        &[&format!("{key} = {told}").replace('@', "tidings.toml")],
    );
    if let Some(text) = text {
        let variable = format!("TIDINGS_{}__{}", section.to_uppercase(), entry.to_uppercase());
        check("", &[(&variable, text)], &[&format!("{key} = {told}").replace('@', &variable)]);
    }
}

#[test]
fn nothing_given_is_the_default() {
    let config = File::new("").load(&[], SecretRule::Optional).unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    assert_eq!(config.gateway.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.streams.rejected_max_age, Duration::from_secs(30 * 24 * 60 * 60));
}

#[test]
fn the_defaults_keep_their_own_rules() {
    let told = File::new("[gateway]\nheartbeat = \"30s\"\n[streams]\nduplicate_window = \"2m\"\n");
    assert_eq!(told.mistakes(&[], SecretRule::Optional), Vec::<String>::new());
}

#[test]
fn variables_are_over_the_file() {
    let file = File::new(
        "[gateway]\nlisten = \"0.0.0.0:80\"\nmax_frame_bytes = 32768\nwindow_bytes = \"1 MiB\"\nmax_connections = 18_000\n\
         [streams]\nstorage = \"memory\"\nevents_max_bytes = \"2GB\"\n[telemetry]\nsample_ratio = 1\n",
    );
    let environment = [
        ("TIDINGS_GATEWAY__LISTEN", "[::1]:9"),
        ("TIDINGS_GATEWAY__ALLOWED_ORIGINS", "https://a.example, http://b.example:3000"),
        ("TIDINGS_GATEWAY__HEARTBEAT", "1m 5s"),
        ("TIDINGS_GATEWAY__COOKIE", "12"),
        ("TIDINGS_GATEWAY__COMPRESSION", "false"),
        ("TIDINGS_GATEWAY__TRUSTED_PROXIES", "10.0.0.0/8,fd00::1"),
        ("TIDINGS_GATEWAY__PROXY_PROTOCOL", "true"),
        ("TIDINGS_SCHEMAS__TENANTS", "ops,cnc"),
        ("TIDINGS_PROJECTOR__IN_FLIGHT", "7"),
        ("TIDINGS_PROJECTOR__MAX_EVENT_BYTES", "4096"),
        ("TIDINGS_TELEMETRY__SAMPLE_RATIO", "0.25"),
        ("TIDINGS_TELEMETRY__LOG_FORMAT", "json"),
        ("TIDINGS_ACCESS__ISSUER", ""),
        ("PATH", "/bin"),
        ("TIDING", "of joy"),
    ];
    let config = file.load(&environment, SecretRule::Optional).unwrap();
    assert_eq!(config.gateway.listen, "[::1]:9".parse().unwrap());
    assert_eq!(config.gateway.max_frame_bytes, 32768);
    assert_eq!(config.gateway.window_bytes, 1 << 20);
    assert_eq!(config.gateway.max_connections.unwrap().get(), 18_000);
    assert_eq!(config.gateway.allowed_origins, ["https://a.example", "http://b.example:3000"]);
    assert_eq!(config.gateway.heartbeat, Duration::from_secs(65));
    assert_eq!(config.gateway.cookie, "12");
    assert!(!config.gateway.compression);
    let networks: Vec<_> = config.gateway.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "fd00::1/128"]);
    assert!(config.gateway.proxy_protocol);
    assert_eq!(config.streams.storage, Storage::Memory);
    assert_eq!(config.streams.events_max_bytes, Some(2_000_000_000));
    assert_eq!(config.schemas.tenants.unwrap(), ["ops", "cnc"]);
    assert_eq!(config.projector.in_flight.get(), 7);
    assert_eq!(config.projector.max_event_bytes, 4096);
    assert!((config.telemetry.sample_ratio - 0.25).abs() < f64::EPSILON);
    assert_eq!(config.telemetry.log_format, LogFormat::Json);
    assert_eq!(config.access.issuer, None);
}

#[test]
fn a_wrong_value_is_told_with_what_was_expected() {
    const DURATION: &str = "expected a duration above zero and up to 100 years, such as 30s, 5m or 7d";
    const SIZE: &str = "expected a size above zero, in bytes or such as 16 KiB, 1 MiB or 2 GB";
    const ADDRESS: &str = "expected an IP address and port, such as 127.0.0.1:8080 or [::]:8080";
    let told = |value: &str, expected: &str| format!("{value} (@): {expected}");
    for text in ["soon", "0s", "-5s", "200 years", "30"] {
        let value = format!("{text:?}");
        check_value("gateway.heartbeat", &value, Some(text), &told(&value, DURATION));
    }
    check_value("gateway.heartbeat", "30", None, &told("30", DURATION));
    for text in ["large", "0 KiB", "-1 KiB", "99999999999 GB"] {
        let value = format!("{text:?}");
        check_value("gateway.max_frame_bytes", &value, Some(text), &told(&value, SIZE));
        check_value("streams.events_max_bytes", &value, Some(text), &told(&value, SIZE));
    }
    check_value("gateway.window_bytes", "1.0", None, &told("1.0", SIZE));
    for text in ["0", "-1", "1.5", "18446744073709551616"] {
        check_value(
            "projector.max_event_bytes",
            text,
            Some(text).filter(|text| text.len() < 3),
            &told(text, SIZE),
        );
    }
    for text in ["localhost:8080", "127.0.0.1", ":8080", "127.0.0.1:65536"] {
        let value = format!("{text:?}");
        check_value("gateway.listen", &value, Some(text), &told(&value, ADDRESS));
    }
}

#[test]
fn every_kind_of_value_tells_its_range() {
    let rows = [
        ("streams.replicas", "0", "a whole number from 1 to 5"),
        ("streams.replicas", "3.0", "a whole number from 1 to 5"),
        ("streams.replicas", "6", "a whole number from 1 to 5"),
        ("streams.replicas", "\"three\"", "a whole number from 1 to 5"),
        ("streams.storage", "\"disk\"", "\"file\" or \"memory\""),
        ("telemetry.log_format", "\"xml\"", "\"text\" or \"json\""),
        ("telemetry.sample_ratio", "1.01", "a number from 0.0 to 1.0"),
        ("telemetry.sample_ratio", "-1", "a number from 0.0 to 1.0"),
        ("telemetry.log", "\"info,=,\"", "a log filter such as info or warn,tidings_gateway=debug"),
        (
            "telemetry.otlp_endpoint",
            "\"https://collector:4318\"",
            "a URL such as http://127.0.0.1:4318, without user or password (for TLS, let a collector beside this process \
             forward)",
        ),
        (
            "nats.url",
            "\"http://127.0.0.1:4222\"",
            "one URL such as nats://127.0.0.1:4222 or tls://nats.example:4222, without user or password",
        ),
        ("gateway.cookie", "\"my session\"", "a cookie name: letters, digits and any of !#$%&'*+-.^_`|~"),
        ("gateway.proxy_protocol", "\"yes\"", "true or false"),
        ("gateway.max_topics", "0", "a whole number from 1 to 1000000"),
        ("gateway.max_connections", "0", "a whole number from 1 to 1000000000"),
        ("projector.consumer", "\"my.projector\"", "1 to 32 letters, digits, - and _"),
        ("schemas.directory", "\"\"", "text that is not empty"),
        ("gateway.drain_time", "\"later\"", "a duration up to 100 years, such as 0s, 30s or 5m"),
        ("access.leeway", "\"later\"", "a duration up to 100 years, such as 0s, 30s or 5m"),
    ];
    for (key, value, expected) in rows {
        let text = Some(value.trim_matches('"')).filter(|text| !text.is_empty() && *text != "3.0");
        check_value(key, value, text, &format!("{value} (@): expected {expected}"));
    }
}

#[test]
fn a_list_is_checked_item_by_item() {
    check(
        "[gateway]\nallowed_origins = [\"https://a.example\", \"https://b.example/\", \"c.example\", \"https://d/e\"]\n",
        &[],
        &[
            "gateway.allowed_origins = \"https://b.example/\" (tidings.toml): expected in each item an origin such as \
             https://app.example, without a path",
            "gateway.allowed_origins = \"c.example\" (tidings.toml): expected in each item an origin such as https://app.example, \
             without a path",
            "gateway.allowed_origins = \"https://d/e\" (tidings.toml): expected in each item an origin such as \
             https://app.example, without a path",
        ],
    );
    for network in ["10.0.0.0/33", "proxy.example", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104"] {
        check(
            &format!("[gateway]\ntrusted_proxies = [\"10.0.0.0/8\", \"{network}\"]\n"),
            &[],
            &[&format!(
                "gateway.trusted_proxies = \"{network}\" (tidings.toml): expected in each item an IP address or network \
                 such as 10.0.0.7, 10.0.0.0/8 or fd00::/8"
            )],
        );
    }
    check(
        "[gateway]\nallowed_origins = \"https://a.example\"\n",
        &[],
        &[
            "gateway.allowed_origins = \"https://a.example\" (tidings.toml): expected a list, in each item an origin such as \
           https://app.example, without a path",
        ],
    );
}

#[test]
fn unknown_names_are_mistakes_with_a_suggestion() {
    check(
        "port = 1\n[gatway]\nlisten = \"\"\n[gateway]\nlissten = \"\"\nfoo = 1\n",
        &[("TIDINGS_GATEWAY_LISTEN", "x"), ("TIDINGS_FOO", "x"), ("TIDINGS_gateway__listen", "x")],
        &[
            "TIDINGS_FOO: unknown variable",
            "TIDINGS_GATEWAY_LISTEN: unknown variable; did you mean TIDINGS_GATEWAY__LISTEN?",
            "TIDINGS_gateway__listen: unknown variable; did you mean TIDINGS_GATEWAY__LISTEN?",
            "gateway.lissten (tidings.toml): unknown; did you mean gateway.listen?",
            "gateway.foo (tidings.toml): unknown",
            "port (tidings.toml): unknown",
            "gatway (tidings.toml): unknown; did you mean gateway?",
        ],
    );
}

#[test]
fn what_kubernetes_sets_for_a_service_is_no_mistake() {
    let environment = [
        ("TIDINGS_SERVICE_HOST", "10.0.0.1"),
        ("TIDINGS_GATEWAY_SERVICE_PORT_HTTP", "8080"),
        ("TIDINGS_GATEWAY_PORT", "tcp://10.0.0.1:8080"),
        ("TIDINGS_GATEWAY_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ];
    check("", &environment, &[]);
    check("", &[("TIDINGS_GATEWAY__PORT", "1")], &["TIDINGS_GATEWAY__PORT: unknown variable"]);
}

#[test]
fn keys_that_do_not_go_together_are_told() {
    check(
        "[gateway]\nheartbeat = \"2m\"\n[streams]\nevents_max_age = \"30s\"\n",
        &[],
        &[
            "streams.duplicate_window = \"2m\" (default): expected at most the shortest maximum age of a stream, \"30s\"",
            "gateway.idle_timeout = \"1m 15s\" (default): expected more than gateway.heartbeat, \"2m\"",
        ],
    );
    let short = "[consumers]\ninactive_after = \"90m\"\n";
    let expected = "consumers.inactive_after = \"1h 30m\" (tidings.toml): expected at least \"2h\"";
    assert_eq!(File::new(short).mistakes(&[], SecretRule::Optional), [expected]);
    // A key that is wrong by itself is not compared with others.
    let wrong = "[gateway]\nheartbeat = \"soon\"\nidle_timeout = \"1s\"\n";
    assert_eq!(File::new(wrong).mistakes(&[], SecretRule::Optional).len(), 1);
}

#[test]
fn a_certificate_has_a_key_and_both_can_be_read() {
    let file = File::new("");
    let missing = "gateway.tls_key is not set: expected the file of the private key, since gateway.tls_certificate is set";
    let folder = file.directory.path().display().to_string();
    let there = |key: &str, name: &str| (format!("TIDINGS_GATEWAY__TLS_{key}"), format!("{folder}/{name}"));
    let check = |given: &[(String, String)], expect: &[&str]| {
        let given: Vec<_> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(file.mistakes(&given, SecretRule::Optional), expect);
    };
    let certificate = there("CERTIFICATE", "tidings.toml");
    check(std::slice::from_ref(&certificate), &[missing]);
    check(&[certificate.clone(), there("KEY", "tidings.toml")], &[]);
    let unreadable = "gateway.tls_key = \"no.key\" (TIDINGS_GATEWAY__TLS_KEY): expected a file that can be read (No such file \
                      or directory (os error 2))";
    check(&[certificate, there("KEY", "no.key")], &[unreadable]);
}

#[test]
fn proxy_headers_need_somebody_who_may_send_them() {
    let expected = "gateway.trusted_proxies is not set: expected those who may send PROXY headers, since \
                    gateway.proxy_protocol is true";
    check("[gateway]\nproxy_protocol = true\n", &[], &[expected]);
    check("[gateway]\nproxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\"]\n", &[], &[]);
}

#[test]
fn a_missing_secret_is_a_mistake_where_it_is_required() {
    let expected = "access.hs256_secret is not set: expected a secret of at least 32 bytes there, in \
                    TIDINGS_ACCESS__HS256_SECRET, or in the file that TIDINGS_ACCESS__HS256_SECRET_FILE names; or else \
                    [[access.issuers]]";
    assert_eq!(File::new("").mistakes(&[], SecretRule::Required), [expected]);
    let given = [("TIDINGS_ACCESS__HS256_SECRET", SECRET)];
    let config = File::new("").load(&given, SecretRule::Required).unwrap();
    assert_eq!(config.access.hs256_secret.unwrap().expose(), SECRET.as_bytes());
}

#[test]
fn a_secret_comes_from_its_file_too() {
    for end in ["", "\n", "\r\n"] {
        let file = File::new("");
        std::fs::write(file.path("secret"), format!("{SECRET}{end}")).unwrap();
        let path = file.path("secret");
        let given = [("TIDINGS_ACCESS__HS256_SECRET_FILE", path.to_str().unwrap())];
        let config = file.load(&given, SecretRule::Required).unwrap();
        assert_eq!(config.access.hs256_secret.unwrap().expose(), SECRET.as_bytes());
    }
}

/// An issuer that is fine, with `changes` over it.
fn issuer(changes: &str) -> String {
    let fine = [
        ("issuer", "\"https://id.example\""),
        ("algorithms", "[\"RS256\"]"),
        ("tenants", "[\"ops\"]"),
        ("jwks_url", "\"https://id.example/jwks\""),
    ];
    let is_changed = |key: &str| changes.lines().any(|line| line.starts_with(&format!("{key} =")));
    let kept = fine.into_iter().filter(|(key, _)| !is_changed(key));
    let mut lines: Vec<String> = kept.map(|(key, value)| format!("{key} = {value}")).collect();
    lines.extend(changes.lines().filter(|line| !line.ends_with("= none")).map(str::to_owned));
    format!("[[access.issuers]]\n{}\n", lines.join("\n"))
}

#[test]
fn issuers_are_read() {
    let file = File::new(&[issuer(""), issuer("issuer = \"b\"\ntenant = \"cnc\"\ntenants = none")].concat());
    let issuers = file.load(&[], SecretRule::Required).unwrap().access.issuers;
    assert_eq!(issuers[0].algorithms, [SignatureAlgorithm::RS256]);
    assert_eq!(issuers[0].tenants.as_deref(), Some(&["ops".to_owned()][..]));
    assert_eq!((issuers[0].audience_claim.as_str(), issuers[0].tenant.as_deref()), ("aud", None));
    assert_eq!((issuers[1].tenants.as_deref(), issuers[1].tenant.as_deref()), (None, Some("cnc")));

    let alone = File::new(&issuer("tenants = none"));
    assert_eq!(alone.mistakes(&[], SecretRule::Required), Vec::<String>::new());

    let secret = File::new(&issuer("jwks_url = none\nalgorithms = [\"HS256\"]\nhs256_secret_file = \"@\""));
    let path = secret.path("secret");
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    let text = std::fs::read_to_string(secret.path("tidings.toml")).unwrap();
    std::fs::write(secret.path("tidings.toml"), text.replace('@', path.to_str().unwrap())).unwrap();
    let config = secret.load(&[], SecretRule::Required).unwrap();
    assert_eq!(config.access.issuers[0].hs256_secret.as_ref().unwrap().expose(), SECRET.as_bytes());
}

#[test]
fn a_mistake_in_an_issuer_is_told_with_its_place() {
    let told = |changes: &str, expected: &str| check(&issuer(changes), &[], &[expected]);
    let at = "access.issuers[0]";
    told("issuer = none", &format!("{at}.issuer is not set: expected text that is not empty"));
    told("issuer = \"\"", &format!("{at}.issuer = \"\" (tidings.toml): expected text that is not empty"));
    told(
        "algorithms = [\"none\"]",
        &format!(
            "{at}.algorithms = \"none\" (tidings.toml): expected in each item \"HS256\" or \"RS256\" or \"RS384\" or \
             \"RS512\" or \"PS256\" or \"ES256\" or \"ES384\" or \"EdDSA\""
        ),
    );
    told(
        "tenants = [\"Ops\"]",
        &format!(
            "{at}.tenants = \"Ops\" (tidings.toml): expected in each item a tenant's name: 1 to 32 of a-z, 0-9, _ and -"
        ),
    );
    told(
        "jwks_urls = \"x\"",
        &format!("{at}.jwks_urls (tidings.toml): unknown; did you mean {at}.jwks_url?"),
    );
    for url in
        ["ftp://id.example/", "id.example", "https://a:b@id.example/", "https://id.example/#k", "https:///x"]
    {
        let value = if url.contains('@') { "a value of 23 bytes".to_owned() } else { format!("\"{url}\"") };
        told(
            &format!("jwks_url = \"{url}\""),
            &format!(
                "{at}.jwks_url = {value} (tidings.toml): expected a URL such as \
                 https://auth.example/.well-known/jwks.json, without user, password or fragment"
            ),
        );
    }
    check(
        "[access]\nissuers = \"https://id.example\"\n",
        &[],
        &["access.issuers = a value of 20 bytes (tidings.toml): expected a list of tables"],
    );
    check(
        "[access]\nissuers = [1]\n",
        &[],
        &["access.issuers[0] = a value of 1 bytes (tidings.toml): expected a table of \
        keys and values"],
    );
    check(
        "",
        &[("TIDINGS_ACCESS__ISSUERS", "x")],
        &["TIDINGS_ACCESS__ISSUERS: unknown variable; did you mean TIDINGS_ACCESS__ISSUER?"],
    );
}

#[test]
fn issuers_that_do_not_go_together_are_told() {
    let told = |text: &str, expected: &[&str]| check(text, &[], expected);
    told(
        &[issuer(""), issuer("tenants = none")].concat(),
        &[
            "access.issuers[1].tenants is not set: expected the tenants that it may speak for, since there are other \
             issuers",
            "access.issuers[1].issuer = \"https://id.example\" (tidings.toml): expected a name that no other issuer has",
        ],
    );
    told(
        &issuer("tenant = \"cnc\"\ntenant_claim = \"t\""),
        &[
            "access.issuers[0].tenants = [\"ops\"] (tidings.toml): expected nothing, because all of its users are of the \
             tenant cnc",
            "access.issuers[0].tenant_claim = \"t\" (tidings.toml): expected nothing, because all of its users are of the \
             tenant cnc",
        ],
    );
    told(
        &issuer("tenants = []"),
        &[
            "access.issuers[0].tenants = [] (tidings.toml): expected at least one tenant that it may speak for",
        ],
    );
    told(
        &issuer("jwks_url = none"),
        &[
            "access.issuers[0].jwks_url is not set: expected its keys, in jwks_url, key_files, hs256_secret or \
           hs256_secret_file",
        ],
    );
    told(
        &issuer("algorithms = [\"RS256\", \"HS256\"]"),
        &[
            "access.issuers[0].algorithms = [\"RS256\", \"HS256\"] (tidings.toml): expected algorithms for public keys, \
           without HS256",
        ],
    );
    told(
        &issuer(&format!("jwks_url = none\nhs256_secret = \"{SECRET}\"")),
        &[
            "access.issuers[0].algorithms = [\"RS256\"] (tidings.toml): expected [\"HS256\"], the one that a secret is for",
        ],
    );
    told(
        &issuer("algorithms = []"),
        &["access.issuers[0].algorithms = [] (tidings.toml): expected at least one algorithm"],
    );
    told(
        &issuer("jwks_url = none\nkey_files = [\"none.pem\"]"),
        &[
            "access.issuers[0].key_files = \"none.pem\" (tidings.toml): expected a file that can be read (No such file or \
           directory (os error 2))",
        ],
    );
    told(
        &format!("[access]\nhs256_secret = \"{SECRET}\"\nissuer = \"a\"\n{}", issuer("")),
        &[
            "access.hs256_secret = a value of 32 bytes (tidings.toml): expected nothing, because access.issuers is set, too; \
             make it one of them",
            "access.issuer = \"a\" (tidings.toml): expected nothing, because access.issuers is set, too; make it one of \
             them",
        ],
    );
    told(
        "[access]\nsources = []\n",
        &[
            "access.sources = [] (tidings.toml): expected at least one of header, query, cookie and subprotocol",
        ],
    );
    told(
        "[access]\nsources = [\"body\"]\n",
        &[
            "access.sources = \"body\" (tidings.toml): expected in each item \"header\" or \"query\" or \"cookie\" or \
           \"subprotocol\"",
        ],
    );
    // What is wrong by itself is not compared, and hides no secret's absence.
    let wrong = issuer("issuer = none");
    assert_eq!(File::new(&wrong).mistakes(&[], SecretRule::Required).len(), 1);
}

#[test]
fn files_that_keys_name_are_checked() {
    let file = File::new("[nats]\ncredentials = \"none.creds\"\n");
    std::fs::write(file.path("short"), "abc\n").unwrap();
    let path = file.path("short");
    let given = [("TIDINGS_ACCESS__HS256_SECRET_FILE", path.to_str().unwrap())];
    assert_eq!(
        file.mistakes(&given, SecretRule::Required),
        [
            "nats.credentials = \"none.creds\" (tidings.toml): expected a file that can be read (No such file or \
             directory (os error 2))",
            "access.hs256_secret_file = \"short\" (TIDINGS_ACCESS__HS256_SECRET_FILE): expected a file with a secret of \
             at least 32 bytes (it has 3 bytes)",
        ]
    );
    let both = [given[0], ("TIDINGS_ACCESS__HS256_SECRET", SECRET)];
    assert_eq!(File::new("").mistakes(&both, SecretRule::Required).len(), 1, "two secrets are one too many");
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_other_mistakes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.toml");
    let mistakes = load(Some(&path), [("TIDINGS_X", "")], SecretRule::Required).unwrap_err();
    assert_eq!(mistakes.as_slice().len(), 2, "{mistakes}");
    let unfinished = File::new("[access");
    assert_eq!(
        unfinished.mistakes(&[], SecretRule::Required).len(),
        1,
        "the secret may be in what was not read"
    );
    check(
        "[access]\nhs256_secret = \"unfinished\n",
        &[("TIDINGS_X__Y", "1")],
        &[
            "tidings.toml, line 2: expected TOML: invalid basic string, expected `\"`",
            "TIDINGS_X__Y: unknown variable",
        ],
    );
}

#[test]
fn a_variable_that_is_not_utf8_is_a_mistake() {
    use std::os::unix::ffi::OsStringExt;
    let broken = std::ffi::OsString::from_vec(vec![0xff]);
    let file = File::new("");
    let loaded = load(
        Some(Path::new(&file.path("tidings.toml"))),
        [("TIDINGS_NATS__URL", broken)],
        SecretRule::Optional,
    );
    let told = loaded.unwrap_err().as_slice()[0].to_string();
    assert_eq!(told, "TIDINGS_NATS__URL: expected a variable in UTF-8");
}

/// However a secret is misplaced, its text is in no message.
#[test]
fn no_secret_is_shown() {
    let rows = [
        "[access]\nhs256_secret = \"hunter2\"\n",
        "[access]\nhs256_secret = [\"hunter2\"]\n",
        "[access]\nhs256_secrte = \"hunter2\"\n",
        "[acces]\nhs256_secret = \"hunter2\"\n",
        "[[access]]\nhs256_secret = \"hunter2\"\n",
        "access = \"hunter2\"\n",
        "hs256_secret = \"hunter2\"\n",
        "[access]\nhs256_secret = \"hunter2\n",
        "[access]\nhs256_secret = hunter2\n",
        "[access]\nhs256_secret = 'a' hunter2\n",
        "[[access.issuers]]\nhs256_secret = \"hunter2\"\n",
        "[[access.issuers]]\nhs256_secret = [\"hunter2\"]\n",
        "[[access.issuers]]\nhs256_secrte = \"hunter2\"\n",
        "[access.issuers]\nhs256_secret = \"hunter2\"\n",
        "[access]\nissuers = [\"hunter2\"]\n",
        "[[access.issuers]]\njwks_url = \"https://ada:hunter2@id.example/\"\n",
        "[nats]\nurl = \"nats://ada:hunter2@127.0.0.1:4222\"\n",
        "[nats]\nurl = \"nats://hunter2@127.0.0.1\"\n",
        "[telemetry]\notlp_endpoint = \"http://ada:hunter2@collector\"\n",
    ];
    for text in rows {
        let error = File::new(text).load(&[], SecretRule::Required).unwrap_err();
        let shown = format!("{error}{error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    check_value(
        "access.hs256_secret",
        "\"hunter2\"",
        Some("hunter2"),
        "a value of 7 bytes (@): expected a secret of at least 32 bytes (RFC 7518, section 3.2)",
    );
    assert_eq!(format!("{:?}", Secret::new(*b"hunter2")), "Secret(7 bytes)");
}

proptest! {
    /// Whatever stands in a variable is either understood or told as a mistake of it, and never a contradiction between
    /// the check and the program.
    #[test]
    fn any_text_is_understood_or_told(index in 0..ANY.len(), text in ".{0,12}|[0-9]{1,20}( ?[KMG]i?B|[smhd])?|-?[0-9.e]{1,6}") {
        let file = File::new("");
        let name = ANY[index];
        prop_assume!(!text.contains('\0'));
        for told in file.mistakes(&[(name, &text)], SecretRule::Optional) {
            prop_assert!(told.contains(name) || told.contains("at most the shortest"), "{told}");
        }
    }
}

const ANY: [&str; 12] = [
    "TIDINGS_NATS__URL",
    "TIDINGS_NATS__CONNECT_TIMEOUT",
    "TIDINGS_STREAMS__REPLICAS",
    "TIDINGS_STREAMS__EVENTS_MAX_AGE",
    "TIDINGS_STREAMS__EVENTS_MAX_BYTES",
    "TIDINGS_GATEWAY__LISTEN",
    "TIDINGS_GATEWAY__WINDOW_BYTES",
    "TIDINGS_GATEWAY__MESSAGE_BURST",
    "TIDINGS_GATEWAY__ALLOWED_ORIGINS",
    "TIDINGS_PROJECTOR__IN_FLIGHT",
    "TIDINGS_TELEMETRY__LOG",
    "TIDINGS_TELEMETRY__SAMPLE_RATIO",
];

#[test]
fn a_tenant_may_have_limits_of_its_own() {
    let file = File::new(
        "[gateway]\nconnections_per_user = 3\n[gateway.tenants.ops]\nconnections_per_tenant = 10_000\n\
         max_message_bytes = \"1 MiB\"\n[gateway.tenants.uploads]\n",
    );
    let gateway = file.load(&[], SecretRule::Optional).unwrap().gateway;
    assert_eq!(gateway.tenants.keys().collect::<Vec<_>>(), ["ops", "uploads"]);
    let ops = &gateway.tenants["ops"];
    assert_eq!(ops.connections_per_tenant.unwrap().get(), 10_000);
    assert_eq!((ops.max_message_bytes, ops.connections_per_user), (Some(1 << 20), None));
}

#[test]
fn mistakes_in_a_tenants_limits_are_told_with_its_name() {
    check(
        "[gateway.tenants.ops]\nmessage_burst = 0\nmax_frame_bytes = \"much\"\nmesage_burst = 5\nmax_connections = 9\n\
         [gateway.tenants.Kitchen]\nmessage_burst = 5\n",
        &[("TIDINGS_GATEWAY__TENANTS", "ops")],
        &[
            "TIDINGS_GATEWAY__TENANTS: unknown variable",
            "gateway.tenants.ops.message_burst = 0 (tidings.toml): expected a whole number from 1 to 1000000",
            "gateway.tenants.ops.max_frame_bytes = \"much\" (tidings.toml): expected a size above zero, in bytes or such \
             as 16 KiB, 1 MiB or 2 GB",
            "gateway.tenants.ops.mesage_burst (tidings.toml): unknown; did you mean gateway.tenants.ops.message_burst?",
            "gateway.tenants.ops.max_connections (tidings.toml): unknown",
        ],
    );
    check(
        "[gateway.tenants.Kitchen]\nmessage_burst = 5\n",
        &[],
        &[
            "gateway.tenants = \"Kitchen\" (tidings.toml): expected a tenant's name: 1 to 32 of a-z, 0-9, _ and -",
        ],
    );
    check(
        "[gateway]\ntenants = [\"ops\"]\n",
        &[],
        &["gateway.tenants = a value of 7 bytes (tidings.toml): expected tables, each with a name"],
    );
    check(
        "[gateway.tenants]\nops = 5\n",
        &[],
        &["gateway.tenants.ops = a value of 1 bytes (tidings.toml): expected a table of keys and values"],
    );
}
