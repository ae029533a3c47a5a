//! What runs before `main`: in a re-executed copy of this binary, all that it is for.
//!
//! Owns the decision alone. It comes before `main` so that no test framework ever sees such a
//! process: no flag is parsed, no test is filtered, nothing but the role prints anything.

use super::carrier::handover;
use super::ticket::Ticket;
use super::{carrier, child, init, program, supervisor};

/// Returns at once in an ordinary process; also in one whose ticket turns out to be spent, which is
/// how a grandchild comes by one.
#[ctor::ctor]
fn before_main() {
    match Ticket::mine() {
        None => {}
        Some(Ticket::Supervisor) => supervisor::run(),
        Some(Ticket::Init) => init::run(),
        Some(Ticket::Carrier) => carrier::run(),
        Some(Ticket::Program) => program::run(handover::install_and_send),
        Some(Ticket::Node {
            nonce,
            directory,
            in_main,
        }) => child::run(nonce, &directory, in_main),
    }
}
