//! Parses `[digest]`: what messages are joined to, and how long they are collected.

use std::time::Duration;

use super::Problems;
use crate::digest::Digest;
use crate::file::{DigestFile, to_json};

/// The shortest and the longest time for which messages are collected.
const TIMES: std::ops::RangeInclusive<Duration> = Duration::from_millis(250)..=Duration::from_secs(60);

impl Problems {
    pub(super) fn digest(&mut self, file: DigestFile) -> Option<Digest> {
        let wrong = || format!("every {:?} is no span from 250ms to 1min, such as \"1s\"", file.every);
        let every = humantime::parse_duration(&file.every).ok().filter(|every| TIMES.contains(every));
        let every = self.take("digest", every.ok_or_else(wrong));
        let body = self.take("digest", to_json(file.body))?;
        self.take("digest", Digest::new(every?, &body))
    }
}
