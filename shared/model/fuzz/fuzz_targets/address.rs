//! Any two texts: an address is two literal subject tokens, its own, and leads back; so does its text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidings_model::{Address, subject};

fuzz_target!(|input: (&str, &str)| {
    let (one, other) = input;
    for text in [one, other] {
        if let Ok(address) = Address::parse(text) {
            assert_eq!(address.as_str(), text);
        }
        let token = subject::encode(text);
        assert_eq!(subject::decode(&token).as_deref(), Some(text));
        assert_ne!(token, subject::ABSENT);
    }
    let (one, other) = (Address::new("user", one), Address::new("user", other));
    let tokens = |address: &Address| {
        let tokens = address.to_subject_tokens();
        let (kind, id) = tokens.split_once('.').expect("there are two");
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-=".contains(&byte)));
        assert_eq!(Address::from_subject_tokens(kind, id).as_ref(), Some(address));
        tokens
    };
    if let (Ok(one), Ok(other)) = (one, other) {
        assert_eq!(tokens(&one) == tokens(&other), one == other);
    }
});
