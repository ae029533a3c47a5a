//! The handles of a test. A map of:
//!
//! - `scenario`: its network and its processes; `node`: one of these processes;
//! - `play`: what can be spawned;
//! - `fault`: what can be done to the network and to processes, as a test says it;
//! - `injected`: injecting it, and the guard that ends it;
//! - `hang`: the report when the deadline has passed;
//! - `hindsight`: waiting after a body has failed, for its page;
//! - `refusal`: the page of an expected trace that does not hold;
//! - `in_role`: `until`, inside a role.

pub mod fault;
mod hang;
mod hindsight;
mod hold;
mod in_role;
mod injected;
mod node;
mod play;
mod refusal;
#[expect(
    clippy::module_inception,
    reason = "the module's one type has its name"
)]
mod scenario;

pub use hold::{Hold, Lockstep, Ordered};
pub use in_role::until;
pub use node::Node;
pub use play::Play;
pub use scenario::Scenario;
