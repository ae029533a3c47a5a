//! How a node failed, as data, and that one was killed.
//!
//! Owns the one line that says so; the page around it is `report`'s.

use std::fmt;

use nix::sys::signal::Signal;

use crate::error::{Error, ErrorKind};
use crate::process::wire::Ended;

/// A node that failed: its role panicked, returned an error, or its process died in a way that
/// the scenario did not cause.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) host: String,
    /// What it played: ``role `server` ``, ``program `redis-server` ``.
    pub(crate) what: String,
    /// Of a role: where it is defined.
    pub(crate) place: Option<String>,
    pub(crate) how: How,
}

/// How a node failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum How {
    /// Its role returned this error.
    Returned(String),
    /// A task of its role panicked: where, and the message.
    Panicked(String),
    /// The process ended although its role had not returned, or with a status other than success.
    Ended(Ended),
    /// Its program could not be started.
    NotStarted(String),
    /// The supervisor has died, and all nodes with it.
    Unsupervised,
    /// The process that carried its traffic has died so, and all that it carried with it.
    Uncarried(String),
}

/// What a node's `join` says after the scenario has killed or terminated it. No test fails because
/// of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Killed {
    pub(crate) host: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure {
            host,
            what,
            place,
            how,
        } = self;
        match (how, place) {
            // An error has no place of its own, and an exit none at all.
            (How::Returned(_) | How::Ended(_), Some(place)) => {
                write!(f, "{host} ({what}, {place}) ")?;
            }
            _ => write!(f, "{host} ({what}) ")?,
        }
        match how {
            How::Returned(error) => write!(f, "returned an error: {error}"),
            How::Panicked(what) => f.write_str(what),
            How::Ended(ended) if what.starts_with("role") => {
                write!(f, "{} before its role returned", Past(*ended))?;
                // What names an overflow is installed by Rust's main, which a role does without.
                if *ended == Ended::Signal(Signal::SIGSEGV as i32) {
                    f.write_str("; a stack overflow looks like this")?;
                }
                Ok(())
            }
            How::Ended(ended) => write!(f, "{}", Past(*ended)),
            How::NotStarted(why) => write!(f, "could not be started: {why}"),
            How::Uncarried(how) => {
                write!(
                    f,
                    "was ended because the process that carries programs has died: {how}"
                )
            }
            How::Unsupervised => f.write_str("was ended because the supervisor has died"),
        }
    }
}

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was ended by the scenario", self.host)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::of_node(ErrorKind::Failed, &failure.host, failure.to_string())
    }
}

impl From<Killed> for Error {
    fn from(killed: Killed) -> Error {
        Error::of_node(ErrorKind::Killed, &killed.host, killed.to_string())
    }
}

/// How a process ended, as a sentence about it goes on.
pub(crate) struct Past(pub(crate) Ended);

impl fmt::Display for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ended::Status(status) => write!(f, "exited with status {status}"),
            Ended::Signal(number) => match Signal::try_from(number) {
                Ok(signal) => write!(f, "was killed by signal {number} ({signal})"),
                Err(_) => f.write_str("was killed by a real-time signal"),
            },
        }
    }
}

impl Ended {
    /// What follows `exit` in the event's line.
    pub(crate) fn words(self) -> String {
        match self {
            Ended::Status(status) => status.to_string(),
            Ended::Signal(signal) => format!("signal {signal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(what: &str, how: How, expected: &str) {
        let failure = Failure {
            host: "α".into(),
            what: what.into(),
            place: what.starts_with("role").then(|| "src/a.rs:7".into()),
            how,
        };
        assert_eq!(failure.to_string(), expected);
    }

    #[test]
    fn a_failure_names_host_role_and_cause() {
        check(
            "role `client`",
            How::Returned("dial lonetx β:1->α:10: connection refused".into()),
            "α (role `client`, src/a.rs:7) returned an error: dial lonetx β:1->α:10: connection refused",
        );
        check(
            "role `client`",
            How::Panicked("panicked at src/a.rs:1:2: boom".into()),
            "α (role `client`) panicked at src/a.rs:1:2: boom",
        );
        check(
            "role `client`",
            How::Ended(Ended::Status(3)),
            "α (role `client`, src/a.rs:7) exited with status 3 before its role returned",
        );
        check(
            "role `client`",
            How::Ended(Ended::Signal(11)),
            "α (role `client`, src/a.rs:7) was killed by signal 11 (SIGSEGV) before its role \
             returned; a stack overflow looks like this",
        );
        check(
            "program `redis`",
            How::Ended(Ended::Signal(9)),
            "α (program `redis`) was killed by signal 9 (SIGKILL)",
        );
    }
}
