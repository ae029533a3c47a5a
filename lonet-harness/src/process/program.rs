//! A program, in the moment before it is one: a copy of this binary, which then executes it.
//!
//! Owns that moment, in which the process arranges its own end with the supervisor, as nothing
//! else can without `unsafe`. How its parent, the supervisor or the carrier, learns that a program can't be executed is here,
//! too. Which program, is the scenario's business.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::children::{command, itself};
use super::ticket::{self, Ticket};
use super::wire::{Program, send_message};
use super::{limits, parent};

/// The parent's side: a command that becomes the program, and the socket that says which.
pub(super) fn before() -> io::Result<(Command, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut before = itself();
    before
        .stdin(OwnedFd::from(theirs))
        .env(ticket::VARIABLE, Ticket::Program.to_value());
    Ok((before, ours))
}

/// The parent's side: tells the command's process which program it is to become.
///
/// # Errors
///
/// The process is gone, or can't become a program that is carried.
pub(super) fn begin(socket: &UnixStream, program: &Program) -> io::Result<()> {
    // A process that is killed before it learns its program is like one that is killed afterwards.
    let _ = send_message(socket, program);
    Ok(())
}

/// The parent's side: returns when the process has executed the program.
///
/// # Errors
///
/// The program can't be executed; the process ends.
pub(super) fn becomes(mut socket: &UnixStream) -> io::Result<()> {
    let mut error = String::new();
    // What executes closes the socket.
    let _ = socket.read_to_string(&mut error);
    match error.parse() {
        Ok(errno) => Err(io::Error::from_raw_os_error(errno)),
        Err(_) if error.is_empty() => Ok(()),
        Err(_) => Err(io::Error::other(error)),
    }
}

/// Does not return: only its parent gives such a ticket, and it is not passed on.
/// `hand_over` has the carrier serve this process's calls, through that socket.
pub(super) fn run(hand_over: fn(BorrowedFd<'_>) -> io::Result<()>) {
    let _ = execute(hand_over);
    std::process::exit(1);
}

fn execute(hand_over: fn(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
    // The copy is closed by `exec`; standard input would not be.
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut line = Vec::new();
    BufReader::new(&socket).read_until(b'\n', &mut line)?;
    let program: Program = serde_json::from_slice(&line)?;
    if !parent::end_with_supervisor() {
        return Ok(());
    }
    if let Some(carried) = &program.carried {
        carried.mark().set();
        if let Some(soft) = carried.descriptors {
            limits::set_descriptors(soft);
        }
        if let Err(error) = hand_over(socket.as_fd()) {
            // Where the listener would come; the text behind it is read as that of any other error.
            return (&socket).write_all(format!("\n{error}").as_bytes());
        }
    }
    let error = command(program).stdin(Stdio::null()).exec();
    let error = match error.raw_os_error() {
        Some(errno) => errno.to_string(),
        None => error.to_string(),
    };
    (&socket).write_all(error.as_bytes())
}
