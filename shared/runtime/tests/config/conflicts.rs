//! Keys that are fine by themselves and do not go with others, or with what is on the disk.

use tidings_runtime::config::SecretRule;

use crate::support::{File, SECRET, check};

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
    let expected = "gateway.trusted_proxies is not set: expected the proxies that may send PROXY headers, since \
                    gateway.proxy_protocol is true";
    check("[gateway]\nproxy_protocol = true\n", &[], &[expected]);
    check("[gateway]\nproxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\"]\n", &[], &[]);
}

#[test]
fn the_longest_message_is_within_the_burst_of_bytes() {
    let expected = |value: &str| {
        format!(
            "gateway.byte_burst = {value}: expected at least gateway.max_frame_bytes, for all tenants and for each"
        )
    };
    let default = expected("2097152 (default)");
    check("[gateway]\nmax_frame_bytes = \"3 MiB\"\n", &[], &[&default]);
    check("[gateway]\nmax_frame_bytes = \"3 MiB\"\nbyte_burst = \"3 MiB\"\n", &[], &[]);
    check("[gateway.tenants.ops]\nmax_frame_bytes = \"3 MiB\"\n", &[], &[&default]);
    check("[gateway.tenants.ops]\nmax_frame_bytes = \"3 MiB\"\nbyte_burst = \"3 MiB\"\n", &[], &[]);
    check("[gateway]\nbyte_burst = 1000\n", &[], &[&expected("1000 (tidings.toml)")]);
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
