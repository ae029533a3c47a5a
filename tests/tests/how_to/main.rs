//! The programs of docs/how-to-test.md.

mod any_stream;
mod background;
mod logging;
mod real_address;
mod rpc;
mod tables;
