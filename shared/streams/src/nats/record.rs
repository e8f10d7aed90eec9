//! Records in buckets and in the metadata of consumers: one JSON object with the version of its schema.
//!
//! Any account that may publish into a bucket can store anything there, by mistake or as JetStream's answer to a
//! publication. Therefore nothing is guessed: a record that lacks a member, has an unknown one, or is of another
//! version is an error. An optional member is `null`, never absent; `{}` is not a record.
//!
//! A newer version is a separate error: a newer Tidings wrote the record, and an older one must not replace it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Serialize, de::Error as _};
use serde_json::Value;

/// The member with the version.
const VERSION: &str = "version";

/// How many unreadable records are remembered as reported.
const REPORTED: usize = 1_024;

/// A stored record. All of its members are required, and no others are accepted.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// The version that is written and read.
    const VERSION: u64;
}

#[derive(Serialize)]
struct Versioned<'r, R> {
    version: u64,
    #[serde(flatten)]
    record: &'r R,
}

/// Encodes a record as JSON.
pub(crate) fn encode<R: Record>(record: &R) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Versioned { version: R::VERSION, record })
}

/// Decodes a record.
pub(crate) fn decode<R: Record>(json: &[u8]) -> Result<R, RecordError> {
    if json.is_empty() {
        return Err(RecordError::Empty);
    }
    let Value::Object(mut members) = tidings_model::json::parse(json).map_err(RecordError::Malformed)? else {
        return Err(RecordError::Malformed(serde_json::Error::custom("expected a JSON object")));
    };
    let version = members.remove(VERSION).ok_or(RecordError::NoVersion)?;
    match version.as_u64() {
        Some(found) if found == R::VERSION => {}
        Some(found) if found > R::VERSION => return Err(RecordError::Newer { found, known: R::VERSION }),
        _ => return Err(RecordError::UnknownVersion { found: version.to_string(), known: R::VERSION }),
    }
    serde_json::from_value(Value::Object(members)).map_err(RecordError::Members)
}

/// Why a stored record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is empty.
    #[error("it is empty, expected a JSON object")]
    Empty,
    /// It is not a JSON object.
    #[error("it is not a JSON object")]
    Malformed(#[source] serde_json::Error),
    /// It has no version: Tidings did not write it.
    #[error("it has no member `version`, so Tidings did not write it")]
    NoVersion,
    /// A newer Tidings wrote it.
    #[error("it has version {found}, and this Tidings reads version {known}; update Tidings")]
    Newer {
        /// The version of the record.
        found: u64,
        /// The version that this Tidings reads.
        known: u64,
    },
    /// No version of Tidings wrote it.
    #[error("it has version {found}, expected {known}")]
    UnknownVersion {
        /// The version in the record.
        found: String,
        /// The version that this Tidings reads.
        known: u64,
    },
    /// A member is missing, unknown, or invalid.
    #[error("its members are not those of a record")]
    Members(#[source] serde_json::Error),
}

impl RecordError {
    /// Whether a newer Tidings wrote the record, so that it must not be replaced.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        matches!(self, Self::Newer { .. })
    }
}

/// The unreadable records that were reported, so that each is logged once, not at every read.
#[derive(Debug)]
pub(crate) struct Reported<K>(Mutex<HashMap<K, u64>>);

impl<K> Default for Reported<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq + Clone> Reported<K> {
    /// Whether this revision of the record has not been reported yet. Marks it as reported.
    pub(crate) fn is_new(&self, key: &K, revision: u64) -> bool {
        let mut reported = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.get(key) == Some(&revision) {
            return false;
        }
        if reported.len() >= REPORTED {
            reported.clear();
        }
        reported.insert(key.clone(), revision);
        true
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        #[serde(deserialize_with = "tidings_model::json::present")]
        note: Option<String>,
    }

    impl Record for Sample {
        const VERSION: u64 = 2;
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let sample = Sample { name: "a".to_owned(), note: None };
        let json = encode(&sample).unwrap();
        assert_eq!(json, br#"{"version":2,"name":"a","note":null}"#);
        assert_eq!(decode::<Sample>(&json).unwrap(), sample);
    }

    #[test]
    fn everything_else_is_refused_with_the_reason() {
        for (json, reason) in [
            ("", "it is empty"),
            ("garbage", "it is not a JSON object"),
            ("[1]", "it is not a JSON object"),
            (r#"{"stream":"EVENTS","seq":5}"#, "no member `version`"),
            (r#"{"name":"a","note":null}"#, "no member `version`"),
            (
                r#"{"version":3,"name":"a","note":null}"#,
                "version 3, and this Tidings reads version 2; update",
            ),
            (r#"{"version":1,"name":"a","note":null}"#, "version 1, expected 2"),
            (r#"{"version":"2","name":"a","note":null}"#, "version \"2\", expected 2"),
            (r#"{"version":2,"name":"a"}"#, "missing field `note`"),
            (r#"{"version":2,"note":null}"#, "missing field `name`"),
            (r#"{"version":2,"name":"a","note":null,"seq":5}"#, "unknown field `seq`"),
            (r#"{"version":2,"name":7,"note":null}"#, "invalid type"),
        ] {
            let error = decode::<Sample>(json.as_bytes()).unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            let text = format!("{error}: {source}");
            assert!(text.contains(reason), "{json}: {text}");
            assert_eq!(error.is_newer(), reason.contains("update"), "{json}");
        }
    }

    #[test]
    fn a_record_is_reported_once_for_each_revision() {
        let reported = Reported::default();
        assert!(reported.is_new(&"a", 1));
        assert!(!reported.is_new(&"a", 1));
        assert!(reported.is_new(&"b", 1));
        assert!(reported.is_new(&"a", 2));
    }
}
