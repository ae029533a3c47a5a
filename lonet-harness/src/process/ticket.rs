//! The ticket: what the environment of a re-executed copy of this binary says it is for.
//!
//! Owns its text. The process that gave it out knows whether it is still good: a ticket is good
//! once, so that a grandchild that inherits the environment finds it spent.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that holds the ticket. All that it holds is a number and the place to show it:
/// nothing of a role is to be read in `/proc/*/environ`.
pub(crate) const VARIABLE: &str = "LONET_TICKET";

/// The variable that says, by `1`, that roles are to begin in `main` where they can, rather than
/// before it.
pub(crate) const IN_MAIN: &str = "LONET_IN_MAIN";

/// What a re-executed copy of this binary is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ticket {
    /// To be the parent of a scenario's processes; its standard input is its control socket.
    Supervisor,
    /// To be the first process of the supervisor's PID namespace.
    Init,
    /// To be the parent of the programs that are carried; its standard input is the supervisor's
    /// socket.
    Carrier,
    /// To become a program, which it reads from its standard input.
    Program,
    /// To play a role, which it reads from the control socket in this directory.
    /// `in_main`: by the test that it is in, rather than before `main`.
    Node {
        nonce: u64,
        directory: PathBuf,
        in_main: bool,
    },
}

impl Ticket {
    /// The ticket of this process, if it has one.
    pub(super) fn mine() -> Option<Ticket> {
        Ticket::parse(split(std::env::var_os(VARIABLE)?.as_bytes()).1)
    }

    /// The variable's value.
    pub(super) fn to_value(&self) -> OsString {
        match self {
            Ticket::Supervisor => "supervisor".into(),
            Ticket::Init => "init".into(),
            Ticket::Carrier => "carrier".into(),
            Ticket::Program => "program".into(),
            Ticket::Node {
                nonce,
                directory,
                in_main,
            } => {
                let kind = if *in_main { "main" } else { "node" };
                let mut value = OsString::from(format!("{kind}:{nonce}:"));
                value.push(directory);
                value
            }
        }
    }

    fn parse(value: &[u8]) -> Option<Ticket> {
        match value {
            b"supervisor" => Some(Ticket::Supervisor),
            b"init" => Some(Ticket::Init),
            b"carrier" => Some(Ticket::Carrier),
            b"program" => Some(Ticket::Program),
            _ => {
                let in_main = value.starts_with(b"main:");
                let rest = value
                    .strip_prefix(b"node:")
                    .or(value.strip_prefix(b"main:"))?;
                let colon = rest.iter().position(|&b| b == b':')?;
                let nonce = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
                let directory = OsString::from_vec(rest[colon + 1..].to_vec());
                let absolute = Path::new(&directory).is_absolute();
                absolute.then(|| Ticket::Node {
                    nonce,
                    directory: directory.into(),
                    in_main,
                })
            }
        }
    }
}

/// Completes the ticket in a command's environment, if there is one: a child of the supervisor, or of
/// the carrier, is to see this pid as its parent's.
pub(super) fn give(command: &mut Command, parent: u32) {
    let ticket = command.get_envs().find(|(name, _)| *name == VARIABLE);
    if let Some((_, Some(ticket))) = ticket {
        let ticket = of_child(parent, ticket);
        command.env(VARIABLE, ticket);
    }
}

fn of_child(parent: u32, value: &OsStr) -> OsString {
    let mut whole = OsString::from(format!("{parent}@"));
    whole.push(value);
    whole
}

/// The pid that the one to whom the ticket was given sees as its parent's.
pub(super) fn parent() -> Option<i32> {
    split(std::env::var_os(VARIABLE)?.as_bytes()).0
}

fn split(value: &[u8]) -> (Option<i32>, &[u8]) {
    let at = value.iter().take_while(|b| b.is_ascii_digit()).count();
    let pid = std::str::from_utf8(&value[..at]).ok();
    match (pid.and_then(|pid| pid.parse().ok()), value.get(at)) {
        (Some(pid), Some(b'@')) => (Some(pid), &value[at + 1..]),
        _ => (None, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_reads_back() {
        let directory = PathBuf::from("/tmp/lonet/a:b");
        for ticket in [
            Ticket::Supervisor,
            Ticket::Init,
            Ticket::Carrier,
            Ticket::Program,
            Ticket::Node {
                nonce: u64::MAX,
                directory,
                in_main: true,
            },
        ] {
            assert_eq!(Ticket::parse(ticket.to_value().as_bytes()), Some(ticket));
        }
    }

    #[test]
    fn an_invalid_ticket_is_none() {
        for value in [
            "",
            "node",
            "node:1",
            "node:x:/tmp",
            "node:1:tmp",
            "Supervisor",
        ] {
            assert_eq!(Ticket::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn a_child_learns_its_parent() {
        let whole = of_child(17, OsStr::new("node:1:/tmp/3@x"));
        assert_eq!(split(whole.as_bytes()), (Some(17), &b"node:1:/tmp/3@x"[..]));
        assert_eq!(split(b"node:1:/a"), (None, &b"node:1:/a"[..]));
        assert_eq!(split(b"17"), (None, &b"17"[..]));
    }
}
