//! The virtual network, free of sockets: a map.
//!
//! What users hold, from the highest on; each makes what stands below it:
//!
//! - [`subnetwork`]: one process's part of a network, and its new hosts;
//! - [`dial`]: one dial, from taking its port to the connection or the failure; [`carry`]: how it
//!   reaches the other side;
//! - [`listener`]: listening and accepting;
//! - [`stream`], [`halves`]: a connection, with tokio's interfaces; [`connection`]: what operations
//!   on one of its ends do, and how they fail;
//! - [`host`]: a host; closing, marks.
//!
//! What their handles share:
//!
//! - [`net`]: which hosts there are in this process, and the end of all of it;
//! - [`host_core`]: the ports of a host, and its end; [`port_table`]: the lowest free port;
//! - [`listener_core`]: the queue of those who dialed, and those who wait to accept;
//! - [`connection_core`]: what has closed a connection's end;
//! - [`engine`], [`io`]: the choice of what carries a network, and of what carries a connection;
//! - [`lock`]: the locks under which all that happens, and `model`: what races with a close.
//!
//! Whatever decides who may have a port, whose close wins, or which number an event gets, happens
//! here, under the lock of one host. No file here opens a socket or runs SQL.

mod carry;
mod connection;
mod connection_core;
mod dial;
pub(crate) mod engine;
mod halves;
mod host;
mod host_core;
pub(crate) mod io;
mod listener;
mod listener_core;
mod lock;
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
