//! Signature Version 4 of Amazon Web Services, for a POST to `/` without a query. Pure.
//!
//! The crates that sign for AWS bring its SDK's runtime or another HTTP stack; the one shape of request here needs little
//! of what they do.

use std::fmt::Write as _;
use std::time::SystemTime;

use aws_lc_rs::{digest, hmac};
use time::OffsetDateTime;
use time::macros::format_description;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SIGNED_HEADERS: &str = "content-type;host;x-amz-date";
const SERVICE: &str = "sns";

/// What signs.
pub(super) struct Signing<'s> {
    pub(super) host: &'s str,
    pub(super) region: &'s str,
    pub(super) key_id: &'s str,
    pub(super) secret: &'s [u8],
}

/// Returns the value of `x-amz-date`, unless the year has more than four digits.
pub(super) fn timestamp(now: SystemTime) -> Option<String> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    OffsetDateTime::from(now).format(format).ok()
}

impl Signing<'_> {
    /// Returns the value of `Authorization`. `timestamp` is the value of `x-amz-date`.
    pub(super) fn authorization(&self, timestamp: &str, content_type: &str, body: &str) -> String {
        let date = timestamp.split('T').next().unwrap_or_default();
        let scope = format!("{date}/{}/{SERVICE}/aws4_request", self.region);
        let request = format!(
            "POST\n/\n\ncontent-type:{content_type}\nhost:{}\nx-amz-date:{timestamp}\n\n{SIGNED_HEADERS}\n{}",
            self.host,
            hash(body)
        );
        let text = format!("{ALGORITHM}\n{timestamp}\n{scope}\n{}", hash(&request));
        let signature = hex(&sign(&key(self.secret, date, self.region, SERVICE), &text));
        let key_id = self.key_id;
        format!(
            "{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={SIGNED_HEADERS}, Signature={signature}"
        )
    }
}

/// The key of one day, region and service.
fn key(secret: &[u8], date: &str, region: &str, service: &str) -> Vec<u8> {
    let first = [b"AWS4", secret].concat();
    [date, region, service, "aws4_request"].iter().fold(first, |key, part| sign(&key, part))
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hash(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// The example of Amazon's documentation.
    #[test]
    fn the_key_is_the_one_of_the_documentation() {
        let key = key(b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20120215", "us-east-1", "iam");
        assert_eq!(hex(&key), "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
    }

    #[test]
    fn a_time_is_written_as_amazon_does() {
        let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        assert_eq!(timestamp(time).as_deref(), Some("20150830T123600Z"));
    }
}
