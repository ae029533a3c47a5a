//! One line of the handshake, read from a socket: exactly it, and nothing of what follows.
//!
//! Owns peeking and reading. What the line says is `handshake`'s business.

use std::io;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::handshake::MAX_LINE;

/// Reads a line that may come in pieces.
#[derive(Default)]
pub(super) struct LineReader {
    /// What came before, without a newline. Usually the line comes at once and nothing is kept.
    partial: Vec<u8>,
}

/// What came of an attempt.
pub(super) enum Progress {
    /// The line, its newline included.
    Line(Vec<u8>),
    /// There is more to come.
    Blocked,
    /// The peer hung up before the line's end.
    Eof,
    /// The line is longer than the protocol allows.
    TooLong,
}

impl LineReader {
    /// Reads as much of the line as there is. Never blocks.
    pub(super) fn advance(&mut self, fd: RawFd) -> io::Result<Progress> {
        let mut buf = [0; MAX_LINE];
        loop {
            let room = &mut buf[..MAX_LINE - self.partial.len()];
            let there = match recv(fd, room, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Ok(Progress::Eof),
                Ok(there) => there,
                Err(Errno::EAGAIN) => return Ok(Progress::Blocked),
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let newline = room[..there].iter().position(|&byte| byte == b'\n');
            let ours = newline.map_or(there, |at| at + 1);
            // What was peeked is there.
            let got = recv(fd, &mut room[..ours], MsgFlags::MSG_DONTWAIT)?;
            let ours = &room[..got];
            if newline.is_some() && ours.ends_with(b"\n") {
                if self.partial.is_empty() {
                    return Ok(Progress::Line(ours.to_vec()));
                }
                self.partial.extend_from_slice(ours);
                return Ok(Progress::Line(std::mem::take(&mut self.partial)));
            }
            self.partial.extend_from_slice(ours);
            if self.partial.len() == MAX_LINE {
                return Ok(Progress::TooLong);
            }
        }
    }
}
