//! Those whose tokens are believed.

use tidings_runtime::config::{SecretRule, SignatureAlgorithm};

use crate::support::{File, SECRET, check};

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
             \"RS512\" or \"PS256\" or \"ES256\" or \"ES384\" or \"EdDSA\" or \"Ed25519\""
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
            "access.issuers[1].tenants is not set: expected the tenants that it may issue tokens for, since there are \
             other issuers",
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
            "access.issuers[0].tenants = [] (tidings.toml): expected at least one tenant that it may issue tokens for",
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
fn a_previous_secret_stands_beside_another_current_one() {
    let other = "another-secret-of-32-bytes-or-so";
    let both = format!("[access]\nhs256_secret = \"{SECRET}\"\nhs256_previous_secret = \"{other}\"\n");
    check(&both, &[], &[]);
    let config = File::new(&both).load(&[], SecretRule::Required).unwrap();
    assert_eq!(config.access.hs256_previous_secret.unwrap().expose(), other.as_bytes());

    let previous = |expected: &str| {
        format!("access.hs256_previous_secret = a value of 32 bytes (tidings.toml): expected {expected}")
    };
    let alone = format!("[access]\nhs256_previous_secret = \"{SECRET}\"\n");
    check(&alone, &[], &[&previous("nothing, because access.hs256_secret is not set")]);
    check(
        &format!("[access]\nhs256_secret = \"{SECRET}\"\nhs256_previous_secret = \"{SECRET}\"\n"),
        &[],
        &[&previous("another secret than access.hs256_secret")],
    );
    let beside = format!("[access]\nhs256_previous_secret = \"{SECRET}\"\n{}", issuer(""));
    check(&beside, &[], &[&previous("nothing, because access.issuers is set, too; make it one of them")]);
    let of_issuer = issuer(&format!(
        "jwks_url = none\nalgorithms = [\"HS256\"]\nhs256_secret = \"{SECRET}\"\nhs256_previous_secret = \"{other}\""
    ));
    check(&of_issuer, &[], &[]);
    let without = issuer(&format!("hs256_previous_secret = \"{SECRET}\""));
    let told = "access.issuers[0].hs256_previous_secret = a value of 32 bytes (tidings.toml): expected nothing, because \
                access.issuers[0].hs256_secret is not set";
    check(&without, &[], &[told]);
    // Files are as good.
    let file = File::new(&format!("[access]\nhs256_secret = \"{other}\"\n"));
    std::fs::write(file.path("previous"), SECRET).unwrap();
    let path = file.path("previous");
    let given = [("TIDINGS_ACCESS__HS256_PREVIOUS_SECRET_FILE", path.to_str().unwrap())];
    let config = file.load(&given, SecretRule::Required).unwrap();
    assert_eq!(config.access.hs256_previous_secret.unwrap().expose(), SECRET.as_bytes());
}

#[test]
fn what_a_token_may_be_has_bounds() {
    let told = |key: &str, value: &str, expected: &str| {
        format!("access.{key} = {value} (tidings.toml): expected {expected}")
    };
    let size = "a size from 1024 to 65536 bytes";
    check("[access]\nmax_token_bytes = 100\n", &[], &[&told("max_token_bytes", "100", size)]);
    check("[access]\nmax_token_bytes = \"65 KiB\"\n", &[], &[&told("max_token_bytes", "66560", size)]);
    let types = "at least one value of `typ`, or \"absent\"";
    check("[access]\ntypes = []\n", &[], &[&told("types", "[]", types)]);
    check("[access]\ntypes = [\"at+jwt\"]\nmax_lifetime = \"1h\"\nmax_token_bytes = \"12 KiB\"\n", &[], &[]);
    for origin in ["capacitor://localhost", "ionic://localhost", "tauri://localhost", "https://app.example"] {
        check(&format!("[gateway]\nallowed_origins = [\"{origin}\"]\n"), &[], &[]);
    }
    for origin in
        ["null", "file:///x", "wss://app.example", "https://app.example/x", "capacitor://", "localhost"]
    {
        let file = File::new(&format!("[gateway]\nallowed_origins = [\"{origin}\"]\n"));
        assert_eq!(file.mistakes(&[], SecretRule::Optional).len(), 1, "{origin}");
    }
}
