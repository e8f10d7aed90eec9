//! Sources: JetStream streams of a team's own, whose messages are copied into `EVENTS`.
//!
//! Why not JetStream's own sources. `EVENTS` could have the team's stream among its `sources`, and nats-server would copy:
//! but a name in the body or a header is out of reach of a subject transform; what no transform matches is left out
//! silently, instead of kept with the reason; a stream that was rolled back is read on behind the lost sequence, so that
//! what it stores until then never comes; every change alters `EVENTS`, which no projector may; and the account of
//! `EVENTS` would need the API of every team.
//!
//! So a projector copies, and relies on three things. [`SourceReader`] reads the stream in order, without a durable consumer
//! and without acknowledgements, so that nothing of the team's changes. [`CopyWriter`] stores a copy only if the last copy
//! of the source in `EVENTS` is the one that it knows, which the leader of `EVENTS` checks, and of several copies at once each
//! only behind the one before it: whatever was killed, cut off or sent twice, copies come in order, and none is left out. And the last copy says where to go on; a record in the bucket `PROJECTORS`
//! says it, too, for when `EVENTS` has removed the copy by its age.

mod batch;
mod copies;
mod new_copy;
mod reader;

pub use self::copies::{CopiedThrough, CopyError, CopyWriter, OpenCopiesError};
pub use self::new_copy::NewCopy;
pub use self::reader::{SourceError, SourceMessage, SourceReader, SourceStream};
