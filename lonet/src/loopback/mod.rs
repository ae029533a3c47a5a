//! The engine over kernel TCP on loopback. A map of its modules.

pub(crate) mod handshake;
pub(crate) mod peer_uid;
