//! `EVENTS`: publishing it, reading it once for the projector, and reading it again.

mod history;
mod publish;
mod reader;
mod stored_event;
mod writer;

pub use self::history::{EventHistory, HistoryError};
pub use self::publish::{EventAnswer, PublishEventError, event_size, publish_event};
pub(crate) use self::reader::continue_behind;
pub use self::reader::{EventReader, Pace, ReadEvent, ReaderError};
pub(crate) use self::stored_event::raw_event;
pub use self::writer::{EventWriteError, EventWriter, OpenWriterError, OutgoingEvent, PendingEvent};
