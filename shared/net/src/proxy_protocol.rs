//! The PROXY header, with which a load balancer names the client whose connection it passes on (HAProxy's specification,
//! "The PROXY protocol, versions 1 & 2").
//!
//! Exactly the header is taken from the socket, so that what follows it is left for TLS or HTTP. It is
//! never parsed before all of it is there.

use std::io;
use std::net::IpAddr;

use ppp::v2::PROTOCOL_PREFIX as V2_SIGNATURE;
use ppp::{HeaderResult, v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

const V1_SIGNATURE: &[u8] = b"PROXY ";
/// The longest header of version 1, in bytes (specification, section 2.1).
const V1_LONGEST: usize = 107;
/// What says how long a header of version 2 is (section 2.2).
const V2_FIXED: usize = 16;
/// The longest header that is read, in bytes. Addresses have at most 232; load balancers add some hundred.
const LONGEST: usize = 2 * 1024;

/// Takes the header from a connection that has just been accepted. `None` if the sender speaks for itself, as
/// for its checks of health.
pub(crate) async fn take(stream: &mut TcpStream) -> Result<Option<IpAddr>, HeaderError> {
    let mut header = vec![0; LONGEST];
    let mut taken = 0;
    loop {
        let ahead = stream.peek(header.get_mut(taken..).unwrap_or_default()).await?;
        if ahead == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let there = taken + ahead;
        let whole = length(header.get(..there).unwrap_or_default())?;
        let end = whole.map_or(there, |whole| whole.min(there));
        // It is there, so nothing is waited for.
        stream.read_exact(header.get_mut(taken..end).unwrap_or_default()).await?;
        if whole == Some(end) {
            return source(header.get(..end).unwrap_or_default());
        }
        taken = end;
    }
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The bytes are something else.
    #[error("expected a PROXY header of version 1 or 2, got something else")]
    Absent,
    /// It has more bytes than are read.
    #[error("expected a PROXY header of at most {LONGEST} bytes, got a longer one")]
    TooLong,
    /// It begins like one.
    #[error("the PROXY header cannot be read: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// The connection ended.
    #[error("the connection ended before its PROXY header")]
    Ended(#[from] io::Error),
}

/// The header that these bytes begin with: its length, and the client that it names. `None` if more bytes are needed.
pub fn read(bytes: &[u8]) -> Result<Option<(usize, Option<IpAddr>)>, HeaderError> {
    let Some(length) = length(bytes)? else { return Ok(None) };
    let Some(header) = bytes.get(..length) else { return Ok(None) };
    Ok(Some((length, source(header)?)))
}

/// How long the header is that begins like this; `None` if that cannot be said yet. At most [`LONGEST`].
fn length(beginning: &[u8]) -> Result<Option<usize>, HeaderError> {
    let agrees = |signature: &[u8]| beginning.iter().zip(signature).all(|(one, other)| one == other);
    if agrees(V1_SIGNATURE) {
        let end = beginning.iter().take(V1_LONGEST).position(|byte| *byte == b'\n');
        return match end {
            Some(end) => Ok(Some(end + 1)),
            None if beginning.len() >= V1_LONGEST => Err(HeaderError::TooLong),
            None => Ok(None),
        };
    }
    if !agrees(V2_SIGNATURE) {
        return Err(HeaderError::Absent);
    }
    let Some(&[.., high, low]) = beginning.first_chunk::<V2_FIXED>() else { return Ok(None) };
    match V2_FIXED + usize::from(u16::from_be_bytes([high, low])) {
        length if length <= LONGEST => Ok(Some(length)),
        _ => Err(HeaderError::TooLong),
    }
}

/// The client that a whole header names.
fn source(header: &[u8]) -> Result<Option<IpAddr>, HeaderError> {
    let malformed = |error: &dyn std::error::Error| HeaderError::Malformed { reason: error.to_string() };
    let source = match HeaderResult::parse(header) {
        HeaderResult::V1(parsed) => match parsed.map_err(|error| malformed(&error))?.addresses {
            v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
            v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
            v1::Addresses::Unknown => None,
        },
        HeaderResult::V2(parsed) => {
            let v2::Header { command, addresses, .. } = parsed.map_err(|error| malformed(&error))?;
            match (command, addresses) {
                (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => Some(addresses.source_address.into()),
                (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => Some(addresses.source_address.into()),
                _ => None,
            }
        }
    };
    Ok(source.map(|source: IpAddr| source.to_canonical()))
}

#[cfg(test)]
mod tests;
