/// The events of tenant `shelter`, generated from its catalog by `tidings-producer-build`.
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    clippy::all,
    clippy::pedantic
)]
pub mod shelter {
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
        /// Publishes `shelter.updated`, and returns when it is stored.
        pub async fn shelter_updated(
            &self,
            data: &ShelterUpdated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `shelter.updated`, and returns when there is room for it.
        pub async fn enqueue_shelter_updated(
            &self,
            data: &ShelterUpdated,
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
        /// Publishes `broadcast.created`, and returns when it is stored.
        pub async fn broadcast_created(
            &self,
            data: &BroadcastCreated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `broadcast.created`, and returns when there is room for it.
        pub async fn enqueue_broadcast_created(
            &self,
            data: &BroadcastCreated,
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
    pub enum ShelterUpdateStatus {
        /// `open`
        #[serde(rename = "open")]
        Open,
        /// `full`
        #[serde(rename = "full")]
        Full,
        /// `closed`
        #[serde(rename = "closed")]
        Closed,
    }
    /// The data of `shelter.updated`.
    ///
    /// Shelter update
    ///
    /// Where a shelter stands, whole: it replaces what was known before.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct ShelterUpdated {
        #[serde(rename = "shelterId")]
        pub shelter_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        pub status: ShelterUpdateStatus,
        /// Places.
        pub capacity: u64,
        /// People present; in an emergency this can exceed the capacity.
        pub occupancy: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub message: Option<String>,
    }
    impl ShelterUpdated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            shelter_id: impl Into<String>,
            status: ShelterUpdateStatus,
            capacity: u64,
            occupancy: u64,
        ) -> Self {
            Self {
                shelter_id: shelter_id.into(),
                name: None,
                status,
                capacity,
                occupancy,
                message: None,
            }
        }
    }
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum AlertSeverity {
        /// `low`
        #[serde(rename = "low")]
        Low,
        /// `medium`
        #[serde(rename = "medium")]
        Medium,
        /// `high`
        #[serde(rename = "high")]
        High,
        /// `critical`
        #[serde(rename = "critical")]
        Critical,
    }
    /// The data of `alert.created`.
    ///
    /// Alert
    ///
    /// Something that first responders and emergency coordinators must know, and those at a shelter if it names one.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct AlertCreated {
        pub title: String,
        pub message: String,
        pub severity: AlertSeverity,
        #[serde(rename = "shelterId")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub shelter_id: Option<String>,
    }
    impl AlertCreated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(
            title: impl Into<String>,
            message: impl Into<String>,
            severity: AlertSeverity,
        ) -> Self {
            Self {
                title: title.into(),
                message: message.into(),
                severity,
                shelter_id: None,
            }
        }
    }
    /// One of the allowed values.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub enum BroadcastTarget {
        /// `all`
        #[serde(rename = "all")]
        All,
        /// `role`
        #[serde(rename = "role")]
        Role,
        /// `user`
        #[serde(rename = "user")]
        User,
        /// `shelter`
        #[serde(rename = "shelter")]
        Shelter,
    }
    /// The data of `broadcast.created`.
    ///
    /// Broadcast
    ///
    /// A text for everybody, for all who have a role, for one user, or for a shelter. A user is not told their own id.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct BroadcastCreated {
        pub target: BroadcastTarget,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub role: Option<String>,
        #[serde(rename = "shelterId")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub shelter_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub title: Option<String>,
        pub message: String,
        #[serde(rename = "userId")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub user_id: Option<String>,
    }
    impl BroadcastCreated {
        /// Takes the required members; set others as in `Self { …, ..Self::new(…) }`.
        pub fn new(target: BroadcastTarget, message: impl Into<String>) -> Self {
            Self {
                target,
                role: None,
                shelter_id: None,
                title: None,
                message: message.into(),
                user_id: None,
            }
        }
    }
    impl EventData for ShelterUpdated {
        const EVENT: &'static str = "shelter.updated";
    }
    impl EventData for AlertCreated {
        const EVENT: &'static str = "alert.created";
    }
    impl EventData for BroadcastCreated {
        const EVENT: &'static str = "broadcast.created";
    }
    /// The tenant of these events.
    pub const TENANT: &str = "shelter";
    /// Returns the catalog that this was generated from.
    pub fn catalog() -> Result<Catalog, ConnectError> {
        ::tidings_producer::catalog::parse(TENANT, FILES)
    }
    const FILES: &[(&str, &str)] = &[
        (
            "alert.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Alert\",\n  \"description\": \"Something that first responders and emergency coordinators must know, and those at a shelter if it names one.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"alert\" },\n    \"data\": {\n      \"type\": \"object\",\n      \"properties\": {\n        \"title\": { \"type\": \"string\" },\n        \"message\": { \"type\": \"string\" },\n        \"severity\": { \"enum\": [\"low\", \"medium\", \"high\", \"critical\"] },\n        \"shelterId\": { \"type\": \"string\", \"minLength\": 1 }\n      },\n      \"required\": [\"title\", \"message\", \"severity\"],\n      \"additionalProperties\": false\n    },\n    \"timestamp\": { \"type\": \"string\", \"format\": \"date-time\" }\n  },\n  \"required\": [\"type\", \"data\", \"timestamp\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "broadcast.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Broadcast\",\n  \"description\": \"A text for everybody, for all who have a role, for one user, or for a shelter. A user is not told their own id.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"broadcast\" },\n    \"data\": {\n      \"type\": \"object\",\n      \"properties\": {\n        \"target\": { \"enum\": [\"all\", \"role\", \"user\", \"shelter\"] },\n        \"role\": { \"type\": \"string\", \"minLength\": 1 },\n        \"shelterId\": { \"type\": \"string\", \"minLength\": 1 },\n        \"title\": { \"type\": \"string\" },\n        \"message\": { \"type\": \"string\" }\n      },\n      \"required\": [\"target\", \"message\"],\n      \"allOf\": [\n        {\n          \"if\": { \"properties\": { \"target\": { \"const\": \"role\" } } },\n          \"then\": { \"required\": [\"role\"] }\n        },\n        {\n          \"if\": { \"properties\": { \"target\": { \"const\": \"shelter\" } } },\n          \"then\": { \"required\": [\"shelterId\"] }\n        }\n      ],\n      \"additionalProperties\": false\n    },\n    \"timestamp\": { \"type\": \"string\", \"format\": \"date-time\" }\n  },\n  \"required\": [\"type\", \"data\", \"timestamp\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "catalog.toml",
            "description = \"Shelters in an emergency: their state for responders, alerts, and broadcasts\"\ngrants = [\"all\", \"user:{sub}\", \"role:{role}\", \"shelter:{shelterId}\"]\n# Who is called in during an emergency must learn what was said before their first connection.\ndeliver = \"1d\"\n\n# An update is a shelter's whole state, so that the newest alone tells a dashboard where it stands.\n[[message]]\nname = \"shelter_update\"\nevents = [\"shelter.updated\"]\nschema = \"shelter_update.schema.json\"\nto = [\"role:first_responder\", \"role:emergency_coordinator\", \"shelter:{data.shelterId}\"]\nclass = \"latest\"\nkey = \"{data.shelterId}\"\n[message.body]\ntype = \"shelter_update\"\ndata.shelterId = \"{data.shelterId}\"\ndata.name = \"{data.name?}\"\ndata.status = \"{data.status}\"\ndata.capacity = \"{data.capacity}\"\ndata.occupancy = \"{data.occupancy}\"\ndata.message = \"{data.message?}\"\ntimestamp = \"{time}\"\n\n# An alert that names a shelter concerns those who are there, too.\n[[message]]\nname = \"alert\"\nevents = [\"alert.created\"]\nschema = \"alert.schema.json\"\nto = [\"role:first_responder\", \"role:emergency_coordinator\", \"shelter:{data.shelterId?}\"]\n[message.body]\ntype = \"alert\"\ndata.title = \"{data.title}\"\ndata.message = \"{data.message}\"\ndata.severity = \"{data.severity}\"\ndata.shelterId = \"{data.shelterId?}\"\ntimestamp = \"{time}\"\n\n# A broadcast whose target is none of these reaches nobody and is rejected.\n[[message]]\nname = \"broadcast\"\nevents = [\"broadcast.created\"]\nschema = \"broadcast.schema.json\"\nto = [\n    { address = \"all\", when = { \"data.target\" = \"all\" } },\n    { address = \"role:{data.role}\", when = { \"data.target\" = \"role\" } },\n    { address = \"user:{data.userId}\", when = { \"data.target\" = \"user\" } },\n    { address = \"shelter:{data.shelterId}\", when = { \"data.target\" = \"shelter\" } },\n]\n[message.body]\ntype = \"broadcast\"\ndata.target = \"{data.target}\"\ndata.role = \"{data.role?}\"\ndata.shelterId = \"{data.shelterId?}\"\ndata.title = \"{data.title?}\"\ndata.message = \"{data.message}\"\ntimestamp = \"{time}\"\n\n# Operators say how their own shelter stands and raise alerts for it; coordinators speak to everybody.\n\n[[publish]]\naction = \"shelter_update\"\nevent = \"shelter.updated\"\nroles = [\"shelter_operator\"]\nwhere = { \"data.shelterId\" = \"{shelterId}\" }\n\n[[publish]]\naction = \"alert\"\nevent = \"alert.created\"\nroles = [\"emergency_coordinator\"]\n\n[[publish]]\naction = \"alert\"\nevent = \"alert.created\"\nroles = [\"shelter_operator\"]\nwhere = { \"data.shelterId\" = \"{shelterId}\" }\n\n[[publish]]\naction = \"broadcast\"\nevent = \"broadcast.created\"\nroles = [\"emergency_coordinator\"]\n",
        ),
        (
            "shelter_update.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Shelter update\",\n  \"description\": \"Where a shelter stands, whole: it replaces what was known before.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"shelter_update\" },\n    \"data\": {\n      \"type\": \"object\",\n      \"properties\": {\n        \"shelterId\": { \"type\": \"string\", \"minLength\": 1 },\n        \"name\": { \"type\": \"string\" },\n        \"status\": { \"enum\": [\"open\", \"full\", \"closed\"] },\n        \"capacity\": { \"type\": \"integer\", \"minimum\": 0, \"description\": \"Places.\" },\n        \"occupancy\": {\n          \"type\": \"integer\",\n          \"minimum\": 0,\n          \"description\": \"People present; in an emergency this can exceed the capacity.\"\n        },\n        \"message\": { \"type\": \"string\" }\n      },\n      \"required\": [\"shelterId\", \"status\", \"capacity\", \"occupancy\"],\n      \"additionalProperties\": false\n    },\n    \"timestamp\": { \"type\": \"string\", \"format\": \"date-time\" }\n  },\n  \"required\": [\"type\", \"data\", \"timestamp\"],\n  \"additionalProperties\": false\n}\n",
        ),
    ];
}
