//! The parameters `device` and `since` of a handshake. Pure.

use std::borrow::Cow;

use tidings_model::{Position, PositionError};

use crate::error::{ApiCode, ApiError};

/// The longest name of a device, in characters.
const MAX_DEVICE: usize = 64;

/// The query of a handshake.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct HandshakeQuery {
    pub(crate) device: Option<String>,
    /// The position that the client kept itself.
    pub(crate) since: Option<Position>,
}

/// Why a query cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueryError {
    #[error("the device {0:?} is not a name of 1 to {MAX_DEVICE} printable characters")]
    Device(String),
    #[error(transparent)]
    Since(#[from] PositionError),
    #[error("the query has several `{0}`, expected one")]
    Repeated(&'static str),
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let code = match error {
            QueryError::Device(_) => ApiCode::DeviceName,
            QueryError::Since(_) => ApiCode::Position,
            QueryError::Repeated(_) => ApiCode::ParameterRepeated,
        };
        Self::new(code, error.to_string())
    }
}

impl HandshakeQuery {
    /// Reads the part after `?` as it was sent.
    pub(crate) fn read(query: Option<&str>) -> Result<Self, QueryError> {
        let query = query.unwrap_or_default();
        let device = sole(query, "device")?.map(Cow::into_owned);
        if let Some(device) = device.as_deref().filter(|device| !is_device(device)) {
            return Err(QueryError::Device(device.chars().take(MAX_DEVICE).collect()));
        }
        let since = sole(query, "since")?.map(|position| position.parse()).transpose()?;
        Ok(Self { device, since })
    }
}

fn is_device(name: &str) -> bool {
    (1..=MAX_DEVICE).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

fn sole<'q>(query: &'q str, name: &'static str) -> Result<Option<Cow<'q, str>>, QueryError> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(found, _)| found == name);
    let value = values.next().map(|(_, value)| value);
    if values.next().is_some() { Err(QueryError::Repeated(name)) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use tidings_streams::consumers::ConsumerName;

    use super::*;

    /// The device of a query, or the code with which it is refused.
    #[track_caller]
    fn check(query: &str, expected: Result<Option<&str>, &str>) {
        let read = HandshakeQuery::read(Some(query));
        let device = read.as_ref().map(|read| read.device.as_deref());
        let device = device.map_err(|error| ApiError::from(error.clone()).code().as_str());
        assert_eq!(device, expected, "{query}");
    }

    #[test]
    fn a_device_is_a_name_of_64_characters_in_any_script() {
        assert_eq!(HandshakeQuery::read(None), Ok(HandshakeQuery::default()));
        check("device=phone+1&token=x", Ok(Some("phone 1")));
        check("token=x", Ok(None));
        for letter in ["a", "é", "語", "😀"] {
            let (longest, longer) = (letter.repeat(64), letter.repeat(65));
            check(&format!("device={longest}"), Ok(Some(&longest)));
            check(&format!("device={longer}"), Err("DEVICE_NAME"));
            assert!(longest.len() <= ConsumerName::MAX_PART_LENGTH, "every device has a durable consumer");
        }
        check("device=", Err("DEVICE_NAME"));
        check("device=a%0Ab", Err("DEVICE_NAME"));
        check("device=a&device=a", Err("PARAMETER_REPEATED"));
        check("since=1-2&since=1-2", Err("PARAMETER_REPEATED"));
        check("since=yesterday", Err("POSITION"));
    }
}
