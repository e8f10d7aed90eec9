//! What a backup says of itself: `backup.json`, and the lines of tails.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tidings_model::json;
use tidings_streams::backup::{SavedMessage, SavedStream};

use crate::failure::Failure;

/// The version that is written and read.
const VERSION: u64 = 1;

/// What is in a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    version: u64,
    /// Names the backup.
    id: String,
    /// The Tidings that made it.
    tidings: String,
    /// When it was begun and ended.
    begun: String,
    ended: String,
    streams: Vec<SavedStream>,
    /// How far each projector had acknowledged `EVENTS`.
    acknowledged: Vec<(String, u64)>,
}

impl Manifest {
    pub(super) fn new(
        id: String,
        (begun, ended): (String, String),
        streams: Vec<SavedStream>,
        acknowledged: Vec<(String, u64)>,
    ) -> Self {
        let tidings = env!("CARGO_PKG_VERSION").to_owned();
        Self { version: VERSION, id, tidings, begun, ended, streams, acknowledged }
    }

    pub(super) fn to_json(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, Failure> {
        let version = json::parse(text)?["version"].as_u64();
        if version != Some(VERSION) {
            let found = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
            return Err(format!("the version of its format is {found}, expected {VERSION}").into());
        }
        Ok(json::read(text)?)
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn begun(&self) -> &str {
        &self.begun
    }

    pub(super) fn streams(&self) -> &[SavedStream] {
        &self.streams
    }

    pub(super) fn acknowledged(&self) -> &[(String, u64)] {
        &self.acknowledged
    }
}

/// A line of a tail.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sequence: u64,
    subject: String,
    headers: Vec<(String, String)>,
    /// In base64.
    payload: String,
}

/// A message as a line.
pub(super) fn encode(message: &SavedMessage) -> Result<String, Failure> {
    let SavedMessage { sequence, subject, headers, payload } = message;
    let payload = STANDARD.encode(payload);
    let (sequence, subject, headers) = (*sequence, subject.clone(), headers.clone());
    Ok(serde_json::to_string(&Line { sequence, subject, headers, payload })?)
}

/// The message of a line.
pub(super) fn decode(line: &str) -> Result<SavedMessage, Failure> {
    let Line { sequence, subject, headers, payload } = json::read(line.as_bytes())?;
    Ok(SavedMessage { sequence, subject, headers, payload: STANDARD.decode(payload)? })
}
