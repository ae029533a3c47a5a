//! A program, in the moment before it is one: a copy of this binary, which then executes it.
//!
//! Owns that moment, in which the process arranges its own end with the supervisor, as nothing
//! else can without `unsafe`. How the supervisor learns that a program can't be executed is here,
//! too. Which program, is the scenario's business.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::parent;
use super::supervisor::{command, itself};
use super::ticket::{self, Ticket};
use super::wire::{Program, send_message};

/// The supervisor's side: a command that becomes the program, and the socket that says which.
pub(super) fn before() -> io::Result<(Command, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut before = itself();
    before
        .stdin(OwnedFd::from(theirs))
        .env(ticket::VARIABLE, Ticket::Program.to_value());
    Ok((before, ours))
}

/// The supervisor's side: has the command's process execute the program, and returns when it has.
///
/// # Errors
///
/// The program can't be executed; the process ends.
pub(super) fn become_it(mut socket: UnixStream, program: &Program) -> io::Result<()> {
    // A process that is killed before it learns its program is like one that is killed afterwards.
    let _ = send_message(&socket, program);
    let mut error = String::new();
    // What executes closes the socket.
    let _ = socket.read_to_string(&mut error);
    match error.parse() {
        Ok(errno) => Err(io::Error::from_raw_os_error(errno)),
        Err(_) if error.is_empty() => Ok(()),
        Err(_) => Err(io::Error::other(error)),
    }
}

/// Does not return: only the supervisor gives such a ticket, and it is not passed on.
pub(super) fn run() {
    let _ = execute();
    std::process::exit(1);
}

fn execute() -> io::Result<()> {
    // The copy is closed by `exec`; standard input would not be.
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut line = Vec::new();
    BufReader::new(&socket).read_until(b'\n', &mut line)?;
    let program: Program = serde_json::from_slice(&line)?;
    if !parent::end_with_supervisor() {
        return Ok(());
    }
    let error = command(program).stdin(Stdio::null()).exec();
    let error = match error.raw_os_error() {
        Some(errno) => errno.to_string(),
        None => error.to_string(),
    };
    (&socket).write_all(error.as_bytes())
}
