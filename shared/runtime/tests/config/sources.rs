//! The file, and the variables over it.

use std::path::Path;
use std::time::Duration;

use tidings_runtime::config::{LogFormat, SecretRule, Storage, load};

use crate::support::{File, check};

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
