//! The framing through its public interface: the rules, the memory held, and another
//! implementation as the peer.

mod inbound;
mod masked;
mod memory;
mod peer;
