//! The pure readers of what clients send, in a form that needs no socket. Only fuzz targets call them here.

use tidings_model::Position;

use crate::api::read_query;

/// The parameters `device` and `since` of a handshake's query; an error is the code of the answer.
pub fn handshake_query(query: &str) -> Result<(Option<String>, Option<Position>), &'static str> {
    read_query(Some(query)).map_err(|error| error.code().as_str())
}
