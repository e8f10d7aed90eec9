//! What clients send to a gateway before they are connected.

use tidings_gateway::parsers::handshake_query;

use super::text;
use crate::Target;

pub(crate) const QUERY: Target = Target {
    name: "query",
    run: query,
    seeds: &[
        b"device=phone+1&token=x&since=18f3a0c2b41-42",
        b"device=%E8%AA%9E&device=a",
        b"device=a%0Ab",
        b"since=1-2&since=1-2",
        b"device=&since=yesterday",
        b"%64evice=x&=&&?",
    ],
    attempts: 4_000,
};

/// A device is a name that can be kept and shown, a position is one, and a refusal has the code of an answer.
fn query(input: &[u8]) {
    match handshake_query(&text(input)) {
        Ok((device, _)) => {
            let is_name =
                |name: &str| (1..=64).contains(&name.chars().count()) && !name.contains(char::is_control);
            assert!(device.as_deref().is_none_or(is_name), "{device:?}");
        }
        Err(code) => assert!(["DEVICE_NAME", "POSITION", "PARAMETER_REPEATED"].contains(&code)),
    }
}
