//! What can be spawned as a host: a role or a program.
//!
//! Owns how each becomes a process, and how the end of that process becomes a result. `node` and
//! `process` start it.

use std::process::ExitStatus;

use serde::de::DeserializeOwned;

use crate::collector::query::Launch;
use crate::deadline;
use crate::error::Error;
use crate::process::launch::{self, Place};
use crate::process::wire;
use crate::program::Program;
use crate::role::{Role, RoleEntry};
use crate::session::Inner;

/// What [`Scenario::spawn`](crate::Scenario::spawn) can start: a [`Role`] or a [`Program`]. This trait
/// is sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be spawned: it is neither a role nor a `Program`",
    label = "must be a role or a `Program`",
    note = "for a function: did you forget the `()` after the role?",
    note = "for a future: did you forget `#[lonet::host]` on its `async fn`?"
)]
pub trait Play: sealed::Sealed {
    /// What [`Node::join`](crate::Node::join) returns.
    type Output: 'static;

    /// What is to be started, and how its end is read.
    #[doc(hidden)]
    fn parts(self) -> Result<(Player, Decode<Self::Output>), Error>;
}

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for crate::Role<T> {}
    impl Sealed for crate::Program {}
}

/// The output is the role's result.
impl<T: DeserializeOwned + 'static> Play for Role<T> {
    type Output = T;

    fn parts(self) -> Result<(Player, Decode<T>), Error> {
        let arguments = self.arguments()?.to_owned();
        let player = Player::Role {
            entry: self.entry(),
            arguments,
        };
        Ok((player, Decode::Role(Role::<T>::decode)))
    }
}

/// The output is the program's exit status.
impl Play for Program {
    type Output = ExitStatus;

    fn parts(self) -> Result<(Player, Decode<ExitStatus>), Error> {
        let decode = Decode::Program(std::convert::identity);
        Ok((Player::Program(self), decode))
    }
}

/// What plays the host, ready to be started again.
#[doc(hidden)]
#[derive(Debug)]
pub enum Player {
    /// A role of this binary.
    Role {
        /// Which.
        entry: &'static RoleEntry,
        /// What it is given.
        arguments: String,
    },
    /// A program.
    Program(Program),
}

/// How the end of a process becomes a `T`.
#[doc(hidden)]
#[derive(Debug)]
pub enum Decode<T> {
    /// What a role returned.
    Role(fn(&str) -> Result<T, String>),
    /// A program's status.
    Program(fn(ExitStatus) -> T),
}

impl Player {
    /// What it plays, for messages.
    pub(crate) fn what(&self) -> String {
        match self {
            Player::Role { entry, .. } => format!("role `{}`", entry.short_name()),
            Player::Program(program) => {
                format!("program `{}`", program.program().to_string_lossy())
            }
        }
    }

    /// Whether it is a program whose traffic is carried.
    pub(crate) fn is_carried(&self) -> bool {
        matches!(self, Player::Program(program) if !program.is_to_join())
    }

    /// Where a role is defined.
    fn place(&self) -> Option<String> {
        match self {
            Player::Role { entry, .. } => Some(format!("{}:{}", entry.file, entry.line)),
            Player::Program(_) => None,
        }
    }

    pub(crate) fn launch(&self, inner: &Inner, host: &str, process: u64) -> Launch {
        let names = inner.names();
        let place = Place {
            network: &inner.name,
            host,
            process,
            names: &names,
            before: &inner.inherited,
        };
        let (program, role) = match self {
            Player::Role { entry, arguments } => {
                let nonce = inner.next_nonce();
                let play = wire::Play {
                    role: entry.index(),
                    name: entry.name.to_owned(),
                    arguments: arguments.clone(),
                    host: host.to_owned(),
                    network: inner.name.clone(),
                    debug: is_debugged(host),
                };
                (
                    launch::node(&place, nonce, &inner.directory, inner.entrance),
                    Some((nonce, play)),
                )
            }
            Player::Program(program) => {
                let program = launch::program(&place, program);
                let program = match is_debugged(host) {
                    true => launch::stopped_at_start(program),
                    false => program,
                };
                (program, None)
            }
        };
        Launch {
            process,
            host: host.to_owned(),
            what: self.what(),
            place: self.place(),
            program,
            role,
        }
    }
}

/// Whether the node of this host is to wait for a debugger.
pub(crate) fn is_debugged(host: &str) -> bool {
    std::env::var_os(deadline::DEBUGGED).is_some_and(|debugged| debugged == host)
}
