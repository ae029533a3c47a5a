//! The messages between the processes of a scenario, one JSON object a line.
//!
//! Owns the messages between the test's process, its supervisor and its nodes, and how a line
//! leaves and arrives on a blocking socket. Lines have no limit: arguments may be megabytes.
//!
//! The values of a role, its arguments or its result, stand behind their message on the same line,
//! each after a [`SEPARATOR`], and not inside it: they would be scanned as JSON once more at each of
//! three stations, which takes seconds for megabytes where nothing is optimised.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use lonet::trace::Order;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use serde::{Deserialize, Serialize};

use super::mark::Mark;
use crate::travels::SEPARATOR;

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
    /// Whether it is a copy of this binary that plays a role, and sees to its own end.
    pub(crate) is_role: bool,
    /// What it finds as its own name, where that is not the program.
    pub(crate) arg0: Option<Text>,
    pub(crate) args: Vec<Text>,
    /// Whether it begins without any environment, rather than with the supervisor's, which is what
    /// the test's process had when its scenario began.
    pub(crate) clear: bool,
    /// Changes to that; `None` removes a variable.
    pub(crate) env: Vec<(Text, Option<Text>)>,
    pub(crate) dir: Option<Text>,
    /// Of a program that knows nothing of lonet: whose traffic is carried for it.
    pub(crate) carried: Option<Box<Carried>>,
}

/// As what a program is carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Carried {
    /// The number of its process in the scenario.
    pub(crate) process: u64,
    pub(crate) network: String,
    pub(crate) host: String,
    /// The names that it can resolve: of hosts spawned so far, and those that are reserved.
    pub(crate) names: Vec<String>,
    /// The soft limit of descriptors that it gets, where its parent has a higher one.
    pub(crate) descriptors: Option<u64>,
}

impl Carried {
    pub(super) fn mark(&self) -> Mark {
        Mark::new(self.network.as_bytes(), self.process)
    }
}

/// What the test's process asks of the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToSupervisor {
    /// Give what is started this soft limit of descriptors.
    Descriptors { soft: u64 },
    /// Start this program as the process with that number, its output into that pipe.
    Start {
        process: u64,
        program: Program,
        output: Text,
    },
    /// Send a signal to that process and all that came of it; SIGTERM to the process alone.
    Signal { process: u64, signal: i32 },
}

/// What the supervisor sends.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromSupervisor {
    /// It can start nothing, and ends.
    Failed { error: String },
    /// It can start processes; by which means it will end them all.
    Ready { means: Means },
    /// The carrier runs, with this pid as seen from the test's process.
    Carrier { pid: u32 },
    /// The carrier has died, and all that it carried: how, and why, where it said so.
    CarrierDied {
        status: Ended,
        error: Option<String>,
    },
    /// A process runs, with this pid as seen from the test's process.
    Started { process: u64, pid: u32 },
    /// A program can't be started.
    NotStarted { process: u64, error: String },
    /// A process has ended; all its threads are gone. Of a program that is carried, all that came of
    /// it is gone as well. `background`: it had left others that still ran.
    Ended {
        process: u64,
        status: Ended,
        #[serde(default)]
        background: bool,
    },
    /// Of a program that is carried nothing runs any more; its host is still open.
    Swept { process: u64 },
    /// A process had ended; what it left has got a signal, and is gone if that was SIGKILL.
    Reached { process: u64 },
    /// A process has stopped.
    Stopped { process: u64 },
    /// A stopped process goes on.
    Continued { process: u64 },
}

/// What the supervisor asks of the carrier. `Start` stands there as in [`ToSupervisor`]: the line is
/// passed on as it is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToCarrier {
    /// As [`ToSupervisor::Start`].
    Start {
        process: u64,
        program: Program,
        output: Text,
    },
    /// A program's first process has ended so, and nothing that came of it runs any more.
    Swept { process: u64, status: Ended },
}

/// What the carrier sends the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromCarrier {
    /// It carries nothing any more, and ends.
    Failed { error: String },
    /// A program runs: with this pid as `/proc` shows it, started at that time.
    Started {
        process: u64,
        pid: u32,
        started: u64,
    },
    /// A program can't be started.
    NotStarted { process: u64, error: String },
    /// A program's first process has ended.
    First { process: u64, status: Ended },
    /// A program that was swept has ended, and its host is closed.
    Ended { process: u64, status: Ended },
    /// A program's first process has stopped.
    Stopped { process: u64 },
    /// A stopped one goes on.
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

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Ended {
        match status.code() {
            Some(status) => Ended::Status(status),
            None => Ended::Signal(status.signal().unwrap_or_default()),
        }
    }
}

/// What the test's process sends a role about its life. What concerns the network is an
/// [`Order`](lonet::trace::Order) on the trace socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToNode {
    /// Play this role.
    Play(Play),
    /// The ticket is not good (any more): be an ordinary program.
    Spent,
    /// Finish. Said to what shows a ticket: exit.
    Terminate,
}

/// A role to play.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Play {
    pub(crate) role: usize,
    pub(crate) name: String,
    /// In JSON, with a [`SEPARATOR`] between them. They travel behind the message.
    #[serde(skip)]
    pub(crate) arguments: String,
    pub(crate) host: String,
    pub(crate) network: String,
    /// Stop before the role begins, until a debugger lets it go on.
    pub(crate) debug: bool,
}

/// What a node sends to the test's process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromNode {
    /// Its ticket.
    Ticket(u64),
    /// The role returned this, in JSON. It travels behind the message.
    Returned {
        #[serde(skip)]
        value: String,
    },
    /// The role returned an error.
    Failed(String),
    /// A task of the role panicked: the message, and where.
    Panicked(String),
    /// The role was asked to finish, and has.
    Terminated,
}

/// Writes a message as a whole.
pub(super) fn send_message(socket: impl AsFd, message: &impl Message) -> io::Result<()> {
    send_line(socket, &line(message))
}

/// Writes a line as a whole.
pub(super) fn send_line(socket: impl AsFd, line: &[u8]) -> io::Result<()> {
    let mut rest = line;
    while !rest.is_empty() {
        // No SIGPIPE: this process must not die because the other end is gone.
        match send(socket.as_fd().as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
            Ok(sent) => rest = &rest[sent..],
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A message of one line.
pub(crate) trait Message: Serialize {
    /// What stands behind it: of a role, the arguments or the result.
    fn values(&self) -> Option<&str> {
        None
    }
}

impl Message for ToSupervisor {}
impl Message for FromSupervisor {}
impl Message for ToCarrier {}
impl Message for FromCarrier {}
impl Message for Order {}
impl Message for Program {}

impl Message for ToNode {
    fn values(&self) -> Option<&str> {
        match self {
            ToNode::Play(play) => Some(&play.arguments),
            _ => None,
        }
    }
}

impl Message for FromNode {
    fn values(&self) -> Option<&str> {
        match self {
            FromNode::Returned { value } => Some(value),
            _ => None,
        }
    }
}

/// A message as a line.
pub(crate) fn line(message: &impl Message) -> Vec<u8> {
    let mut line = serde_json::to_vec(message)
        .expect("messages hold strings, numbers and lists, which JSON can all say");
    if let Some(values) = message.values() {
        line.push(SEPARATOR as u8);
        line.extend_from_slice(values.as_bytes());
    }
    line.push(b'\n');
    line
}

/// What the test's process sends a node in a line.
///
/// # Errors
/// The line is none of it.
pub(super) fn to_node(line: &[u8]) -> io::Result<ToNode> {
    let (message, values) = parts(line);
    let mut message = serde_json::from_slice(message)?;
    if let ToNode::Play(play) = &mut message {
        play.arguments = text(values)?;
    }
    Ok(message)
}

/// What a node sends in a line.
///
/// # Errors
/// The line is none of it.
pub(crate) fn from_node(line: &[u8]) -> io::Result<FromNode> {
    let (message, values) = parts(line);
    let mut message = serde_json::from_slice(message)?;
    if let FromNode::Returned { value } = &mut message {
        *value = text(values)?;
    }
    Ok(message)
}

/// The message, and what stands behind it.
fn parts(line: &[u8]) -> (&[u8], &[u8]) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    match line.iter().position(|&byte| byte == SEPARATOR as u8) {
        Some(end) => (&line[..end], &line[end + 1..]),
        None => (line, &[]),
    }
}

fn text(values: &[u8]) -> io::Result<String> {
    String::from_utf8(values.to_vec())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
