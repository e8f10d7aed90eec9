//! Every example of the five systems can be said with the generated types, and becomes what it says.
#![expect(clippy::panic, clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;

use serde_json::Value;
use tidings_catalog::{Catalog, Example};
use tidings_producer::Event;
use tidings_producer::data::EventData;
use tidings_producer::data::serde::de::DeserializeOwned;

use crate::generated::{cnc, documents, ops, shelter, uploads};

/// Says data by way of its type.
fn through<D: EventData + DeserializeOwned>(data: Value) -> Value {
    let typed: D = serde_json::from_value(data).unwrap();
    let event = Event::of(&typed).unwrap();
    assert_eq!(event.name, D::EVENT);
    event.data
}

/// The type of each event, and whether it is there.
macro_rules! typed {
    ($event:expr, $data:expr, $($kind:ty),* $(,)?) => {
        match $event {
            $(name if name == <$kind>::EVENT => through::<$kind>($data),)*
            other => panic!("event {other} has no type"),
        }
    };
}

fn check(tenant: &str, catalog: &Catalog, typed: impl Fn(&str, Value) -> Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas").join(tenant).join("examples");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Example::Event(mut example) = Example::parse(&std::fs::read_to_string(&path).unwrap()).unwrap()
        else {
            continue;
        };
        example.data = typed(&example.event, example.data);
        Example::Event(example).check(catalog).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        checked += 1;
    }
    assert!(checked >= catalog.messages().len(), "{tenant} has {checked} examples");
}

#[test]
fn every_example_can_be_said_with_types() {
    check("cnc", &cnc::catalog().unwrap(), |event, data| {
        typed!(
            event,
            data,
            cnc::VolunteersUpdated,
            cnc::AssignmentsUpdated,
            cnc::PeriodsUpdated,
            cnc::UnitsUpdated,
            cnc::IncidentsUpdated
        )
    });
    check("documents", &documents::catalog().unwrap(), |event, data| {
        typed!(
            event,
            data,
            documents::ProcessingStarted,
            documents::ProcessingProgressed,
            documents::ProcessingCompleted,
            documents::ProcessingFailed
        )
    });
    check("ops", &ops::catalog().unwrap(), |event, data| {
        typed!(
            event,
            data,
            ops::IncidentCreated,
            ops::IncidentUpdated,
            ops::IncidentDeleted,
            ops::TaskCreated,
            ops::TaskUpdated,
            ops::TaskDeleted,
            ops::AssetCreated,
            ops::AssetUpdated,
            ops::AssetDeleted,
            ops::AlertCreated,
            ops::AlertUpdated,
            ops::NotificationCreated,
            ops::AnnouncementCreated,
            ops::MetricUpdated
        )
    });
    check("shelter", &shelter::catalog().unwrap(), |event, data| {
        typed!(event, data, shelter::ShelterUpdated, shelter::AlertCreated, shelter::BroadcastCreated)
    });
    check("uploads", &uploads::catalog().unwrap(), |event, data| {
        typed!(event, data, uploads::UploadProgressed, uploads::NotificationCreated, uploads::ErrorOccurred)
    });
}
