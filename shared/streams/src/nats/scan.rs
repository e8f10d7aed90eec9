//! Reads the messages of some subjects of a stream once.
//!
//! They come in the order in which they were written. A message that replaces another during the scan moves to the end
//! and is read there, so the scan ends at the current end of the stream, not at the end at its start. A scan whose
//! completeness cannot be proved ends with an error.

use std::collections::VecDeque;

use async_nats::jetstream::Context;

use super::{Content, Delivered, OrderedReader, Read, Selection};

/// A scan of a stream.
pub(crate) struct Scan {
    stage: Stage,
    /// Read and not yet returned.
    ready: VecDeque<Delivered>,
}

enum Stage {
    Before(Context, Selection),
    Reading(Box<OrderedReader>),
    Over,
}

impl Scan {
    /// Scans the messages of this subject, which may have wildcards.
    pub(crate) fn new(context: Context, stream: &str, subject: String, content: Content) -> Self {
        let selection = Selection::new(stream.to_owned(), vec![subject], content);
        Self { stage: Stage::Before(context, selection), ready: VecDeque::new() }
    }

    /// Returns the next message, or `None` after the last. After an error the scan is over.
    pub(crate) async fn next(&mut self) -> Result<Option<Delivered>, async_nats::Error> {
        while self.ready.is_empty() {
            let mut reader = match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Before(context, selection) => {
                    Box::new(OrderedReader::open_at_start(context, selection).await?)
                }
                Stage::Reading(reader) => reader,
                Stage::Over => return Ok(None),
            };
            match reader.read_pending().await? {
                Some(Read::Messages(messages)) => {
                    self.ready.extend(messages);
                    self.stage = Stage::Reading(reader);
                }
                Some(Read::Renewed(_)) => return Err("the stream was recreated while it was listed".into()),
                None => reader.finish().await,
            }
        }
        Ok(self.ready.pop_front())
    }
}
