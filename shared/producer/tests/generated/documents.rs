/// The events of tenant `documents`, generated from its catalog by `tidings-producer-build`.
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    clippy::all,
    clippy::pedantic
)]
pub mod documents {
    use ::tidings_producer::catalog::Catalog;
    use ::tidings_producer::data::serde::{Deserialize, Serialize};
    use ::tidings_producer::data::{self, EventData};
    use ::tidings_producer::{
        ConnectError, Event, PublishError, Receipt, Settings, Stored,
    };
    /// Publishes this tenant's events. It is a [`::tidings_producer::Producer`] with a method for each of them.
    #[derive(Debug)]
    pub struct Producer(::tidings_producer::Producer);
    impl Producer {
        /// Connects; events that the catalog would reject are refused before they are sent.
        pub async fn connect(settings: Settings) -> Result<Self, ConnectError> {
            let settings = settings.catalog(catalog()?);
            ::tidings_producer::Producer::connect(TENANT, settings).await.map(Self)
        }
        /// Publishes `processing.started`, and returns when it is stored.
        pub async fn processing_started(
            &self,
            data: &ProcessingStarted,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `processing.started`, and returns when there is room for it.
        pub async fn enqueue_processing_started(
            &self,
            data: &ProcessingStarted,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `processing.progressed`, and returns when it is stored.
        pub async fn processing_progressed(
            &self,
            data: &ProcessingProgressed,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `processing.progressed`, and returns when there is room for it.
        pub async fn enqueue_processing_progressed(
            &self,
            data: &ProcessingProgressed,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `processing.completed`, and returns when it is stored.
        pub async fn processing_completed(
            &self,
            data: &ProcessingCompleted,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `processing.completed`, and returns when there is room for it.
        pub async fn enqueue_processing_completed(
            &self,
            data: &ProcessingCompleted,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `processing.failed`, and returns when it is stored.
        pub async fn processing_failed(
            &self,
            data: &ProcessingFailed,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `processing.failed`, and returns when there is room for it.
        pub async fn enqueue_processing_failed(
            &self,
            data: &ProcessingFailed,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
    }
    impl ::std::ops::Deref for Producer {
        type Target = ::tidings_producer::Producer;
        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }
    /// The data of `processing.started`.
    ///
    /// Processing started
    ///
    /// The processing of a document has begun.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct ProcessingStarted {
        #[serde(rename = "docId")]
        pub doc_id: String,
        #[serde(rename = "totalPages")]
        pub total_pages: u64,
        #[serde(rename = "userId")]
        pub user_id: String,
    }
    /// The data of `processing.progressed`.
    ///
    /// Progress
    ///
    /// So many of a document's pages are processed.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct ProcessingProgressed {
        #[serde(rename = "docId")]
        pub doc_id: String,
        #[serde(rename = "pagesProcessed")]
        pub pages_processed: u64,
        #[serde(rename = "totalPages")]
        pub total_pages: u64,
        #[serde(rename = "userId")]
        pub user_id: String,
    }
    /// The data of `processing.completed`.
    ///
    /// Processing complete
    ///
    /// A document is processed.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct ProcessingCompleted {
        #[serde(rename = "docId")]
        pub doc_id: String,
        #[serde(rename = "userId")]
        pub user_id: String,
    }
    /// The data of `processing.failed`.
    ///
    /// Error
    ///
    /// The processing of a document has failed.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct ProcessingFailed {
        #[serde(rename = "errorCode")]
        pub error_code: String,
        pub message: String,
        #[serde(rename = "docId")]
        pub doc_id: String,
        /// Whether trying again can succeed.
        pub recoverable: bool,
        #[serde(rename = "userId")]
        pub user_id: String,
    }
    impl EventData for ProcessingStarted {
        const EVENT: &'static str = "processing.started";
    }
    impl EventData for ProcessingProgressed {
        const EVENT: &'static str = "processing.progressed";
    }
    impl EventData for ProcessingCompleted {
        const EVENT: &'static str = "processing.completed";
    }
    impl EventData for ProcessingFailed {
        const EVENT: &'static str = "processing.failed";
    }
    /// The tenant of these events.
    pub const TENANT: &str = "documents";
    /// Returns the catalog that this was generated from.
    pub fn catalog() -> Result<Catalog, ConnectError> {
        ::tidings_producer::catalog::parse(TENANT, FILES)
    }
    const FILES: &[(&str, &str)] = &[
        (
            "catalog.toml",
            "description = \"Document processing: progress for the user whose document it is\"\ngrants = [\"user:{sub}\"]\n# A document's processing may have begun before its user's first connection was up.\ndeliver = \"1h\"\n\n# The four share a slot: the newest of them, whichever it is, is a document's state.\n\n[[message]]\nname = \"processing_started\"\nslot = \"processing\"\nevents = [\"processing.started\"]\nschema = \"processing_started.schema.json\"\nto = \"user:{data.userId}\"\nclass = \"latest\"\nkey = \"{data.docId}\"\n[message.body]\nstatus = \"processing_started\"\ndocId = \"{data.docId}\"\ntotalPages = \"{data.totalPages}\"\n\n[[message]]\nname = \"progress\"\nslot = \"processing\"\nevents = [\"processing.progressed\"]\nschema = \"progress.schema.json\"\nto = \"user:{data.userId}\"\nclass = \"latest\"\nkey = \"{data.docId}\"\n[message.body]\nstatus = \"progress\"\ndocId = \"{data.docId}\"\npagesProcessed = \"{data.pagesProcessed}\"\ntotalPages = \"{data.totalPages}\"\n\n[[message]]\nname = \"processing_complete\"\nslot = \"processing\"\nevents = [\"processing.completed\"]\nschema = \"processing_complete.schema.json\"\nto = \"user:{data.userId}\"\nclass = \"latest\"\nkey = \"{data.docId}\"\n[message.body]\nstatus = \"processing_complete\"\ndocId = \"{data.docId}\"\n\n[[message]]\nname = \"error\"\nslot = \"processing\"\nevents = [\"processing.failed\"]\nschema = \"error.schema.json\"\nto = \"user:{data.userId}\"\nclass = \"latest\"\nkey = \"{data.docId}\"\n[message.body]\nstatus = \"error\"\nerrorCode = \"{data.errorCode}\"\nmessage = \"{data.message}\"\ndocId = \"{data.docId}\"\nrecoverable = \"{data.recoverable}\"\n\n[routes.progress]\nmessage = \"processing\"\nkey = \"{docId}\"\n",
        ),
        (
            "error.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Error\",\n  \"description\": \"The processing of a document has failed.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"status\": { \"const\": \"error\" },\n    \"errorCode\": { \"type\": \"string\" },\n    \"message\": { \"type\": \"string\" },\n    \"docId\": { \"type\": \"string\", \"minLength\": 1 },\n    \"recoverable\": { \"type\": \"boolean\", \"description\": \"Whether trying again can succeed.\" }\n  },\n  \"required\": [\"status\", \"errorCode\", \"message\", \"docId\", \"recoverable\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "processing_complete.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Processing complete\",\n  \"description\": \"A document is processed.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"status\": { \"const\": \"processing_complete\" },\n    \"docId\": { \"type\": \"string\", \"minLength\": 1 }\n  },\n  \"required\": [\"status\", \"docId\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "processing_started.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Processing started\",\n  \"description\": \"The processing of a document has begun.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"status\": { \"const\": \"processing_started\" },\n    \"docId\": { \"type\": \"string\", \"minLength\": 1 },\n    \"totalPages\": { \"type\": \"integer\", \"minimum\": 0 }\n  },\n  \"required\": [\"status\", \"docId\", \"totalPages\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "progress.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Progress\",\n  \"description\": \"So many of a document's pages are processed.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"status\": { \"const\": \"progress\" },\n    \"docId\": { \"type\": \"string\", \"minLength\": 1 },\n    \"pagesProcessed\": { \"type\": \"integer\", \"minimum\": 0 },\n    \"totalPages\": { \"type\": \"integer\", \"minimum\": 0 }\n  },\n  \"required\": [\"status\", \"docId\", \"pagesProcessed\", \"totalPages\"],\n  \"additionalProperties\": false\n}\n",
        ),
    ];
}
