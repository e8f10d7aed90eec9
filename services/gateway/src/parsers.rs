//! The pure readers of what clients send, in a form that needs no socket. Only fuzz targets call them here.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tidings_model::{Position, RawEvent, Tenant};
use time::OffsetDateTime;

use crate::api::{Publication, Sender, Since, read_publication, read_query};

/// The parameters `device` and `since` of a handshake's query; an error is the code of the answer.
pub fn handshake_query(query: &str) -> Result<(Option<String>, Option<Position>), &'static str> {
    let (device, since) = read_query(Some(query)).map_err(|error| error.code().as_str())?;
    let position =
        since.and_then(|since| if let Since::Position(position) = since { Some(position) } else { None });
    Ok((device, position))
}

/// The events of a request to publish, with these headers and with the name in its path; an error is the code of the answer.
/// Headers that HTTP does not permit are left out.
pub fn publication(
    headers: &[(&[u8], &[u8])],
    name: Option<&str>,
    body: &[u8],
    (tenant, source): (&Tenant, Option<&str>),
) -> Result<Vec<Result<RawEvent, &'static str>>, &'static str> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    let sender = Sender { tenant, source, now: OffsetDateTime::UNIX_EPOCH };
    let read = read_publication(&map, name, body.to_vec().into(), sender, || "new".to_owned());
    let Publication { events, .. } = read.map_err(|error| error.code().as_str())?;
    let event = |event: Result<_, _>| event.map_err(|error: crate::error::ApiError| error.code().as_str());
    Ok(events.into_iter().map(|submitted| event(submitted).map(|submitted| submitted.raw)).collect())
}
