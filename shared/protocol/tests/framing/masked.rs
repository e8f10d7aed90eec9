//! Frames as a client writes them.

pub(crate) const FINAL: u8 = 0x80;
/// The first frame of a compressed message.
pub(crate) const COMPRESSED: u8 = 0x40;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The second byte of a masked frame with a length in 16 bits.
pub(crate) const MASKED_16: u8 = 0x80 | 0x7E;
/// The second byte of a masked frame with a length in 64 bits.
pub(crate) const MASKED_64: u8 = 0x80 | 0x7F;

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A masked frame with the shortest length; `first` is the whole first byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    if let Ok(length @ ..=125) = u8::try_from(payload.len()) {
        frame.push(0x80 | length);
    } else if let Ok(length) = u16::try_from(payload.len()) {
        frame.push(MASKED_16);
        frame.extend(length.to_be_bytes());
    } else {
        frame.push(MASKED_64);
        frame.extend((payload.len() as u64).to_be_bytes());
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
