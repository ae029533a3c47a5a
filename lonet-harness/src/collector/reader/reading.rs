//! What the reader knows of one source: what came of a line so far, and whether it is too long.
//!
//! Owns cutting bytes into lines, and every bound. Which source is read when is `reader`'s business.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::epoll::{Epoll, EpollEvent};

use super::{Conn, Door, Input};
use crate::process::output::{KEPT, Output};

/// How many bytes a line of a reporter may have, its end included.
pub(super) const LINE: usize = 1 << 20;
/// How much of a longer line is passed on.
const BEGIN: usize = 200;

/// Ends what is shown of a node that prints more.
const IN_THE_LOG: &str = "\n[… that was 1 MiB; what follows is in its log alone …]\n";

/// What is read.
pub(super) enum Source {
    Door(Door, UnixListener),
    Lines(UnixStream),
    Output(OwnedFd, Arc<Mutex<Output>>),
}

/// A source, and what came of it.
pub(super) struct Reading {
    pub(super) source: Source,
    /// What came of a line so far.
    pub(super) line: Vec<u8>,
    /// How long a line may be.
    pub(super) most: usize,
    /// In the middle of a line that is longer.
    pub(super) skips: bool,
    /// What could not be written yet, after what has been.
    pub(super) unwritten: Vec<u8>,
    /// How much of that has been.
    pub(super) written: usize,
    /// Whether the system is to say when it takes more.
    pub(super) blocked: bool,
    /// How much was handed on to be shown.
    pub(super) shown: usize,
}

impl Reading {
    /// Takes what was read, and hands on what that completes.
    pub(super) fn take(&mut self, conn: Conn, bytes: &[u8], inputs: &Sender<Input>) {
        // Without an analyst nothing listens.
        let send = |input| drop(inputs.send(input));
        if let Source::Output(_, output) = &self.source {
            output
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .append(bytes);
            let bytes = self.take_shown(bytes);
            if !bytes.is_empty() {
                send(Input::Printed { conn, bytes });
            }
            return;
        }
        let mut bytes = bytes;
        // What is read at once is shorter than a line may be: only the first can be too long.
        if self.skips || bytes.len() > self.most - self.line.len() {
            let first = bytes.iter().position(|&b| b == b'\n');
            let length = first.map_or(bytes.len(), |end| end + 1);
            if !self.skips && length > self.most - self.line.len() {
                let mut begin = std::mem::take(&mut self.line);
                begin.truncate(BEGIN);
                send(Input::TooLong { conn, begin });
                self.skips = true;
            }
            if self.skips {
                self.skips = first.is_none();
                bytes = &bytes[length..];
            }
        }
        // Most of a line of megabytes comes without an end. The standard library, which is optimised
        // where this is not, looks for one.
        let end = bytes.contains(&b'\n').then(|| {
            let from_behind = bytes.iter().rposition(|&b| b == b'\n');
            from_behind.expect("it is in there")
        });
        let Some(end) = end else {
            self.line.extend_from_slice(bytes);
            return;
        };
        let mut lines = std::mem::take(&mut self.line);
        lines.extend_from_slice(&bytes[..=end]);
        self.line.extend_from_slice(&bytes[end + 1..]);
        send(Input::Lines { conn, bytes: lines });
    }

    /// What is shown at once is bounded too: libtest keeps it. Once, it says so.
    fn take_shown(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(room) = KEPT.checked_sub(self.shown) else {
            return Vec::new();
        };
        let mut show = bytes[..room.min(bytes.len())].to_vec();
        self.shown += bytes.len();
        if self.shown > KEPT {
            show.extend_from_slice(IN_THE_LOG.as_bytes());
        }
        show
    }
}

impl Source {
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Source::Door(_, listener) => listener.set_nonblocking(true),
            Source::Lines(socket) => socket.set_nonblocking(true),
            // Opened so, since opening it would wait for a writer otherwise.
            Source::Output(..) => Ok(()),
        }
    }

    pub(super) fn add_to(&self, epoll: &Epoll, event: EpollEvent) -> nix::Result<()> {
        match self {
            Source::Door(_, listener) => epoll.add(listener, event),
            Source::Lines(socket) => epoll.add(socket, event),
            Source::Output(pipe, _) => epoll.add(pipe, event),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn reading(most: usize) -> Reading {
        let (socket, _other) = UnixStream::pair().unwrap();
        Reading {
            source: Source::Lines(socket),
            line: Vec::new(),
            most,
            skips: false,
            unwritten: Vec::new(),
            written: 0,
            blocked: false,
            shown: 0,
        }
    }

    /// What a reading passed on of these bytes, however they were cut.
    fn handed_on(reading: &mut Reading, chunks: &[&[u8]]) -> Vec<String> {
        let (send, inputs) = channel();
        for chunk in chunks {
            reading.take(1, chunk, &send);
        }
        let word = |input| match input {
            Input::Lines { bytes, .. } => String::from_utf8(bytes).unwrap(),
            Input::TooLong { begin, .. } => format!("too long: {}", begin.len()),
            _ => "other".to_owned(),
        };
        inputs.try_iter().map(word).collect()
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out() {
        let chunks: [&[u8]; 5] = [b"1234", b"567\n12", b"345678", b"9", b"9\n1\n2"];
        let mut limited = reading(8);
        assert_eq!(
            handed_on(&mut limited, &chunks),
            ["1234567\n", "too long: 8", "1\n"]
        );
        assert_eq!(limited.line, b"2");
        assert_eq!(handed_on(&mut limited, &[b"345678\n"]), ["2345678\n"]);
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let chunk = [b'x'; 64 * 1024];
        let mut limited = reading(LINE);
        let (send, inputs) = channel();
        for _ in 0..1024 {
            limited.take(1, &chunk, &send);
            assert!(limited.line.capacity() <= 2 * LINE);
        }
        let inputs = inputs.try_iter().count();
        assert_eq!((inputs, limited.line.len()), (1, 0));
    }

    #[test]
    fn what_is_shown_says_where_it_ends() {
        let mut reading = reading(usize::MAX);
        assert_eq!(reading.take_shown(&[b'x'; KEPT]), [b'x'; KEPT]);
        assert_eq!(reading.take_shown(b""), b"");
        assert_eq!(reading.take_shown(b"more"), IN_THE_LOG.as_bytes());
        assert_eq!(reading.take_shown(b"more"), b"");
    }
}
