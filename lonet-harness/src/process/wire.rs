//! What the processes of a scenario say to each other, one JSON object a line.
//!
//! Owns the messages between the test's process, its supervisor and its nodes, and how a line
//! leaves and arrives on a blocking socket. Lines have no limit: arguments may be megabytes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use lonet::trace::Doing;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The name of the control socket in a network's directory, where nodes show their tickets.
pub(crate) const CONTROL_SOCKET: &str = "control.sock";

/// Bytes that the system gives or takes as text: UTF-8 or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Text {
    Utf8(String),
    Bytes(Vec<u8>),
}

impl From<&OsStr> for Text {
    fn from(text: &OsStr) -> Text {
        match text.to_str() {
            Some(text) => Text::Utf8(text.to_owned()),
            None => Text::Bytes(text.as_bytes().to_vec()),
        }
    }
}

impl From<Text> for OsString {
    fn from(text: Text) -> OsString {
        match text {
            Text::Utf8(text) => text.into(),
            Text::Bytes(bytes) => OsString::from_vec(bytes),
        }
    }
}

/// A program to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) program: Text,
    /// What it finds as its own name, where that is not the program.
    pub(crate) arg0: Option<Text>,
    pub(crate) args: Vec<Text>,
    /// Whether it begins without any environment, rather than with the supervisor's, which is what
    /// the test's process had when its scenario began.
    pub(crate) clear: bool,
    /// Changes to that; `None` removes a variable.
    pub(crate) env: Vec<(Text, Option<Text>)>,
    pub(crate) dir: Option<Text>,
}

/// What the test's process asks of the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToSupervisor {
    /// Start this program as the process with that number, its output into that pipe.
    Start {
        process: u64,
        program: Program,
        output: Text,
    },
    /// Send a signal to that process and its group.
    Signal { process: u64, signal: i32 },
}

/// What the supervisor tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromSupervisor {
    /// It can start processes; by which means it will end them all.
    Ready { means: Means },
    /// A process runs, with this pid as seen from the test's process.
    Started { process: u64, pid: u32 },
    /// A program can't be started.
    NotStarted { process: u64, error: String },
    /// A process has ended; all its threads are gone.
    Ended { process: u64, status: Ended },
    /// A process has stopped.
    Stopped { process: u64 },
    /// A stopped process goes on.
    Continued { process: u64 },
}

/// By which means the supervisor ends every process that comes of the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Means {
    /// A PID namespace, which the kernel empties.
    Namespace,
    /// A PID namespace in a user namespace of its own, for an ordinary user.
    UserNamespace,
    /// It inherits orphans (child subreaper), and ends children until there are none.
    Subreaper,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    Status(i32),
    /// 0: a signal that has no name here.
    Signal(i32),
}

/// What the test's process tells a node.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToNode {
    /// Play this role.
    Play(Play),
    /// The ticket is not good (any more): be an ordinary program.
    Spent,
    /// Finish.
    Terminate,
    /// Say what is waited for.
    Waits,
}

/// A role to play.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Play {
    pub(crate) role: usize,
    pub(crate) name: String,
    /// As they are: to quote megabytes as a text takes a second where nothing is optimised.
    pub(crate) arguments: Box<RawValue>,
    pub(crate) host: String,
    pub(crate) network: String,
    /// Stop before the role begins, until a debugger lets it go on.
    pub(crate) debug: bool,
}

/// What a node tells the test's process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromNode {
    /// Its ticket.
    Ticket(u64),
    /// The role returned this.
    Returned(Box<RawValue>),
    /// The role returned an error.
    Failed(String),
    /// A task of the role panicked: the message, and where.
    Panicked(String),
    /// The role was asked to finish, and has.
    Terminated,
    /// What it does on the network.
    Waits(Doing),
}

/// Writes a message as a whole.
pub(super) fn say(socket: impl AsFd, message: &impl Serialize) -> io::Result<()> {
    let line = line(message);
    let mut rest = &line[..];
    while !rest.is_empty() {
        // No SIGPIPE: whoever has gone away is no reason to die of it.
        match send(socket.as_fd().as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
            Ok(sent) => rest = &rest[sent..],
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A message as a line.
pub(crate) fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message)
        .expect("messages hold strings, numbers and lists, which JSON can all say");
    line.push(b'\n');
    line
}
