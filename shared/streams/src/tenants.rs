//! The names of the tenants that projectors have run with.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{Context, ErrorCode};
use tidings_model::Tenant;

use crate::bucket::is_removal;
use crate::catalogs::BUCKET;
use crate::ordered_reader::Content;
use crate::scan::Scan;

/// Every tenant whose catalog a projector has ever run with; none, if no projector has run yet.
///
/// A tenant whose catalog was removed since stays among them: what was stored of it can still be looked after.
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

/// NATS does not say which tenants there are.
#[derive(Debug, thiserror::Error)]
#[error("cannot read now which tenants there are (bucket {BUCKET})")]
pub struct RecordedTenantsError(#[source] async_nats::Error);
