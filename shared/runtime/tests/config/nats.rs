//! How a process logs in to NATS.

use tidings_runtime::config::{Secret, SecretRule};

use crate::support::{File, check};

const SEED: &str = "SUACH75SWCM5D2JMJM6EKLR2WDARVGZT4QC6LX3AGHSWOMVAKERABBBRWM";

/// Each way by itself, as a key and as a file.
#[test]
fn secrets_come_from_keys_and_from_files() {
    let text =
        |secret: Option<Secret>| secret.map(|secret| String::from_utf8(secret.expose().to_vec()).unwrap());
    for (key, value, besides) in
        [("password", "hunter2", "user = \"ada\"\n"), ("token", "t0ken", ""), ("nkey_seed", SEED, "")]
    {
        let here = File::new(&format!("[nats]\n{besides}{key} = \"{value}\"\n"));
        let there = File::new(&format!("[nats]\n{besides}"));
        std::fs::write(there.path("secret"), format!("{value}\n")).unwrap();
        let (variable, path) = (format!("TIDINGS_NATS__{}_FILE", key.to_uppercase()), there.path("secret"));
        let given = [(variable.as_str(), path.to_str().unwrap())];
        for config in [here.load(&[], SecretRule::Optional), there.load(&given, SecretRule::Optional)] {
            let nats = config.unwrap().nats;
            assert!(!format!("{nats:?}").contains(value), "{nats:?}");
            let found = text(nats.password).or(text(nats.token)).or(text(nats.nkey_seed));
            assert_eq!(found.as_deref(), Some(value));
        }
        let both = File::new(&format!("[nats]\n{besides}{key} = \"{value}\"\n"));
        let mistakes = both.mistakes(&given, SecretRule::Optional);
        assert!(mistakes.iter().any(|told| told.contains("keep one of them")), "{mistakes:?}");
        assert!(!format!("{mistakes:?}").contains(value), "{mistakes:?}");
    }
}

#[test]
fn a_process_logs_in_in_one_way() {
    let file = File::new("");
    std::fs::write(file.path("some"), "text\n").unwrap();
    let path = file.path("some");
    let path = path.to_str().unwrap();
    let ways = [
        ("nats.credentials", vec![("TIDINGS_NATS__CREDENTIALS", path)]),
        ("nats.user", vec![("TIDINGS_NATS__USER", "ada"), ("TIDINGS_NATS__PASSWORD", "hunter2")]),
        ("nats.token", vec![("TIDINGS_NATS__TOKEN", "t0ken")]),
        ("nats.nkey_seed", vec![("TIDINGS_NATS__NKEY_SEED", SEED)]),
    ];
    for (index, (first, one)) in ways.iter().enumerate() {
        assert_eq!(file.mistakes(one, SecretRule::Optional), Vec::<String>::new(), "{first}");
        for (second, other) in &ways[index + 1..] {
            let both: Vec<_> = one.iter().chain(other).copied().collect();
            let [mistake] = &file.mistakes(&both, SecretRule::Optional)[..] else { panic!("{both:?}") };
            assert!(mistake.starts_with(second), "{mistake}");
            let expected =
                format!("nothing, because {first} is set, too; a process logs in to NATS in one way");
            assert!(mistake.ends_with(&expected), "{mistake}");
            assert!(!mistake.contains("t0ken") && !mistake.contains(SEED), "{mistake}");
        }
    }
}

#[test]
fn halves_and_files_are_checked() {
    let rows = [
        ("user = \"ada\"", "nats.password is not set: expected a value, since nats.user is set"),
        ("password = \"hunter2\"", "nats.user is not set: expected a value, since nats.password is set"),
        (
            "tls_ca = \"no.pem\"",
            "nats.tls_ca = \"no.pem\" (tidings.toml): expected a file that can be read (No such file or directory (os \
             error 2))",
        ),
        (
            "tls_key = \"tidings.toml\"",
            "nats.tls_certificate is not set: expected the file of the certificate, since nats.tls_key is set",
        ),
        (
            "nkey_seed_file = \"no.seed\"",
            "nats.nkey_seed_file = \"no.seed\" (tidings.toml): expected a file with the seed of a user's nkey: SU and 56 of \
             A-Z and 2-7 (No such file or directory (os error 2))",
        ),
        (
            "nkey_seed = \"hunter2\"",
            "nats.nkey_seed = a value of 7 bytes (tidings.toml): expected the seed of a user's nkey: SU and 56 of A-Z and 2-7",
        ),
        (
            "api_prefix = \"$JS.API.>\"",
            "nats.api_prefix = \"$JS.API.>\" (tidings.toml): expected a subject without wildcards, such as $JS.API",
        ),
    ];
    for (line, told) in rows {
        let expected: Vec<_> = [told].into_iter().filter(|_| !line.contains("tls_key")).collect();
        if line.contains("tls_key") {
            let mistakes = File::new(&format!("[nats]\n{line}\n")).mistakes(&[], SecretRule::Optional);
            assert!(mistakes.contains(&told.to_owned()), "{mistakes:?}");
        } else {
            check(&format!("[nats]\n{line}\n"), &[], &expected);
        }
    }
}

#[test]
fn several_servers_are_one_text() {
    check("[nats]\nurl = \"nats://a:4222, tls://b:4222\"\n", &[], &[]);
    let told = "nats.url = \"nats://a:4222,http://b\" (tidings.toml): expected URLs such as nats://127.0.0.1:4222 or \
                tls://nats-1.example:4222,tls://nats-2.example:4222, without user or password";
    check("[nats]\nurl = \"nats://a:4222,http://b\"\n", &[], &[told]);
}
