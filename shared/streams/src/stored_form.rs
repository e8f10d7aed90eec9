//! The forms of all records that lie in buckets, by the bucket. It lets tests read any bytes as each of them, without a
//! server; what is promised is in [`crate::record`].

use tidings_model::Placement;

use crate::catalogs::Recorded;
use crate::consumers::ConsumerState;
use crate::record::{self, Record, RecordError};
use crate::users::UserState;

/// What a bucket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredForm {
    /// `CATALOGS`: the files of a tenant.
    Catalog,
    /// `CONSUMERS`: where a device stands.
    Consumer,
    /// `PLACEMENTS`: where a tenant's envelopes are.
    Placement,
    /// `USERS`: which users are disabled, which tokens revoked.
    User,
}

impl StoredForm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Catalog, Self::Consumer, Self::Placement, Self::User];

    /// Reads a record, and writes it again. A record that is read has one spelling.
    pub fn rewrite(self, json: &[u8]) -> Result<Vec<u8>, RecordError> {
        match self {
            Self::Catalog => rewrite::<Recorded>(json),
            Self::Consumer => rewrite::<ConsumerState>(json),
            Self::Placement => rewrite::<Placement>(json),
            Self::User => rewrite::<UserState>(json),
        }
    }
}

fn rewrite<R: Record>(json: &[u8]) -> Result<Vec<u8>, RecordError> {
    record::encode(&record::decode::<R>(json)?).map_err(RecordError::Members)
}
