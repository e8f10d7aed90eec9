/// The events of tenant `uploads`, generated from its catalog by `tidings-producer-build`.
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    clippy::all,
    clippy::pedantic
)]
pub mod uploads {
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
        /// Publishes `upload.progressed`, and returns when it is stored.
        pub async fn upload_progressed(
            &self,
            data: &UploadProgressed,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `upload.progressed`, and returns when there is room for it.
        pub async fn enqueue_upload_progressed(
            &self,
            data: &UploadProgressed,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `notification.created`, and returns when it is stored.
        pub async fn notification_created(
            &self,
            data: &NotificationCreated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `notification.created`, and returns when there is room for it.
        pub async fn enqueue_notification_created(
            &self,
            data: &NotificationCreated,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `error.occurred`, and returns when it is stored.
        pub async fn error_occurred(
            &self,
            data: &ErrorOccurred,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `error.occurred`, and returns when there is room for it.
        pub async fn enqueue_error_occurred(
            &self,
            data: &ErrorOccurred,
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
    /// The data of `upload.progressed`.
    ///
    /// Upload progress
    ///
    /// How far the processing of an upload has come.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct UploadProgressed {
        #[serde(rename = "uploadId")]
        pub upload_id: String,
        #[serde(rename = "fileName")]
        pub file_name: String,
        /// Percent.
        #[serde(serialize_with = "::tidings_producer::data::number")]
        pub progress: f64,
        #[serde(rename = "currentRow")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub current_row: Option<u64>,
        #[serde(rename = "totalRows")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub total_rows: Option<u64>,
        pub message: String,
        #[serde(rename = "userId")]
        pub user_id: String,
    }
    impl UploadProgressed {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            upload_id: impl Into<String>,
            file_name: impl Into<String>,
            progress: f64,
            message: impl Into<String>,
            user_id: impl Into<String>,
        ) -> Self {
            Self {
                upload_id: upload_id.into(),
                file_name: file_name.into(),
                progress,
                current_row: None,
                total_rows: None,
                message: message.into(),
                user_id: user_id.into(),
            }
        }
    }
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum NotificationSeverity {
        /// `info`
        #[serde(rename = "info")]
        Info,
        /// `success`
        #[serde(rename = "success")]
        Success,
        /// `warning`
        #[serde(rename = "warning")]
        Warning,
        /// `error`
        #[serde(rename = "error")]
        Error,
    }
    /// The data of `notification.created`.
    ///
    /// Notification
    ///
    /// A notice for one user.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct NotificationCreated {
        pub title: String,
        pub message: String,
        pub severity: NotificationSeverity,
        #[serde(rename = "actionUrl")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub action_url: Option<String>,
        #[serde(rename = "actionLabel")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub action_label: Option<String>,
        #[serde(rename = "userId")]
        pub user_id: String,
    }
    impl NotificationCreated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            title: impl Into<String>,
            message: impl Into<String>,
            severity: NotificationSeverity,
            user_id: impl Into<String>,
        ) -> Self {
            Self {
                title: title.into(),
                message: message.into(),
                severity,
                action_url: None,
                action_label: None,
                user_id: user_id.into(),
            }
        }
    }
    /// The data of `error.occurred`.
    ///
    /// Error
    ///
    /// Something that the user asked for has failed.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct ErrorOccurred {
        pub code: String,
        pub message: String,
        /// Whatever helps to understand the error, of any type.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub details: Option<data::Value>,
        #[serde(rename = "userId")]
        pub user_id: String,
    }
    impl ErrorOccurred {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            code: impl Into<String>,
            message: impl Into<String>,
            user_id: impl Into<String>,
        ) -> Self {
            Self {
                code: code.into(),
                message: message.into(),
                details: None,
                user_id: user_id.into(),
            }
        }
    }
    impl EventData for UploadProgressed {
        const EVENT: &'static str = "upload.progressed";
    }
    impl EventData for NotificationCreated {
        const EVENT: &'static str = "notification.created";
    }
    impl EventData for ErrorOccurred {
        const EVENT: &'static str = "error.occurred";
    }
    /// The tenant of these events.
    pub const TENANT: &str = "uploads";
    /// Returns the catalog that this was generated from.
    pub fn catalog() -> Result<Catalog, ConnectError> {
        ::tidings_producer::catalog::parse(TENANT, FILES)
    }
    const FILES: &[(&str, &str)] = &[
        (
            "catalog.toml",
            "description = \"Uploads: their progress, and what users are told of their outcome\"\ngrants = [\"user:{sub}\"]\n# An upload may have begun, or failed, before its user's first connection was up.\ndeliver = \"1h\"\n\n# Bodies list their members because `userId` is for addressing and no part of the contract.\n\n[[message]]\nname = \"upload_progress\"\nevents = [\"upload.progressed\"]\nschema = \"upload_progress.schema.json\"\nto = \"user:{data.userId}\"\nclass = \"latest\"\nkey = \"{data.uploadId}\"\n[message.body]\ntype = \"upload_progress\"\ndata.uploadId = \"{data.uploadId}\"\ndata.fileName = \"{data.fileName}\"\ndata.progress = \"{data.progress}\"\ndata.currentRow = \"{data.currentRow?}\"\ndata.totalRows = \"{data.totalRows?}\"\ndata.message = \"{data.message}\"\ntimestamp = \"{time}\"\n\n[[message]]\nname = \"notification\"\nevents = [\"notification.created\"]\nschema = \"notification.schema.json\"\nto = \"user:{data.userId}\"\n[message.body]\ntype = \"notification\"\ndata.title = \"{data.title}\"\ndata.message = \"{data.message}\"\ndata.severity = \"{data.severity}\"\ndata.actionUrl = \"{data.actionUrl?}\"\ndata.actionLabel = \"{data.actionLabel?}\"\ntimestamp = \"{time}\"\n\n[[message]]\nname = \"error\"\nevents = [\"error.occurred\"]\nschema = \"error.schema.json\"\nto = \"user:{data.userId}\"\n[message.body]\ntype = \"error\"\ndata.code = \"{data.code}\"\ndata.message = \"{data.message}\"\ndata.details = \"{data.details?}\"\ntimestamp = \"{time}\"\n",
        ),
        (
            "error.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Error\",\n  \"description\": \"Something that the user asked for has failed.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"error\" },\n    \"data\": {\n      \"type\": \"object\",\n      \"properties\": {\n        \"code\": { \"type\": \"string\" },\n        \"message\": { \"type\": \"string\" },\n        \"details\": { \"description\": \"Whatever helps to understand the error, of any type.\" }\n      },\n      \"required\": [\"code\", \"message\"],\n      \"additionalProperties\": false\n    },\n    \"timestamp\": { \"type\": \"string\", \"format\": \"date-time\" }\n  },\n  \"required\": [\"type\", \"data\", \"timestamp\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "notification.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Notification\",\n  \"description\": \"A notice for one user.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"notification\" },\n    \"data\": {\n      \"type\": \"object\",\n      \"properties\": {\n        \"title\": { \"type\": \"string\" },\n        \"message\": { \"type\": \"string\" },\n        \"severity\": { \"enum\": [\"info\", \"success\", \"warning\", \"error\"] },\n        \"actionUrl\": { \"type\": \"string\" },\n        \"actionLabel\": { \"type\": \"string\" }\n      },\n      \"required\": [\"title\", \"message\", \"severity\"],\n      \"additionalProperties\": false\n    },\n    \"timestamp\": { \"type\": \"string\", \"format\": \"date-time\" }\n  },\n  \"required\": [\"type\", \"data\", \"timestamp\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "upload_progress.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Upload progress\",\n  \"description\": \"How far the processing of an upload has come.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"upload_progress\" },\n    \"data\": {\n      \"type\": \"object\",\n      \"properties\": {\n        \"uploadId\": { \"type\": \"string\", \"minLength\": 1 },\n        \"fileName\": { \"type\": \"string\" },\n        \"progress\": {\n          \"type\": \"number\",\n          \"minimum\": 0,\n          \"maximum\": 100,\n          \"description\": \"Percent.\"\n        },\n        \"currentRow\": { \"type\": \"integer\", \"minimum\": 0 },\n        \"totalRows\": { \"type\": \"integer\", \"minimum\": 0 },\n        \"message\": { \"type\": \"string\" }\n      },\n      \"required\": [\"uploadId\", \"fileName\", \"progress\", \"message\"],\n      \"additionalProperties\": false\n    },\n    \"timestamp\": { \"type\": \"string\", \"format\": \"date-time\" }\n  },\n  \"required\": [\"type\", \"data\", \"timestamp\"],\n  \"additionalProperties\": false\n}\n",
        ),
    ];
}
