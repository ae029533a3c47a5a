//! What happened, and which event happens before which: records of all processes → one graph. Pure.

pub(crate) mod between_processes;
pub(crate) mod contradictions;
pub(crate) mod gathered;
pub(crate) mod graph;
pub(crate) mod process;
pub(crate) mod racing_ports;
pub(crate) mod relation;
pub(crate) mod sent;
pub(crate) mod within_process;
