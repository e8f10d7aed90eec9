//! NATS as the rest of this crate uses it: connections, streams that are as they have to be, buckets, and reading in
//! order. Nothing here knows what a stream is for.

pub(crate) mod ensure;
pub(crate) mod fast_ingest;
pub(crate) mod leader_get;
pub(crate) mod record;

mod backoff;
mod bucket;
mod bucket_watch;
mod connect;
mod headers;
mod ordered_reader;
mod outage;
mod publish_error;
mod repeated_fault;
pub(crate) mod restored;
mod retry;
mod scan;
mod selection;
mod stream_state;

pub use self::backoff::{Backoff, may_pass};
pub use self::bucket::BucketSettings;
pub use self::connect::{
    CONNECTION_METRICS, ConnectError, ConnectSettings, ConnectionFigures, Login, TlsFiles, connect,
};
pub use self::ensure::{Difference, TopologyError};
pub use self::outage::Outage;
pub use self::repeated_fault::RepeatedFault;
pub use self::retry::Retry;
pub use self::selection::Content;
pub(crate) use self::{
    bucket::{Bucket, Purpose, is_removal},
    bucket_watch::{BucketNews, BucketWatch},
    connect::{connects, report},
    ensure::Missing,
    headers::{all_headers, append, is_control, set},
    ordered_reader::{Delivered, OrderedReader, Read},
    publish_error::{is_permanent, is_permanent_code, was_beaten},
    scan::Scan,
    selection::Selection,
    stream_state::{SKEW, epoch_of, reaching},
};
