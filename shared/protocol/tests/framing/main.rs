//! The framing through its public interface: the rules, compression, the memory held, and another
//! implementation as the peer.

mod deflate;
mod inbound;
mod masked;
mod memory;
mod peer;
