//! The reference says what holds, and README says the same.

use std::time::Duration;

use tidings_runtime::config::{Config, SecretRule, effective, reference};

use crate::support::File;

const README: &str = include_str!("../../../../README.md");

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

/// The keys of the reference with their defaults, as far as they are no tables.
fn keys() -> Vec<(String, Option<toml::Value>)> {
    let reference = reference();
    let values: toml::Table = reference.parse().unwrap();
    let (mut section, mut keys) = (String::new(), Vec::new());
    for line in reference.lines() {
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
        } else if line.starts_with("#[") {
            section.clear();
        } else if let Some((key, _)) = line.split_once(" =").filter(|_| !section.is_empty())
            && !line.starts_with("# ")
        {
            let key = key.trim_start_matches('#');
            keys.push((format!("{section}.{key}"), values[&section].get(key).cloned()));
        }
    }
    keys
}

/// Whether README, which writes for people, says this default.
fn says(cell: &str, default: Option<&toml::Value>) -> bool {
    let text = cell.split('`').nth(1).unwrap_or(cell);
    let duration = |text: &str| humantime::parse_duration(text).ok();
    let size = |text: &str| text.parse::<bytesize::ByteSize>().ok();
    match default {
        // In words, or with the value that stands in for it.
        None => !cell.is_empty(),
        Some(toml::Value::Array(items)) if items.is_empty() => cell == "none",
        Some(toml::Value::Array(items)) => items.iter().all(|item| says_item(cell, item)),
        Some(toml::Value::String(value)) => {
            text == value
                || duration(value).is_some_and(|value: Duration| duration(text) == Some(value))
                || size(value).is_some_and(|value| size(text) == Some(value))
        }
        Some(value) => text == value.to_string(),
    }
}

fn says_item(cell: &str, item: &toml::Value) -> bool {
    item.as_str().is_some_and(|item| cell.split(", ").any(|said| said == item))
}

#[test]
fn readme_has_every_key_with_its_default() {
    let keys = keys();
    assert!(keys.len() > 60, "{keys:?}");
    let rows: Vec<Vec<&str>> = README
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let name = |row: &Vec<&str>| row[0].split('`').nth(1).unwrap_or_default().to_owned();
    for (key, default) in &keys {
        let row = rows.iter().find(|row| name(row) == *key);
        let row = row.unwrap_or_else(|| panic!("README has no row of {key}"));
        assert!(says(row[1], default.as_ref()), "{key} = {default:?}, and README says {}", row[1]);
    }
    let is_of_a_section = |name: &str| {
        let section = name.split_once('.').map(|(section, _)| section);
        section.is_some_and(|section| keys.iter().any(|(key, _)| key.starts_with(&format!("{section}."))))
    };
    for name in rows.iter().filter(|row| row.len() == 3).map(name).filter(|name| is_of_a_section(name)) {
        assert!(keys.iter().any(|(key, _)| *key == name), "README has {name}, which is no key");
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
