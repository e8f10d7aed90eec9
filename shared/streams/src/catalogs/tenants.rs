//! The tenants for which projectors have run.

use std::collections::BTreeSet;

use async_nats::jetstream::Context;
use tidings_model::Tenant;

use super::BUCKET;
use crate::nats::{Content, Delivered, Scan, ensure, is_removal};

/// Every tenant whose catalog a projector has ever run with; empty if no projector has run yet.
///
/// A tenant whose catalog was removed stays in the list, so that its stored data can still be administered.
pub async fn recorded_tenants(context: &Context) -> Result<BTreeSet<Tenant>, RecordedTenantsError> {
    let stream = format!("KV_{BUCKET}");
    match context.get_stream(&stream).await {
        Ok(_) => {}
        Err(error) if ensure::is_not_found(&error) => return Ok(BTreeSet::new()),
        Err(error) => return Err(RecordedTenantsError(error.into())),
    }
    let prefix = format!("$KV.{BUCKET}.");
    let mut scan = Scan::new(context.clone(), &stream, format!("{prefix}>"), Content::HeadersOnly);
    let mut tenants = BTreeSet::new();
    while let Some(Delivered { message, .. }) = scan.next().await.map_err(RecordedTenantsError)? {
        let name = message.subject.strip_prefix(&prefix).unwrap_or_default();
        let Ok(tenant) = Tenant::parse(name) else { continue };
        if is_removal(message.headers.as_ref()) {
            tenants.remove(&tenant)
        } else {
            tenants.insert(tenant)
        };
    }
    Ok(tenants)
}

/// The tenants cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the tenants from the bucket {BUCKET} now")]
pub struct RecordedTenantsError(#[source] async_nats::Error);
