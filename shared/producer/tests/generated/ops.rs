/// The events of tenant `ops`, generated from its catalog by `tidings-producer-build`.
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    clippy::all,
    clippy::pedantic
)]
pub mod ops {
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
        /// Publishes `incident.created`, and returns when it is stored.
        pub async fn incident_created(
            &self,
            data: &IncidentCreated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `incident.created`, and returns when there is room for it.
        pub async fn enqueue_incident_created(
            &self,
            data: &IncidentCreated,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `incident.updated`, and returns when it is stored.
        pub async fn incident_updated(
            &self,
            data: &IncidentUpdated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `incident.updated`, and returns when there is room for it.
        pub async fn enqueue_incident_updated(
            &self,
            data: &IncidentUpdated,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `incident.deleted`, and returns when it is stored.
        pub async fn incident_deleted(
            &self,
            data: &IncidentDeleted,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `incident.deleted`, and returns when there is room for it.
        pub async fn enqueue_incident_deleted(
            &self,
            data: &IncidentDeleted,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `task.created`, and returns when it is stored.
        pub async fn task_created(
            &self,
            data: &TaskCreated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `task.created`, and returns when there is room for it.
        pub async fn enqueue_task_created(
            &self,
            data: &TaskCreated,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `task.updated`, and returns when it is stored.
        pub async fn task_updated(
            &self,
            data: &TaskUpdated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `task.updated`, and returns when there is room for it.
        pub async fn enqueue_task_updated(
            &self,
            data: &TaskUpdated,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `task.deleted`, and returns when it is stored.
        pub async fn task_deleted(
            &self,
            data: &TaskDeleted,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `task.deleted`, and returns when there is room for it.
        pub async fn enqueue_task_deleted(
            &self,
            data: &TaskDeleted,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `asset.created`, and returns when it is stored.
        pub async fn asset_created(
            &self,
            data: &AssetCreated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `asset.created`, and returns when there is room for it.
        pub async fn enqueue_asset_created(
            &self,
            data: &AssetCreated,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `asset.updated`, and returns when it is stored.
        pub async fn asset_updated(
            &self,
            data: &AssetUpdated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `asset.updated`, and returns when there is room for it.
        pub async fn enqueue_asset_updated(
            &self,
            data: &AssetUpdated,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `asset.deleted`, and returns when it is stored.
        pub async fn asset_deleted(
            &self,
            data: &AssetDeleted,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `asset.deleted`, and returns when there is room for it.
        pub async fn enqueue_asset_deleted(
            &self,
            data: &AssetDeleted,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `alert.created`, and returns when it is stored.
        pub async fn alert_created(
            &self,
            data: &AlertCreated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `alert.created`, and returns when there is room for it.
        pub async fn enqueue_alert_created(
            &self,
            data: &AlertCreated,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `alert.updated`, and returns when it is stored.
        pub async fn alert_updated(
            &self,
            data: &AlertUpdated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `alert.updated`, and returns when there is room for it.
        pub async fn enqueue_alert_updated(
            &self,
            data: &AlertUpdated,
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
        /// Publishes `announcement.created`, and returns when it is stored.
        pub async fn announcement_created(
            &self,
            data: &AnnouncementCreated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `announcement.created`, and returns when there is room for it.
        pub async fn enqueue_announcement_created(
            &self,
            data: &AnnouncementCreated,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `metric.updated`, and returns when it is stored.
        pub async fn metric_updated(
            &self,
            data: &MetricUpdated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `metric.updated`, and returns when there is room for it.
        pub async fn enqueue_metric_updated(
            &self,
            data: &MetricUpdated,
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
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum IncidentSeverity {
        /// `critical`
        #[serde(rename = "critical")]
        Critical,
        /// `high`
        #[serde(rename = "high")]
        High,
        /// `medium`
        #[serde(rename = "medium")]
        Medium,
        /// `low`
        #[serde(rename = "low")]
        Low,
    }
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum IncidentStatus {
        /// `open`
        #[serde(rename = "open")]
        Open,
        /// `in_progress`
        #[serde(rename = "in_progress")]
        InProgress,
        /// `resolved`
        #[serde(rename = "resolved")]
        Resolved,
        /// `closed`
        #[serde(rename = "closed")]
        Closed,
    }
    /// The data of `incident.created`.
    ///
    /// Incident event
    ///
    /// An incident was created, updated or deleted. A message carries the record's times as far as the producer states them.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct IncidentCreated {
        pub id: String,
        pub jira_id: String,
        pub title: String,
        pub severity: IncidentSeverity,
        pub status: IncidentStatus,
        pub squad: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub created_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub updated_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub assignee: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub description: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub environment: Option<String>,
        /// Further members.
        #[serde(flatten)]
        pub other: data::Map<String, data::Value>,
    }
    impl IncidentCreated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            id: impl Into<String>,
            jira_id: impl Into<String>,
            title: impl Into<String>,
            severity: IncidentSeverity,
            status: IncidentStatus,
            squad: impl Into<String>,
        ) -> Self {
            Self {
                id: id.into(),
                jira_id: jira_id.into(),
                title: title.into(),
                severity,
                status,
                squad: squad.into(),
                created_at: None,
                updated_at: None,
                assignee: None,
                description: None,
                environment: None,
                other: data::Map::new(),
            }
        }
    }
    /// The data of `incident.updated`.
    ///
    /// Incident event
    ///
    /// An incident was created, updated or deleted. A message carries the record's times as far as the producer states them.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct IncidentUpdated {
        pub id: String,
        pub jira_id: String,
        pub title: String,
        pub severity: IncidentSeverity,
        pub status: IncidentStatus,
        pub squad: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub created_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub updated_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub assignee: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub description: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub environment: Option<String>,
        /// Further members.
        #[serde(flatten)]
        pub other: data::Map<String, data::Value>,
    }
    impl IncidentUpdated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            id: impl Into<String>,
            jira_id: impl Into<String>,
            title: impl Into<String>,
            severity: IncidentSeverity,
            status: IncidentStatus,
            squad: impl Into<String>,
        ) -> Self {
            Self {
                id: id.into(),
                jira_id: jira_id.into(),
                title: title.into(),
                severity,
                status,
                squad: squad.into(),
                created_at: None,
                updated_at: None,
                assignee: None,
                description: None,
                environment: None,
                other: data::Map::new(),
            }
        }
    }
    /// The data of `incident.deleted`.
    ///
    /// Incident event
    ///
    /// An incident was created, updated or deleted. A message carries the record's times as far as the producer states them.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct IncidentDeleted {
        pub id: String,
        pub jira_id: String,
        pub title: String,
        pub severity: IncidentSeverity,
        pub status: IncidentStatus,
        pub squad: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub created_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub updated_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub assignee: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub description: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub environment: Option<String>,
        /// Further members.
        #[serde(flatten)]
        pub other: data::Map<String, data::Value>,
    }
    impl IncidentDeleted {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            id: impl Into<String>,
            jira_id: impl Into<String>,
            title: impl Into<String>,
            severity: IncidentSeverity,
            status: IncidentStatus,
            squad: impl Into<String>,
        ) -> Self {
            Self {
                id: id.into(),
                jira_id: jira_id.into(),
                title: title.into(),
                severity,
                status,
                squad: squad.into(),
                created_at: None,
                updated_at: None,
                assignee: None,
                description: None,
                environment: None,
                other: data::Map::new(),
            }
        }
    }
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum TaskStatus {
        /// `todo`
        #[serde(rename = "todo")]
        Todo,
        /// `in_progress`
        #[serde(rename = "in_progress")]
        InProgress,
        /// `review`
        #[serde(rename = "review")]
        Review,
        /// `done`
        #[serde(rename = "done")]
        Done,
    }
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum TaskPriority {
        /// `low`
        #[serde(rename = "low")]
        Low,
        /// `medium`
        #[serde(rename = "medium")]
        Medium,
        /// `high`
        #[serde(rename = "high")]
        High,
    }
    /// The data of `task.created`.
    ///
    /// Task event
    ///
    /// A task was created, updated or deleted. A message carries the record's times as far as the producer states them.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct TaskCreated {
        pub id: String,
        pub jira_id: String,
        pub title: String,
        pub status: TaskStatus,
        pub squad: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub assignee: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub due_date: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub priority: Option<TaskPriority>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub created_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub updated_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub environment: Option<String>,
        /// Further members.
        #[serde(flatten)]
        pub other: data::Map<String, data::Value>,
    }
    impl TaskCreated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            id: impl Into<String>,
            jira_id: impl Into<String>,
            title: impl Into<String>,
            status: TaskStatus,
            squad: impl Into<String>,
        ) -> Self {
            Self {
                id: id.into(),
                jira_id: jira_id.into(),
                title: title.into(),
                status,
                squad: squad.into(),
                assignee: None,
                due_date: None,
                priority: None,
                created_at: None,
                updated_at: None,
                environment: None,
                other: data::Map::new(),
            }
        }
    }
    /// The data of `task.updated`.
    ///
    /// Task event
    ///
    /// A task was created, updated or deleted. A message carries the record's times as far as the producer states them.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct TaskUpdated {
        pub id: String,
        pub jira_id: String,
        pub title: String,
        pub status: TaskStatus,
        pub squad: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub assignee: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub due_date: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub priority: Option<TaskPriority>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub created_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub updated_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub environment: Option<String>,
        /// Further members.
        #[serde(flatten)]
        pub other: data::Map<String, data::Value>,
    }
    impl TaskUpdated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            id: impl Into<String>,
            jira_id: impl Into<String>,
            title: impl Into<String>,
            status: TaskStatus,
            squad: impl Into<String>,
        ) -> Self {
            Self {
                id: id.into(),
                jira_id: jira_id.into(),
                title: title.into(),
                status,
                squad: squad.into(),
                assignee: None,
                due_date: None,
                priority: None,
                created_at: None,
                updated_at: None,
                environment: None,
                other: data::Map::new(),
            }
        }
    }
    /// The data of `task.deleted`.
    ///
    /// Task event
    ///
    /// A task was created, updated or deleted. A message carries the record's times as far as the producer states them.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct TaskDeleted {
        pub id: String,
        pub jira_id: String,
        pub title: String,
        pub status: TaskStatus,
        pub squad: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub assignee: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub due_date: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub priority: Option<TaskPriority>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub created_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub updated_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub environment: Option<String>,
        /// Further members.
        #[serde(flatten)]
        pub other: data::Map<String, data::Value>,
    }
    impl TaskDeleted {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            id: impl Into<String>,
            jira_id: impl Into<String>,
            title: impl Into<String>,
            status: TaskStatus,
            squad: impl Into<String>,
        ) -> Self {
            Self {
                id: id.into(),
                jira_id: jira_id.into(),
                title: title.into(),
                status,
                squad: squad.into(),
                assignee: None,
                due_date: None,
                priority: None,
                created_at: None,
                updated_at: None,
                environment: None,
                other: data::Map::new(),
            }
        }
    }
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum AssetRiskLevel {
        /// `critical`
        #[serde(rename = "critical")]
        Critical,
        /// `high`
        #[serde(rename = "high")]
        High,
        /// `medium`
        #[serde(rename = "medium")]
        Medium,
        /// `low`
        #[serde(rename = "low")]
        Low,
    }
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum AssetEnvironment {
        /// `production`
        #[serde(rename = "production")]
        Production,
        /// `staging`
        #[serde(rename = "staging")]
        Staging,
        /// `sandbox`
        #[serde(rename = "sandbox")]
        Sandbox,
        /// `dev`
        #[serde(rename = "dev")]
        Dev,
    }
    /// The data of `asset.created`.
    ///
    /// Asset event
    ///
    /// An asset was created, updated or deleted. A message carries the record's times as far as the producer states them.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct AssetCreated {
        pub id: String,
        pub hostname: String,
        pub asset_type: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ip_address: Option<String>,
        pub risk_level: AssetRiskLevel,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub owner: Option<String>,
        pub environment: AssetEnvironment,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub created_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub updated_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub squad: Option<String>,
        /// Further members.
        #[serde(flatten)]
        pub other: data::Map<String, data::Value>,
    }
    impl AssetCreated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            id: impl Into<String>,
            hostname: impl Into<String>,
            asset_type: impl Into<String>,
            risk_level: AssetRiskLevel,
            environment: AssetEnvironment,
        ) -> Self {
            Self {
                id: id.into(),
                hostname: hostname.into(),
                asset_type: asset_type.into(),
                ip_address: None,
                risk_level,
                owner: None,
                environment,
                created_at: None,
                updated_at: None,
                squad: None,
                other: data::Map::new(),
            }
        }
    }
    /// The data of `asset.updated`.
    ///
    /// Asset event
    ///
    /// An asset was created, updated or deleted. A message carries the record's times as far as the producer states them.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct AssetUpdated {
        pub id: String,
        pub hostname: String,
        pub asset_type: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ip_address: Option<String>,
        pub risk_level: AssetRiskLevel,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub owner: Option<String>,
        pub environment: AssetEnvironment,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub created_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub updated_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub squad: Option<String>,
        /// Further members.
        #[serde(flatten)]
        pub other: data::Map<String, data::Value>,
    }
    impl AssetUpdated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            id: impl Into<String>,
            hostname: impl Into<String>,
            asset_type: impl Into<String>,
            risk_level: AssetRiskLevel,
            environment: AssetEnvironment,
        ) -> Self {
            Self {
                id: id.into(),
                hostname: hostname.into(),
                asset_type: asset_type.into(),
                ip_address: None,
                risk_level,
                owner: None,
                environment,
                created_at: None,
                updated_at: None,
                squad: None,
                other: data::Map::new(),
            }
        }
    }
    /// The data of `asset.deleted`.
    ///
    /// Asset event
    ///
    /// An asset was created, updated or deleted. A message carries the record's times as far as the producer states them.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct AssetDeleted {
        pub id: String,
        pub hostname: String,
        pub asset_type: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ip_address: Option<String>,
        pub risk_level: AssetRiskLevel,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub owner: Option<String>,
        pub environment: AssetEnvironment,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub created_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub updated_at: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub squad: Option<String>,
        /// Further members.
        #[serde(flatten)]
        pub other: data::Map<String, data::Value>,
    }
    impl AssetDeleted {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            id: impl Into<String>,
            hostname: impl Into<String>,
            asset_type: impl Into<String>,
            risk_level: AssetRiskLevel,
            environment: AssetEnvironment,
        ) -> Self {
            Self {
                id: id.into(),
                hostname: hostname.into(),
                asset_type: asset_type.into(),
                ip_address: None,
                risk_level,
                owner: None,
                environment,
                created_at: None,
                updated_at: None,
                squad: None,
                other: data::Map::new(),
            }
        }
    }
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum AlertOperator {
        /// `greater_than`
        #[serde(rename = "greater_than")]
        GreaterThan,
        /// `less_than`
        #[serde(rename = "less_than")]
        LessThan,
        /// `equals`
        #[serde(rename = "equals")]
        Equals,
    }
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum AlertSeverity {
        /// `critical`
        #[serde(rename = "critical")]
        Critical,
        /// `high`
        #[serde(rename = "high")]
        High,
        /// `medium`
        #[serde(rename = "medium")]
        Medium,
        /// `low`
        #[serde(rename = "low")]
        Low,
    }
    /// The data of `alert.created`.
    ///
    /// Alert event
    ///
    /// A metric has crossed its threshold, or what is known of that has changed.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct AlertCreated {
        pub id: String,
        pub metric: String,
        #[serde(serialize_with = "::tidings_producer::data::number")]
        pub value: f64,
        #[serde(serialize_with = "::tidings_producer::data::number")]
        pub threshold: f64,
        pub operator: AlertOperator,
        pub environment: String,
        pub severity: AlertSeverity,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub resource_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub resource_type: Option<String>,
        pub triggered_at: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub squad: Option<String>,
        /// Further members.
        #[serde(flatten)]
        pub other: data::Map<String, data::Value>,
    }
    impl AlertCreated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            id: impl Into<String>,
            metric: impl Into<String>,
            value: f64,
            threshold: f64,
            operator: AlertOperator,
            environment: impl Into<String>,
            severity: AlertSeverity,
            triggered_at: impl Into<String>,
        ) -> Self {
            Self {
                id: id.into(),
                metric: metric.into(),
                value,
                threshold,
                operator,
                environment: environment.into(),
                severity,
                resource_id: None,
                resource_type: None,
                triggered_at: triggered_at.into(),
                squad: None,
                other: data::Map::new(),
            }
        }
    }
    /// The data of `alert.updated`.
    ///
    /// Alert event
    ///
    /// A metric has crossed its threshold, or what is known of that has changed.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct AlertUpdated {
        pub id: String,
        pub metric: String,
        #[serde(serialize_with = "::tidings_producer::data::number")]
        pub value: f64,
        #[serde(serialize_with = "::tidings_producer::data::number")]
        pub threshold: f64,
        pub operator: AlertOperator,
        pub environment: String,
        pub severity: AlertSeverity,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub resource_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub resource_type: Option<String>,
        pub triggered_at: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub squad: Option<String>,
        /// Further members.
        #[serde(flatten)]
        pub other: data::Map<String, data::Value>,
    }
    impl AlertUpdated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            id: impl Into<String>,
            metric: impl Into<String>,
            value: f64,
            threshold: f64,
            operator: AlertOperator,
            environment: impl Into<String>,
            severity: AlertSeverity,
            triggered_at: impl Into<String>,
        ) -> Self {
            Self {
                id: id.into(),
                metric: metric.into(),
                value,
                threshold,
                operator,
                environment: environment.into(),
                severity,
                resource_id: None,
                resource_type: None,
                triggered_at: triggered_at.into(),
                squad: None,
                other: data::Map::new(),
            }
        }
    }
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum NotificationType {
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
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum NotificationPriority {
        /// `low`
        #[serde(rename = "low")]
        Low,
        /// `normal`
        #[serde(rename = "normal")]
        Normal,
        /// `high`
        #[serde(rename = "high")]
        High,
        /// `urgent`
        #[serde(rename = "urgent")]
        Urgent,
    }
    /// The data of `notification.created`.
    ///
    /// Notification event
    ///
    /// A notice for one user, or for all. `id` may be absent: the contract's own test message has none.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct NotificationCreated {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub id: Option<String>,
        pub title: String,
        pub message: String,
        #[serde(rename = "type")]
        pub r#type: NotificationType,
        pub priority: NotificationPriority,
        /// Frontend route to navigate to.
        #[serde(rename = "actionUrl")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub action_url: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub metadata: Option<data::Map<String, data::Value>>,
        #[serde(rename = "userId")]
        pub user_id: String,
    }
    impl NotificationCreated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            title: impl Into<String>,
            message: impl Into<String>,
            r#type: NotificationType,
            priority: NotificationPriority,
            user_id: impl Into<String>,
        ) -> Self {
            Self {
                id: None,
                title: title.into(),
                message: message.into(),
                r#type,
                priority,
                action_url: None,
                metadata: None,
                user_id: user_id.into(),
            }
        }
    }
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum AnnouncementType {
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
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum AnnouncementPriority {
        /// `low`
        #[serde(rename = "low")]
        Low,
        /// `normal`
        #[serde(rename = "normal")]
        Normal,
        /// `high`
        #[serde(rename = "high")]
        High,
        /// `urgent`
        #[serde(rename = "urgent")]
        Urgent,
    }
    /// The data of `announcement.created`.
    ///
    /// Notification event
    ///
    /// A notice for one user, or for all. `id` may be absent: the contract's own test message has none.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct AnnouncementCreated {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub id: Option<String>,
        pub title: String,
        pub message: String,
        #[serde(rename = "type")]
        pub r#type: AnnouncementType,
        pub priority: AnnouncementPriority,
        /// Frontend route to navigate to.
        #[serde(rename = "actionUrl")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub action_url: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub metadata: Option<data::Map<String, data::Value>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub environment: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub squad: Option<String>,
    }
    impl AnnouncementCreated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            title: impl Into<String>,
            message: impl Into<String>,
            r#type: AnnouncementType,
            priority: AnnouncementPriority,
        ) -> Self {
            Self {
                id: None,
                title: title.into(),
                message: message.into(),
                r#type,
                priority,
                action_url: None,
                metadata: None,
                environment: None,
                squad: None,
            }
        }
    }
    /// The data of `metric.updated`.
    ///
    /// Metric event
    ///
    /// A metric has a new value. `data.timestamp` is when it was measured.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct MetricUpdated {
        pub metric_name: String,
        #[serde(serialize_with = "::tidings_producer::data::number")]
        pub value: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub unit: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub environment: Option<String>,
        pub timestamp: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub metadata: Option<data::Map<String, data::Value>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub squad: Option<String>,
        /// Further members.
        #[serde(flatten)]
        pub other: data::Map<String, data::Value>,
    }
    impl MetricUpdated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            metric_name: impl Into<String>,
            value: f64,
            timestamp: impl Into<String>,
        ) -> Self {
            Self {
                metric_name: metric_name.into(),
                value,
                unit: None,
                environment: None,
                timestamp: timestamp.into(),
                metadata: None,
                squad: None,
                other: data::Map::new(),
            }
        }
    }
    impl EventData for IncidentCreated {
        const EVENT: &'static str = "incident.created";
    }
    impl EventData for IncidentUpdated {
        const EVENT: &'static str = "incident.updated";
    }
    impl EventData for IncidentDeleted {
        const EVENT: &'static str = "incident.deleted";
    }
    impl EventData for TaskCreated {
        const EVENT: &'static str = "task.created";
    }
    impl EventData for TaskUpdated {
        const EVENT: &'static str = "task.updated";
    }
    impl EventData for TaskDeleted {
        const EVENT: &'static str = "task.deleted";
    }
    impl EventData for AssetCreated {
        const EVENT: &'static str = "asset.created";
    }
    impl EventData for AssetUpdated {
        const EVENT: &'static str = "asset.updated";
    }
    impl EventData for AssetDeleted {
        const EVENT: &'static str = "asset.deleted";
    }
    impl EventData for AlertCreated {
        const EVENT: &'static str = "alert.created";
    }
    impl EventData for AlertUpdated {
        const EVENT: &'static str = "alert.updated";
    }
    impl EventData for NotificationCreated {
        const EVENT: &'static str = "notification.created";
    }
    impl EventData for AnnouncementCreated {
        const EVENT: &'static str = "announcement.created";
    }
    impl EventData for MetricUpdated {
        const EVENT: &'static str = "metric.updated";
    }
    /// The tenant of these events.
    pub const TENANT: &str = "ops";
    /// Returns the catalog that this was generated from.
    pub fn catalog() -> Result<Catalog, ConnectError> {
        ::tidings_producer::catalog::parse(TENANT, FILES)
    }
    const FILES: &[(&str, &str)] = &[
        (
            "alert.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Alert event\",\n  \"description\": \"A metric has crossed its threshold, or what is known of that has changed.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"alert\" },\n    \"action\": { \"enum\": [\"created\", \"updated\"] },\n    \"data\": {\n      \"type\": \"object\",\n      \"properties\": {\n        \"id\": { \"type\": \"string\" },\n        \"metric\": { \"type\": \"string\" },\n        \"value\": { \"type\": \"number\" },\n        \"threshold\": { \"type\": \"number\" },\n        \"operator\": { \"enum\": [\"greater_than\", \"less_than\", \"equals\"] },\n        \"environment\": { \"type\": \"string\" },\n        \"severity\": { \"enum\": [\"critical\", \"high\", \"medium\", \"low\"] },\n        \"resource_id\": { \"type\": \"string\" },\n        \"resource_type\": { \"type\": \"string\" },\n        \"triggered_at\": { \"type\": \"string\" }\n      },\n      \"required\": [\n        \"id\",\n        \"metric\",\n        \"value\",\n        \"threshold\",\n        \"operator\",\n        \"environment\",\n        \"severity\",\n        \"triggered_at\"\n      ]\n    },\n    \"timestamp\": { \"type\": \"string\", \"format\": \"date-time\" }\n  },\n  \"required\": [\"type\", \"action\", \"data\", \"timestamp\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "asset.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Asset event\",\n  \"description\": \"An asset was created, updated or deleted. A message carries the record's times as far as the producer states them.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"asset\" },\n    \"action\": { \"enum\": [\"created\", \"updated\", \"deleted\"] },\n    \"data\": {\n      \"type\": \"object\",\n      \"properties\": {\n        \"id\": { \"type\": \"string\" },\n        \"hostname\": { \"type\": \"string\" },\n        \"asset_type\": { \"type\": \"string\" },\n        \"ip_address\": { \"type\": \"string\" },\n        \"risk_level\": { \"enum\": [\"critical\", \"high\", \"medium\", \"low\"] },\n        \"owner\": { \"type\": \"string\" },\n        \"environment\": { \"enum\": [\"production\", \"staging\", \"sandbox\", \"dev\"] },\n        \"created_at\": { \"type\": \"string\" },\n        \"updated_at\": { \"type\": \"string\" }\n      },\n      \"required\": [\"id\", \"hostname\", \"asset_type\", \"risk_level\", \"environment\"]\n    },\n    \"timestamp\": { \"type\": \"string\", \"format\": \"date-time\" }\n  },\n  \"required\": [\"type\", \"action\", \"data\", \"timestamp\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "catalog.toml",
            "description = \"Ops Control Center: infrastructure events by topic, notifications by user\"\ngrants = [\"user:{sub}\", \"role:{role}\"]\n# Clients raise a toast for whatever arrives; a new browser must not raise last week's.\ndeliver = \"new\"\n# \"Sanitize all user-generated content\": whoever reports an incident or names a host writes these texts.\ntext = \"plain\"\n\n# A client *may* subscribe: until it does, it receives everything that the contract lists. From then on it receives\n# what it subscribed to.\n[topics.incidents]\ninitial = true\n[topics.tasks]\ninitial = true\n[topics.assets]\ninitial = true\n[topics.alerts]\ninitial = true\n[topics.metrics]\ninitial = true\n# For what concerns everybody. A user's own notifications come without it.\n[topics.notifications]\ninitial = true\n\n# Every topic carries both attributes: one filter of a client holds for all of its topics, and a\n# producer may say more than the contract lists, such as the squad of an alert. Producers in Go, Java and Python write\n# null for what is not there; clients are promised a value or no member, hence `.*?`.\n\n[[message]]\nname = \"incident\"\nevents = [\"incident.created\", \"incident.updated\", \"incident.deleted\"]\nschema = \"incident.schema.json\"\nto = \"topic:incidents\"\nattributes = { environment = \"{data.environment?}\", squad = \"{data.squad?}\" }\n[message.body]\ntype = \"incident\"\naction = \"{action}\"\ndata = \"{data.*?}\"\ntimestamp = \"{time}\"\n\n[[message]]\nname = \"task\"\nevents = [\"task.created\", \"task.updated\", \"task.deleted\"]\nschema = \"task.schema.json\"\nto = \"topic:tasks\"\nattributes = { environment = \"{data.environment?}\", squad = \"{data.squad?}\" }\n[message.body]\ntype = \"task\"\naction = \"{action}\"\ndata = \"{data.*?}\"\ntimestamp = \"{time}\"\n\n[[message]]\nname = \"asset\"\nevents = [\"asset.created\", \"asset.updated\", \"asset.deleted\"]\nschema = \"asset.schema.json\"\nto = \"topic:assets\"\nattributes = { environment = \"{data.environment?}\", squad = \"{data.squad?}\" }\n[message.body]\ntype = \"asset\"\naction = \"{action}\"\ndata = \"{data.*?}\"\ntimestamp = \"{time}\"\n\n# Clients keep an alert as a notification of high priority, so it waits for the absent, but not\n# until it is stale.\n[[message]]\nname = \"alert\"\nevents = [\"alert.created\", \"alert.updated\"]\nschema = \"alert.schema.json\"\nto = \"topic:alerts\"\nttl = \"1h\"\nattributes = { environment = \"{data.environment?}\", squad = \"{data.squad?}\" }\n[message.body]\ntype = \"alert\"\naction = \"{action}\"\ndata = \"{data.*?}\"\ntimestamp = \"{time}\"\n\n[[message]]\nname = \"notification\"\nevents = [\"notification.created\"]\nschema = \"notification.schema.json\"\nto = \"user:{data.userId}\"\ntext = { \"data.actionUrl\" = \"url\" }\n[message.body]\ntype = \"notification\"\naction = \"{action}\"\n# Member by member, because `userId` is for addressing and no part of the contract.\ndata.id = \"{data.id?}\"\ndata.title = \"{data.title}\"\ndata.message = \"{data.message}\"\ndata.type = \"{data.type}\"\ndata.priority = \"{data.priority}\"\ndata.actionUrl = \"{data.actionUrl?}\"\ndata.metadata = \"{data.metadata?}\"\ntimestamp = \"{time}\"\n\n# The same for everybody, such as an announced maintenance.\n[[message]]\nname = \"announcement\"\nevents = [\"announcement.created\"]\nschema = \"notification.schema.json\"\nto = \"topic:notifications\"\nattributes = { environment = \"{data.environment?}\", squad = \"{data.squad?}\" }\ntext = { \"data.actionUrl\" = \"url\" }\n[message.body]\ntype = \"notification\"\naction = \"{action}\"\ndata.id = \"{data.id?}\"\ndata.title = \"{data.title}\"\ndata.message = \"{data.message}\"\ndata.type = \"{data.type}\"\ndata.priority = \"{data.priority}\"\ndata.actionUrl = \"{data.actionUrl?}\"\ndata.metadata = \"{data.metadata?}\"\ntimestamp = \"{time}\"\n\n# A value that nobody saw when it was measured is of use to nobody later. \"Max 1 message/second per type\": of each metric.\n[[message]]\nname = \"metric\"\nevents = [\"metric.updated\"]\nschema = \"metric.schema.json\"\nto = \"topic:metrics\"\nclass = \"ephemeral\"\nkey = \"{data.metric_name}/{data.environment?}\"\nmax_rate = \"1/s\"\nattributes = { environment = \"{data.environment?}\", squad = \"{data.squad?}\" }\n[message.body]\ntype = \"metric\"\naction = \"{action}\"\ndata = \"{data.*?}\"\ntimestamp = \"{time}\"\n\n# The two messages that the contract's own tests send. Whoever is on call reports an incident; a\n# notification that somebody sends goes to nobody but themselves.\n\n[[publish]]\naction = \"created\"\ntype = \"incident\"\nevent = \"incident.created\"\nroles = [\"sre\"]\n\n[[publish]]\naction = \"created\"\ntype = \"notification\"\nevent = \"notification.created\"\n[publish.data]\nuserId = \"{claims.sub}\"\nid = \"{data.id?}\"\ntitle = \"{data.title}\"\nmessage = \"{data.message}\"\ntype = \"{data.type}\"\npriority = \"{data.priority}\"\nactionUrl = \"{data.actionUrl?}\"\nmetadata = \"{data.metadata?}\"\n",
        ),
        (
            "incident.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Incident event\",\n  \"description\": \"An incident was created, updated or deleted. A message carries the record's times as far as the producer states them.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"incident\" },\n    \"action\": { \"enum\": [\"created\", \"updated\", \"deleted\"] },\n    \"data\": {\n      \"type\": \"object\",\n      \"properties\": {\n        \"id\": { \"type\": \"string\" },\n        \"jira_id\": { \"type\": \"string\" },\n        \"title\": { \"type\": \"string\" },\n        \"severity\": { \"enum\": [\"critical\", \"high\", \"medium\", \"low\"] },\n        \"status\": { \"enum\": [\"open\", \"in_progress\", \"resolved\", \"closed\"] },\n        \"squad\": { \"type\": \"string\" },\n        \"created_at\": { \"type\": \"string\" },\n        \"updated_at\": { \"type\": \"string\" },\n        \"assignee\": { \"type\": \"string\" },\n        \"description\": { \"type\": \"string\" }\n      },\n      \"required\": [\"id\", \"jira_id\", \"title\", \"severity\", \"status\", \"squad\"]\n    },\n    \"timestamp\": { \"type\": \"string\", \"format\": \"date-time\" }\n  },\n  \"required\": [\"type\", \"action\", \"data\", \"timestamp\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "metric.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Metric event\",\n  \"description\": \"A metric has a new value. `data.timestamp` is when it was measured.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"metric\" },\n    \"action\": { \"const\": \"updated\" },\n    \"data\": {\n      \"type\": \"object\",\n      \"properties\": {\n        \"metric_name\": { \"type\": \"string\" },\n        \"value\": { \"type\": \"number\" },\n        \"unit\": { \"type\": \"string\" },\n        \"environment\": { \"type\": \"string\" },\n        \"timestamp\": { \"type\": \"string\" },\n        \"metadata\": { \"type\": \"object\" }\n      },\n      \"required\": [\"metric_name\", \"value\", \"timestamp\"]\n    },\n    \"timestamp\": { \"type\": \"string\", \"format\": \"date-time\" }\n  },\n  \"required\": [\"type\", \"action\", \"data\", \"timestamp\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "notification.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Notification event\",\n  \"description\": \"A notice for one user, or for all. `id` may be absent: the contract's own test message has none.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"notification\" },\n    \"action\": { \"const\": \"created\" },\n    \"data\": {\n      \"type\": \"object\",\n      \"properties\": {\n        \"id\": { \"type\": \"string\" },\n        \"title\": { \"type\": \"string\" },\n        \"message\": { \"type\": \"string\" },\n        \"type\": { \"enum\": [\"info\", \"success\", \"warning\", \"error\"] },\n        \"priority\": { \"enum\": [\"low\", \"normal\", \"high\", \"urgent\"] },\n        \"actionUrl\": { \"type\": \"string\", \"description\": \"Frontend route to navigate to.\" },\n        \"metadata\": { \"type\": \"object\" }\n      },\n      \"required\": [\"title\", \"message\", \"type\", \"priority\"],\n      \"additionalProperties\": false\n    },\n    \"timestamp\": { \"type\": \"string\", \"format\": \"date-time\" }\n  },\n  \"required\": [\"type\", \"action\", \"data\", \"timestamp\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "task.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Task event\",\n  \"description\": \"A task was created, updated or deleted. A message carries the record's times as far as the producer states them.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"task\" },\n    \"action\": { \"enum\": [\"created\", \"updated\", \"deleted\"] },\n    \"data\": {\n      \"type\": \"object\",\n      \"properties\": {\n        \"id\": { \"type\": \"string\" },\n        \"jira_id\": { \"type\": \"string\" },\n        \"title\": { \"type\": \"string\" },\n        \"status\": { \"enum\": [\"todo\", \"in_progress\", \"review\", \"done\"] },\n        \"squad\": { \"type\": \"string\" },\n        \"assignee\": { \"type\": \"string\" },\n        \"due_date\": { \"type\": \"string\" },\n        \"priority\": { \"enum\": [\"low\", \"medium\", \"high\"] },\n        \"created_at\": { \"type\": \"string\" },\n        \"updated_at\": { \"type\": \"string\" }\n      },\n      \"required\": [\"id\", \"jira_id\", \"title\", \"status\", \"squad\"]\n    },\n    \"timestamp\": { \"type\": \"string\", \"format\": \"date-time\" }\n  },\n  \"required\": [\"type\", \"action\", \"data\", \"timestamp\"],\n  \"additionalProperties\": false\n}\n",
        ),
    ];
}
