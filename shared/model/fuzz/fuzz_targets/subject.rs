//! Any text as a subject: what is read as an envelope's has this one spelling.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidings_model::{EnvelopeSubject, subject};

fuzz_target!(|text: &str| {
    if let Some(read) = EnvelopeSubject::parse(text) {
        assert_eq!(read.to_string(), text);
        // A wildcard here would be read by whoever follows the address.
        assert!(!text.contains(['*', '>', ' ', '\t', '\r', '\n']));
    }
    if let Some(decoded) = subject::decode(text) {
        assert_eq!(subject::encode(&decoded), text);
    }
});
