//! The secret that tokens are signed with: where it comes from, and that nothing shows it.

use tidings_runtime::config::{Secret, SecretRule};

use crate::support::{File, SECRET, check_value};

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
