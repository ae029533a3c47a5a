//! What the expansions of `lonet-macros` name. Not for other users: no item here
//! keeps its name or its shape from one release to the next.
//!
//! A test calls `run_test::<A, _, _>(spec, body)`, a `main` `run_main` likewise, where `A` is the
//! type of the function's argument and `body` a `Fn(A) -> impl Future<Output = Result<(), BodyError>>`.

pub use linkme;

pub use crate::outcome::{
    Asked, BodyError, BoxedRoot, Choose, ErrorRoot, IsResult, NoRoot, Outcome, Pick, SharedRoot,
    ask, asked_of, finish, outcome,
};
pub use crate::role::{
    Arguments, BEFORE_ROLE, Playing, PlaysHost, ROLES, Role, RoleEntry, arguments, decode, encode,
    role,
};
pub use crate::run::attribute::{Literal, Place, Spec, TraceSource};
pub use crate::run::{TestArgument, run_main, run_test};

/// What only the project's own benchmarks and fuzz targets call.
pub mod measured {
    use std::sync::Arc;

    pub use crate::trace::happened::graph::Graph;
    pub use crate::trace::happened::process::Process;
    pub use crate::trace::{Expectation, Mode};
    use crate::trace::{Mismatch, Trace};

    /// Everything that was reported.
    pub fn whole(graph: Graph) -> Trace {
        Trace::whole(Arc::new(graph))
    }

    /// Whether a parsed expectation holds.
    ///
    /// # Errors
    /// Why it doesn't.
    pub fn check(trace: &Trace, parsed: &Expectation, mode: Mode) -> Result<(), Mismatch> {
        trace.cut.check_parsed(parsed, mode)
    }
}
