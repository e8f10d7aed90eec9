//! The tenants for which projectors have run.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{Context, ErrorCode};
use tidings_model::Tenant;

use super::BUCKET;
use crate::nats::{Content, Scan, is_removal};

/// Every tenant whose catalog a projector has ever run with; empty if no projector has run yet.
///
/// A tenant whose catalog was removed stays in the list, so that its stored data can still be administered.
pub async fn recorded_tenants(context: &Context) -> Result<BTreeSet<Tenant>, RecordedTenantsError> {
    let stream = match context.get_stream(format!("KV_{BUCKET}")).await {
        Ok(stream) => Arc::new(stream),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                return Ok(BTreeSet::new());
            }
            _ => return Err(RecordedTenantsError(error.into())),
        },
    };
    let prefix = format!("$KV.{BUCKET}.");
    let mut pass = Scan::new(stream, format!("{prefix}>"), Content::HeadersOnly);
    let mut tenants = BTreeSet::new();
    while let Some((message, _)) = pass.next().await.map_err(RecordedTenantsError)? {
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
