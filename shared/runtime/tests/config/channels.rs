//! Webhooks, e-mail, Amazon SNS, web push.

use tidings_runtime::config::SecretRule;

use crate::support::{File, check, check_value};

const KEY: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";

#[test]
fn a_channel_needs_all_of_its_keys() {
    let needs =
        |missing: &str, given: &str| format!("{missing} is not set: expected a value, since {given} is set");
    for (text, missing, given) in [
        ("[email]\nserver = \"mail\"\n", "email.from", "email.server"),
        ("[email]\nuser = \"ada\"\n", "email.password", "email.user"),
        ("[email]\npassword = \"hunter2\"\n", "email.user", "email.password"),
        ("[sns]\nregion = \"eu-central-1\"\n", "sns.access_key_id", "sns.region"),
        ("[sns]\nsecret_access_key = \"x\"\n", "sns.access_key_id", "sns.secret_access_key"),
        ("[sns]\naccess_key_id = \"x\"\n", "sns.secret_access_key", "sns.access_key_id"),
        (&format!("[web_push]\nvapid_key = \"{KEY}\"\n"), "web_push.contact", "web_push.vapid_key"),
    ] {
        check(text, &[], &[&needs(missing, given)]);
    }
}

#[test]
fn a_wrong_value_is_told_with_what_was_expected() {
    let rows = [
        (
            "email.from",
            "\"Acme\"",
            "an e-mail address, such as no-reply@acme.example or Acme <no-reply@acme.example>",
        ),
        ("email.port", "0", "a whole number from 1 to 65535"),
        ("email.tls", "\"on\"", "\"starttls\" or \"implicit\" or \"off\""),
        ("sns.region", "\"eu.central\"", "a region such as eu-central-1"),
        (
            "sns.endpoint",
            "\"sns.example\"",
            "a URL such as https://sns.eu-central-1.amazonaws.com, without path, user or password",
        ),
        ("web_push.contact", "\"ops\"", "mailto: and an e-mail address, or an https URL"),
    ];
    for (key, value, expected) in rows {
        let (section, entry) = key.split_once('.').unwrap();
        let told = format!("{key} = {value} (tidings.toml): expected {expected}");
        check(&format!("[{section}]\n{entry} = {value}\n"), &[], &[&told]);
    }
    check_value(
        "web_push.vapid_key",
        "\"hunter2\"",
        Some("hunter2"),
        "a value of 7 bytes (@): expected a private VAPID key: 32 bytes in Base64 for URLs, 43 characters",
    );
}

#[test]
fn secrets_come_from_files_and_are_not_shown() {
    let file = File::new("");
    for (name, secret) in [("password", "hunter2"), ("key", KEY)] {
        std::fs::write(file.path(name), format!("{secret}\n")).unwrap();
    }
    let (password, key) = (file.path("password"), file.path("key"));
    let (password, key) = (password.to_str().unwrap(), key.to_str().unwrap());
    let given = [
        ("TIDINGS_EMAIL__USER", "ada"),
        ("TIDINGS_EMAIL__PASSWORD_FILE", password),
        ("TIDINGS_SNS__ACCESS_KEY_ID", "AKIA"),
        ("TIDINGS_SNS__SECRET_ACCESS_KEY_FILE", password),
        ("TIDINGS_WEB_PUSH__VAPID_KEY_FILE", key),
        ("TIDINGS_WEB_PUSH__CONTACT", "mailto:ops@acme.example"),
    ];
    let config = file.load(&given, SecretRule::Optional).unwrap();
    assert_eq!(config.email.password.as_ref().unwrap().expose(), b"hunter2");
    assert_eq!(config.sns.secret_access_key.as_ref().unwrap().expose(), b"hunter2");
    assert_eq!(config.web_push.vapid_key.as_ref().unwrap().expose(), KEY.as_bytes());
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && !shown.contains(KEY), "{shown}");

    let wrong = [
        ("TIDINGS_WEB_PUSH__VAPID_KEY_FILE", password),
        ("TIDINGS_WEB_PUSH__CONTACT", "mailto:ops@acme.example"),
    ];
    let [mistake] = &file.mistakes(&wrong, SecretRule::Optional)[..] else { panic!("{wrong:?}") };
    assert!(
        mistake.starts_with("web_push.vapid_key_file = ") && mistake.ends_with("(it has 7 bytes)"),
        "{mistake}"
    );
}
