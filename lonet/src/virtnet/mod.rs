//! The virtual network, free of sockets: a map.
//!
//! - [`subnetwork`]: this process's part of a network, its hosts, its end;
//! - [`host`]: what a host is; listening, closing, marks;
//! - [`dial`]: one dial, from taking its port to the connection or the failure;
//! - [`listener`]: the queue of dialers, and accepting them;
//! - [`port_table`]: the lowest free port;
//! - [`connection`]: one end of a connection, what closes it, what its errors say;
//! - [`stream`], [`halves`]: what users hold of a connection, with tokio's interfaces;
//! - [`happens`]: the one way from what happens to its record;
//! - [`gate`]: what faults do to an end and to a dial;
//! - [`engine`]: what an implementation provides;
//! - [`beside`]: the subnetworks of this process that are joined in memory;
//! - `model`: what races with a close, under the locks of [`lock`](crate::lock).
//!
//! Every decision about who gets a port, whose close wins, or which number an event gets, happens
//! here, under the lock of one host. No file here opens a socket or runs SQL.

mod beside;
mod carry;
mod connection;
mod connection_core;
mod dial;
pub(crate) mod engine;
mod gate;
mod halves;
mod host;
mod host_core;
pub(crate) mod io;
mod listener;
mod listener_core;
mod net;
mod port_table;
mod stream;
mod subnetwork;

#[cfg(all(test, lonet_loom))]
mod model;

pub use halves::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use host::Host;
pub use listener::Listener;
pub(crate) use net::{Net, NetName};
pub use stream::Stream;
pub use subnetwork::SubNetwork;
