//! The reference, as a file and as the table in `deploy/README.md`.

use tidings_runtime::config::{Config, SecretRule, effective, reference, reference_table, settings};

use crate::support::File;

#[test]
fn the_reference_is_a_file_that_changes_nothing() {
    let config = File::new(&reference()).load(&[], SecretRule::Optional).unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

#[test]
fn every_key_is_explained() {
    let reference = reference();
    for line in [
        "# The connection to NATS.\n[nats]\n",
        "# Time between two heartbeats to a client.\n# Expected: a duration above zero and up to 100 years, such as \
         30s, 5m or 7d.\nheartbeat = \"30s\"\n",
        "\nhot_tail_bytes = \"128 MiB\"\n",
        "\nstorage = \"file\"\n",
        "\nsources = [\"header\",\"query\",\"cookie\",\"subprotocol\"]\n",
        "\ntrusted_proxies = []\n",
        "\n#hs256_secret =\n",
        "\n#[gateway.tenants.NAME]\n",
        "\n#[streams.shards]\n# Expected: a whole number from 0 to 63.\n#NAME =\n",
        "\n#[[access.issuers]]\n",
    ] {
        assert!(reference.contains(line), "{line:?} is not in\n{reference}");
    }
    let longest = reference.lines().map(|line| line.chars().count()).max();
    assert!(longest.is_some_and(|longest| longest <= 110), "{longest:?}");
}

#[test]
fn the_document_has_the_table_of_all_keys() {
    let (begin, end) = ("writes it -->\n", "<!-- configuration: end -->");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/README.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (before, rest) = document.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let generated = format!("{before}{begin}\n{}\n{end}{after}", reference_table());
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(path, &generated).unwrap();
    } else {
        assert!(
            document == generated,
            "UPDATE_GENERATED=1 cargo test -p tidings-runtime writes the table again"
        );
    }
}

/// What a file and variables set takes the place of defaults; what is secret is not shown, and what is wrong is named.
#[test]
fn a_configuration_is_shown_as_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidings.toml");
    let text = r#"
        [nats]
        url = "nats://127.0.0.1:4333"
        [gateway]
        listen = "0.0.0.0:9000"
        [gateway.tenants.ops]
        message_burst = 7
        [streams.shards]
        ops = 3
        [[access.issuers]]
        issuer = "backend"
        algorithms = ["HS256"]
        tenants = ["ops"]
        hs256_secret = "a-secret-of-at-least-32-bytes-here"
    "#;
    std::fs::write(&path, text).unwrap();
    let shown = effective(Some(&path), [("TIDINGS_GATEWAY__COOKIE", "sid")]).unwrap();
    assert!(!shown.contains("a-secret-of"), "{shown}");
    let values: toml::Table = shown.parse().unwrap();
    assert_eq!(values["gateway"]["listen"].as_str(), Some("0.0.0.0:9000"));
    assert_eq!(values["gateway"]["cookie"].as_str(), Some("sid"));
    assert_eq!(values["gateway"]["heartbeat"].as_str(), Some("30s"));
    assert_eq!(values["gateway"]["tenants"]["ops"]["message_burst"].as_integer(), Some(7));
    assert_eq!(values["streams"]["shards"]["ops"].as_integer(), Some(3));
    assert_eq!(values["access"]["issuers"][0]["issuer"].as_str(), Some("backend"));
    assert_eq!(effective(None, <[(&str, &str); 0]>::default()).unwrap(), reference());

    std::fs::write(&path, "[gateway]\nlisen = 1\n").unwrap();
    let wrong = effective(Some(&path), <[(&str, &str); 0]>::default()).unwrap_err().to_string();
    assert!(wrong.contains("gateway.lisen") && wrong.contains("did you mean gateway.listen?"), "{wrong}");
}

/// One line for each key, with its origin, in TOML, and without secrets; what is spelled otherwise is no change.
#[test]
fn each_setting_has_an_origin_and_secrets_are_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("own.toml");
    let text = r#"
        [nats]
        password = "hidden-in-the-file"
        user = "me"
        [gateway]
        heartbeat = "30000ms"
        idle_timeout = "90s"
        max_frame_bytes = 16_384
        cookie = "session"
        [gateway.tenants.ops]
        message_burst = 7
        [streams.shards]
        ops = 3
        [[access.issuers]]
        issuer = "backend"
        algorithms = ["HS256"]
        tenants = ["ops"]
        hs256_secret = "a-secret-of-at-least-32-bytes-here"
    "#;
    std::fs::write(&path, text).unwrap();
    let variables =
        [("TIDINGS_GATEWAY__COOKIE", "sid"), ("TIDINGS_GATEWAY__TRUSTED_PROXIES", "10.0.0.7,10.1.0.0/16")];
    let all = settings(Some(&path), variables).unwrap();
    let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
    let of_file = format!("  # file {}", path.display());
    let expected = [
        (r#"nats.password = "set, and not shown""#, &*of_file, true),
        (r#"gateway.heartbeat = "30000ms""#, &of_file, false),
        (r#"gateway.idle_timeout = "90s""#, &of_file, true),
        ("gateway.max_frame_bytes = 16384", &of_file, false),
        (r#"gateway.cookie = "sid""#, "  # variable TIDINGS_GATEWAY__COOKIE", true),
        (
            r#"gateway.trusted_proxies = ["10.0.0.7","10.1.0.0/16"]"#,
            "  # variable TIDINGS_GATEWAY__TRUSTED_PROXIES",
            true,
        ),
        ("gateway.tenants.ops.message_burst = 7", &of_file, true),
        ("streams.shards.ops = 3", &of_file, true),
        (r#"access.issuers[0].issuer = "backend""#, &of_file, true),
        (r#"access.issuers[0].hs256_secret = "set, and not shown""#, &of_file, true),
        (r#"gateway.listen = "127.0.0.1:8080""#, "  # default", false),
        ("#nats.token =", "  # default", false),
    ];
    for (setting, origin, is_changed) in expected {
        let at = lines.iter().position(|line| *line == format!("{setting}{origin}"));
        let at = at.unwrap_or_else(|| panic!("{setting}{origin} is not in\n{}", lines.join("\n")));
        assert_eq!(all[at].is_changed(), is_changed, "{setting}");
    }
    let text = lines.join("\n");
    assert!(!text.contains("hidden-in") && !text.contains("a-secret-of"), "{text}");

    let defaults = settings(None, <[(&str, &str); 0]>::default()).unwrap();
    assert!(!defaults.iter().any(tidings_runtime::config::Setting::is_changed));
    for key in defaults.iter().map(tidings_runtime::config::Setting::key) {
        let keys = reference_table();
        assert!(keys.contains(&format!("| `{key}`")), "{key} is in the reference");
    }
}
