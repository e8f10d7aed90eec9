//! Any text is a message or is refused with an error of bounded size.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidings_protocol::client::{self, Limits};

fuzz_target!(|text: &str| {
    if let Err(refused) = client::parse(text, &Limits::default()) {
        assert!(refused.to_string().len() < 4096);
    }
});
