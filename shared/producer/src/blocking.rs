//! The blocking producer, for programs that are not asynchronous. It runs on a thread of its own.
//!
//! ```no_run
//! use tidings_producer::{Event, Settings, blocking::Producer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let producer = Producer::connect("ops", Settings::new("nats://127.0.0.1:4222", "/metrics"))?;
//! producer.publish(Event::new("metric.updated", serde_json::json!({ "metric_name": "load", "value": 7 })))?;
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::error::{ConnectError, PublishError, Unstored};
use crate::event::Event;
use crate::queue::{Receipt, Stored};
use crate::settings::Settings;

/// Publishes a tenant's events. Its methods block. Do not call them or drop it in asynchronous code: tokio panics
/// there.
#[derive(Debug)]
pub struct Producer {
    producer: crate::Producer,
    runtime: Runtime,
}

impl Producer {
    /// See [`crate::Producer::connect`].
    pub fn connect(tenant: &str, settings: Settings) -> Result<Self, ConnectError> {
        let mut thread = Builder::new_multi_thread();
        let thread = thread.worker_threads(1).thread_name("tidings-producer").enable_all();
        let runtime = thread.build().map_err(ConnectError::Thread)?;
        Ok(Self { producer: runtime.block_on(crate::Producer::connect(tenant, settings))?, runtime })
    }

    /// See [`crate::Producer::publish`].
    pub fn publish(&self, event: Event) -> Result<Stored, PublishError> {
        self.runtime.block_on(self.producer.publish(event))
    }

    /// See [`crate::Producer::cancel`].
    pub fn cancel(&self, name: &str, id: &str) -> Result<Stored, PublishError> {
        self.runtime.block_on(self.producer.cancel(name, id))
    }

    /// See [`crate::Producer::enqueue`]. It blocks only while the buffer is full.
    pub fn enqueue(&self, event: Event) -> Result<Receipt, PublishError> {
        self.runtime.block_on(self.producer.enqueue(event))
    }

    /// See [`crate::Producer::try_enqueue`].
    pub fn try_enqueue(&self, event: Event) -> Result<Receipt, PublishError> {
        self.producer.try_enqueue(event)
    }

    /// Waits for the result of an enqueued event.
    pub fn stored(&self, receipt: Receipt) -> Result<Stored, PublishError> {
        self.runtime.block_on(receipt.stored())
    }

    /// See [`crate::Producer::flush`].
    pub fn flush(&self) -> Result<(), PublishError> {
        self.runtime.block_on(self.producer.flush())
    }

    /// See [`crate::Producer::shutdown`].
    pub fn shutdown(&self, within: Duration) -> Result<(), Unstored> {
        self.runtime.block_on(self.producer.shutdown(within))
    }
}
