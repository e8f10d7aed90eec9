/// The events of tenant `cnc`, generated from its catalog by `tidings-producer-build`.
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    clippy::all,
    clippy::pedantic
)]
pub mod cnc {
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
        /// Publishes `volunteers.updated`, and returns when it is stored.
        pub async fn volunteers_updated(
            &self,
            data: &VolunteersUpdated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `volunteers.updated`, and returns when there is room for it.
        pub async fn enqueue_volunteers_updated(
            &self,
            data: &VolunteersUpdated,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `assignments.updated`, and returns when it is stored.
        pub async fn assignments_updated(
            &self,
            data: &AssignmentsUpdated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `assignments.updated`, and returns when there is room for it.
        pub async fn enqueue_assignments_updated(
            &self,
            data: &AssignmentsUpdated,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `periods.updated`, and returns when it is stored.
        pub async fn periods_updated(
            &self,
            data: &PeriodsUpdated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `periods.updated`, and returns when there is room for it.
        pub async fn enqueue_periods_updated(
            &self,
            data: &PeriodsUpdated,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `units.updated`, and returns when it is stored.
        pub async fn units_updated(
            &self,
            data: &UnitsUpdated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `units.updated`, and returns when there is room for it.
        pub async fn enqueue_units_updated(
            &self,
            data: &UnitsUpdated,
        ) -> Result<Receipt, PublishError> {
            self.0.enqueue(Event::of(data)?).await
        }
        /// Publishes `incidents.updated`, and returns when it is stored.
        pub async fn incidents_updated(
            &self,
            data: &IncidentsUpdated,
        ) -> Result<Stored, PublishError> {
            self.0.publish(Event::of(data)?).await
        }
        /// Enqueues `incidents.updated`, and returns when there is room for it.
        pub async fn enqueue_incidents_updated(
            &self,
            data: &IncidentsUpdated,
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
    /// The data of `volunteers.updated`.
    ///
    /// Volunteers updated
    ///
    /// The volunteers of an organization's operational period have changed; fetch them again.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct VolunteersUpdated {
        #[serde(rename = "orgId")]
        pub org_id: String,
        #[serde(rename = "periodId")]
        pub period_id: String,
    }
    /// The data of `assignments.updated`.
    ///
    /// Assignments updated
    ///
    /// The assignments of an organization's operational period have changed; fetch them again.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct AssignmentsUpdated {
        #[serde(rename = "orgId")]
        pub org_id: String,
        #[serde(rename = "periodId")]
        pub period_id: String,
    }
    /// The data of `periods.updated`.
    ///
    /// Periods updated
    ///
    /// The periods of an organization have changed; fetch them again.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct PeriodsUpdated {
        #[serde(rename = "orgId")]
        pub org_id: String,
    }
    /// The data of `units.updated`.
    ///
    /// Units updated
    ///
    /// The units of an organization have changed; fetch them again.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct UnitsUpdated {
        #[serde(rename = "orgId")]
        pub org_id: String,
    }
    /// The data of `incidents.updated`.
    ///
    /// Incidents updated
    ///
    /// The incidents of an organization have changed; fetch them again.
    #[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
    #[serde(crate = "::tidings_producer::data::serde")]
    pub struct IncidentsUpdated {
        #[serde(rename = "orgId")]
        pub org_id: String,
    }
    impl EventData for VolunteersUpdated {
        const EVENT: &'static str = "volunteers.updated";
    }
    impl EventData for AssignmentsUpdated {
        const EVENT: &'static str = "assignments.updated";
    }
    impl EventData for PeriodsUpdated {
        const EVENT: &'static str = "periods.updated";
    }
    impl EventData for UnitsUpdated {
        const EVENT: &'static str = "units.updated";
    }
    impl EventData for IncidentsUpdated {
        const EVENT: &'static str = "incidents.updated";
    }
    /// The tenant of these events.
    pub const TENANT: &str = "cnc";
    /// Returns the catalog that this was generated from.
    pub fn catalog() -> Result<Catalog, ConnectError> {
        ::tidings_producer::catalog::parse(TENANT, FILES)
    }
    const FILES: &[(&str, &str)] = &[
        (
            "assignmentsUpdated.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Assignments updated\",\n  \"description\": \"The assignments of an organization's operational period have changed; fetch them again.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"assignmentsUpdated\" },\n    \"orgId\": { \"type\": \"string\", \"minLength\": 1 },\n    \"periodId\": { \"type\": \"string\", \"minLength\": 1 }\n  },\n  \"required\": [\"type\", \"orgId\", \"periodId\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "catalog.toml",
            "description = \"Incident command: tells open clients what to fetch again\"\ngrants = [\"org:{orgId}\"]\n# A client fetches everything over REST when it opens; earlier hints tell it nothing.\ndeliver = \"new\"\n\n# The messages are hints to fetch again, so whoever was away needs each of them once, however\n# often the same thing changed in between: hence `latest`, by what a client would fetch.\n\n[[message]]\nname = \"volunteersUpdated\"\nevents = [\"volunteers.updated\"]\nschema = \"volunteersUpdated.schema.json\"\nto = \"org:{data.orgId}\"\nclass = \"latest\"\nkey = \"{data.periodId}\"\n[message.body]\ntype = \"volunteersUpdated\"\norgId = \"{data.orgId}\"\nperiodId = \"{data.periodId}\"\n\n[[message]]\nname = \"assignmentsUpdated\"\nevents = [\"assignments.updated\"]\nschema = \"assignmentsUpdated.schema.json\"\nto = \"org:{data.orgId}\"\nclass = \"latest\"\nkey = \"{data.periodId}\"\n[message.body]\ntype = \"assignmentsUpdated\"\norgId = \"{data.orgId}\"\nperiodId = \"{data.periodId}\"\n\n[[message]]\nname = \"periodsUpdated\"\nevents = [\"periods.updated\"]\nschema = \"periodsUpdated.schema.json\"\nto = \"org:{data.orgId}\"\nclass = \"latest\"\nkey = \"{data.orgId}\"\n[message.body]\ntype = \"periodsUpdated\"\norgId = \"{data.orgId}\"\n\n[[message]]\nname = \"unitsUpdated\"\nevents = [\"units.updated\"]\nschema = \"unitsUpdated.schema.json\"\nto = \"org:{data.orgId}\"\nclass = \"latest\"\nkey = \"{data.orgId}\"\n[message.body]\ntype = \"unitsUpdated\"\norgId = \"{data.orgId}\"\n\n[[message]]\nname = \"incidentsUpdated\"\nevents = [\"incidents.updated\"]\nschema = \"incidentsUpdated.schema.json\"\nto = \"org:{data.orgId}\"\nclass = \"latest\"\nkey = \"{data.orgId}\"\n[message.body]\ntype = \"incidentsUpdated\"\norgId = \"{data.orgId}\"\n\n# Clients say nothing here: the REST API is the source of truth for whatever is changed.\n",
        ),
        (
            "incidentsUpdated.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Incidents updated\",\n  \"description\": \"The incidents of an organization have changed; fetch them again.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"incidentsUpdated\" },\n    \"orgId\": { \"type\": \"string\", \"minLength\": 1 }\n  },\n  \"required\": [\"type\", \"orgId\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "periodsUpdated.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Periods updated\",\n  \"description\": \"The periods of an organization have changed; fetch them again.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"periodsUpdated\" },\n    \"orgId\": { \"type\": \"string\", \"minLength\": 1 }\n  },\n  \"required\": [\"type\", \"orgId\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "unitsUpdated.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Units updated\",\n  \"description\": \"The units of an organization have changed; fetch them again.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"unitsUpdated\" },\n    \"orgId\": { \"type\": \"string\", \"minLength\": 1 }\n  },\n  \"required\": [\"type\", \"orgId\"],\n  \"additionalProperties\": false\n}\n",
        ),
        (
            "volunteersUpdated.schema.json",
            "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Volunteers updated\",\n  \"description\": \"The volunteers of an organization's operational period have changed; fetch them again.\",\n  \"type\": \"object\",\n  \"properties\": {\n    \"type\": { \"const\": \"volunteersUpdated\" },\n    \"orgId\": { \"type\": \"string\", \"minLength\": 1 },\n    \"periodId\": { \"type\": \"string\", \"minLength\": 1 }\n  },\n  \"required\": [\"type\", \"orgId\", \"periodId\"],\n  \"additionalProperties\": false\n}\n",
        ),
    ];
}
