//! One line of the handshake, read from a socket: exactly it, and nothing of what follows.
//!
//! Owns peeking and reading. What the line says, and how long it is at least, is `handshake`'s
//! business.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::handshake::MAX_LINE;

/// Reads a line that may come in pieces.
#[derive(Default)]
pub(super) struct LineReader {
    /// What came before, without a newline. Usually the line comes at once and nothing is kept.
    partial: Vec<u8>,
}

/// What came of an attempt.
pub(crate) enum Progress {
    /// The line, its newline included.
    Line(Vec<u8>),
    /// There is more to come.
    Blocked,
    /// The peer disconnected before the line's end.
    Eof,
    /// The line is longer than the protocol allows.
    TooLong,
}

/// How much is certain to come of a line of which nothing is known.
pub(super) fn nothing_sure(_begun: &[u8]) -> usize {
    0
}

impl LineReader {
    /// Reads as much of the line as there is. Never blocks.
    ///
    /// `sure` says of a line that begins so how many bytes it has yet, at least: those are read
    /// without being looked at first. Where it promised too much, what followed the newline is
    /// part of what is returned, which then is not a legal line.
    pub(super) fn advance(
        &mut self,
        fd: RawFd,
        sure: impl Fn(&[u8]) -> usize,
    ) -> io::Result<Progress> {
        let mut buf = [0; MAX_LINE];
        loop {
            let room = &mut buf[..MAX_LINE - self.partial.len()];
            let got = match sure(&self.partial).min(room.len()) {
                0 => {
                    recv(fd, room, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT).and_then(|there| {
                        let newline = room[..there].iter().position(|&byte| byte == b'\n');
                        let ours = newline.map_or(there, |at| at + 1);
                        // What was peeked is there.
                        recv(fd, &mut room[..ours], MsgFlags::MSG_DONTWAIT)
                    })
                }
                sure => recv(fd, &mut room[..sure], MsgFlags::MSG_DONTWAIT),
            };
            let ours = match got {
                Ok(0) => return Ok(Progress::Eof),
                Ok(got) => &room[..got],
                Err(Errno::EAGAIN) => return Ok(Progress::Blocked),
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if ours.contains(&b'\n') {
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

/// Waits for a line, of which so much is `sure`, or for what makes one impossible; never returns
/// `Progress::Blocked`.
pub(super) async fn read_line(
    stream: &TcpStream,
    line: &mut LineReader,
    sure: impl Fn(&[u8]) -> usize,
) -> io::Result<Progress> {
    loop {
        stream.readable().await?;
        let progress = stream.try_io(Interest::READABLE, || {
            match line.advance(stream.as_raw_fd(), &sure)? {
                Progress::Blocked => Err(ErrorKind::WouldBlock.into()),
                progress => Ok(progress),
            }
        });
        match progress {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}
