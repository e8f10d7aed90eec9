//! The schemas of all records in buckets. Tests use it to read any bytes as each of them, without a server; the
//! guarantees are in `nats::record`.

use tidings_model::Placement;
use tidings_preferences::Preferences;

use crate::catalogs::Recorded;
use crate::consumers::ConsumerState;
use crate::nats::record;
use crate::nats::record::{Record, RecordError};
use crate::users::UserState;

/// The kind of a record, by its bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredForm {
    /// `CATALOGS`: the files of a tenant.
    Catalog,
    /// `CONSUMERS`: the state of a device.
    Consumer,
    /// `PLACEMENTS`: the placement of a tenant.
    Placement,
    /// `PREFERENCES`: what a user has set.
    Preferences,
    /// `USERS`: disabled users and revoked tokens.
    User,
}

impl StoredForm {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Catalog, Self::Consumer, Self::Placement, Self::Preferences, Self::User];

    /// Decodes a record and encodes it again. Each record has exactly one encoding.
    pub fn rewrite(self, json: &[u8]) -> Result<Vec<u8>, RecordError> {
        match self {
            Self::Catalog => rewrite::<Recorded>(json),
            Self::Consumer => rewrite::<ConsumerState>(json),
            Self::Placement => rewrite::<Placement>(json),
            Self::Preferences => rewrite::<Preferences>(json),
            Self::User => rewrite::<UserState>(json),
        }
    }
}

fn rewrite<R: Record>(json: &[u8]) -> Result<Vec<u8>, RecordError> {
    record::encode(&record::decode::<R>(json)?).map_err(RecordError::Members)
}
