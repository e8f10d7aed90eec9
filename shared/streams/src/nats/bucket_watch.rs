//! Watches a bucket: first all of its entries, then each change.
//!
//! An ordered reader reads the bucket from its beginning and continues with new writes. Everything is read again
//! whenever something may have been missed: the client has reconnected, a delivery or its heartbeat is missing, or the
//! server has delivered more than arrived here. So entries that were removed without a trace, and a bucket that came back
//! with an older state, are noticed, too. Until all of it has been read again, the earlier state stays valid.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tidings_model::Epoch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Bucket, Content, Delivered, OrderedReader, Read, Retry, Selection};

/// How often the server is asked how much it has delivered.
const INQUIRY: Duration = Duration::from_secs(5);

/// What a watch returns.
#[derive(Debug)]
pub(crate) enum BucketNews<T> {
    /// All entries, in this epoch of the bucket.
    All(Epoch, Vec<T>),
    /// A new entry, or one that was written again or removed.
    One(T),
}

/// Parses an entry: its key, and the message. `None` for what is no entry.
type Parse<T> = Box<dyn Fn(&str, &Delivered) -> Option<T> + Send + Sync>;

/// Reads a bucket and its changes.
pub(crate) struct BucketWatch<T> {
    bucket: Bucket,
    /// The keys, which may have wildcards.
    keys: String,
    parse: Parse<T>,
    /// `None` after a fault, until everything is read again.
    reader: Option<OrderedReader>,
    /// The entries read so far, by their keys; `None` once all of them have been returned.
    gathered: Option<BTreeMap<String, T>>,
    /// Read and not yet returned.
    ready: VecDeque<T>,
    inquiry: Interval,
    retry: Retry,
}

impl<T> BucketWatch<T> {
    /// Nothing is read before [`BucketWatch::next`] is called.
    pub(crate) fn new(
        bucket: Bucket,
        parse: impl Fn(&str, &Delivered) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        Self::of(bucket, ">", parse)
    }

    /// Watches the entries with these keys, which may have wildcards.
    pub(crate) fn of(
        bucket: Bucket,
        keys: &str,
        parse: impl Fn(&str, &Delivered) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        let mut inquiry = interval(INQUIRY);
        inquiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let retry = Retry::to(format!("read bucket {}", bucket.name()));
        let (gathered, ready) = (None, VecDeque::new());
        Self {
            bucket,
            keys: keys.to_owned(),
            parse: Box::new(parse),
            reader: None,
            gathered,
            ready,
            inquiry,
            retry,
        }
    }

    /// Returns what comes next; first of all, and after every fault, [`BucketNews::All`]. Waits until faults of NATS have
    /// passed. Cancel-safe.
    pub(crate) async fn next(&mut self) -> BucketNews<T> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return BucketNews::One(entry);
            }
            let Some(reader) = &mut self.reader else {
                Box::pin(self.open()).await;
                continue;
            };
            if reader.pending() == 0 && self.gathered.is_some() {
                match Box::pin(reader.has_read_all()).await {
                    Ok(true) => {
                        self.retry.succeeded();
                        let (epoch, all) =
                            (reader.position().epoch, self.gathered.take().unwrap_or_default());
                        return BucketNews::All(epoch, all.into_values().collect());
                    }
                    // A replica that is behind serves it.
                    Ok(false) => self.retry.interrupted(),
                    Err(error) => self.retry.failed(&*error),
                }
                self.reader = None;
                continue;
            }
            let read = tokio::select! {
                read = reader.read() => read,
                _ = self.inquiry.tick() => {
                    Box::pin(reader.inquire()).await;
                    Read::Messages(Vec::new())
                }
            };
            match read {
                Read::Messages(messages) => self.take(&messages),
                Read::Renewed(_) => self.reader = None,
            }
            if self.reader.as_ref().is_some_and(OrderedReader::is_interrupted) {
                self.reader = None;
                self.retry.interrupted();
            }
        }
    }

    async fn open(&mut self) {
        self.retry.wait().await;
        let selection = Selection::new(
            self.bucket.stream_name().to_owned(),
            vec![self.bucket.subject(&self.keys)],
            Content::Whole,
        );
        match OrderedReader::open_at_start(self.bucket.context().clone(), selection).await {
            Ok(reader) => {
                (self.reader, self.gathered) = (Some(reader), Some(BTreeMap::new()));
                self.inquiry.reset();
            }
            Err(error) => self.retry.failed(&*error),
        }
    }

    fn take(&mut self, messages: &[Delivered]) {
        for delivered in messages {
            let key = self.bucket.key(&delivered.message.subject);
            let Some(entry) = (self.parse)(key, delivered) else { continue };
            match &mut self.gathered {
                // If it was written several times during the read, the last record counts.
                Some(gathered) => _ = gathered.insert(key.to_owned(), entry),
                None => self.ready.push_back(entry),
            }
        }
    }
}
