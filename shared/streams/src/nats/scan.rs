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
    Before(Box<(Context, Selection)>),
    Reading(Box<OrderedReader>),
    Over,
}

impl Scan {
    /// Scans the messages of this subject, which may have wildcards.
    pub(crate) fn new(context: Context, stream: &str, subject: String, content: Content) -> Self {
        Self::of_subjects(context, stream, vec![subject], content)
    }

    /// Scans the messages of these subjects, which may have wildcards, and of which none has messages of another.
    pub(crate) fn of_subjects(
        context: Context,
        stream: &str,
        subjects: Vec<String>,
        content: Content,
    ) -> Self {
        Self::of(context, Selection::new(stream.to_owned(), subjects, content))
    }

    /// Scans what is selected.
    pub(crate) fn of(context: Context, selection: Selection) -> Self {
        Self { stage: Stage::Before(Box::new((context, selection))), ready: VecDeque::new() }
    }

    /// Returns the next message, or `None` after the last. After an error the scan is over. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Delivered>, async_nats::Error> {
        while self.ready.is_empty() && !matches!(self.stage, Stage::Over) {
            if let Err(error) = Box::pin(self.read()).await {
                self.stage = Stage::Over;
                return Err(error);
            }
        }
        Ok(self.ready.pop_front())
    }

    async fn read(&mut self) -> Result<(), async_nats::Error> {
        if let Stage::Before(before) = &self.stage {
            let (context, selection) = (**before).clone();
            self.stage = Stage::Reading(Box::new(OrderedReader::open_at_start(context, selection).await?));
        }
        let Stage::Reading(reader) = &mut self.stage else { return Ok(()) };
        match reader.read_pending().await? {
            Some(Read::Messages(messages)) => self.ready.extend(messages),
            Some(Read::Renewed(_)) => return Err("the stream was recreated while it was listed".into()),
            None => {
                if let Stage::Reading(reader) = std::mem::replace(&mut self.stage, Stage::Over) {
                    reader.finish().await;
                }
            }
        }
        Ok(())
    }
}
