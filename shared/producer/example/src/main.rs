//! Says that an incident was created: `tidings dev` in one terminal, `cargo run -p example-producer` in another.

use std::time::Duration;

use ops::{IncidentCreated, IncidentSeverity, IncidentStatus};
use tidings_producer::Settings;

tidings_producer::include_tenant!("ops");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let producer = ops::Producer::connect(Settings::new("nats://127.0.0.1:4222", "/incidents")).await?;
    let (severity, status) = (IncidentSeverity::High, IncidentStatus::Open);
    let incident = IncidentCreated {
        assignee: Some("ada".to_owned()),
        ..IncidentCreated::new("inc-2", "INC-2", "Queue full", severity, status, "data")
    };
    producer.incident_created(&incident).await?;
    producer.shutdown(Duration::from_secs(10)).await?;
    Ok(())
}
