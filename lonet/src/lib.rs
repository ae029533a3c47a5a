//! A TCP network simulated over loopback, shared by any number of processes.

mod addr;
mod error;
mod loopback;
mod quote;
mod registry;
pub mod trace;

pub use addr::{Addr, check_name, parse_port};
pub use error::{Cause, Error, Result};
pub use lonet_macros::{host, main, test};
