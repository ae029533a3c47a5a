//! What a terminal shows while a test runs its body many times.
//!
//! Owns how a line is written over and over. Which line that is, `report` says.

use std::io::{self, IsTerminal as _, Stderr, Write};

/// One line on a terminal, written over and over.
pub(super) struct Progress<W> {
    to: W,
    shows: bool,
}

impl Progress<Stderr> {
    /// On standard error, if that is a terminal.
    pub(super) fn on_stderr() -> Progress<Stderr> {
        Progress::new(io::stderr(), io::stderr().is_terminal())
    }
}

impl<W: Write> Progress<W> {
    fn new(to: W, shows: bool) -> Progress<W> {
        Progress { to, shows }
    }

    pub(super) fn show(&mut self, line: &str) {
        if self.shows {
            // A terminal that is gone needs no progress.
            let _ = write!(self.to, "\r{line}\x1b[K");
            let _ = self.to.flush();
        }
    }

    /// What follows stands on an empty line.
    pub(super) fn end(&mut self) {
        if self.shows {
            let _ = write!(self.to, "\r\x1b[K");
            let _ = self.to.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_shows_one_line() {
        let mut written = Vec::new();
        let mut progress = Progress::new(&mut written, true);
        progress.show("sweep: 1 of 2 points");
        progress.show("sweep: 2 of 2 points");
        progress.end();
        let shown = "\rsweep: 1 of 2 points\x1b[K\rsweep: 2 of 2 points\x1b[K\r\x1b[K";
        assert_eq!(String::from_utf8(written).unwrap(), shown);

        let mut written = Vec::new();
        let mut progress = Progress::new(&mut written, false);
        progress.show("sweep: 1 of 2 points");
        progress.end();
        assert!(written.is_empty());
    }
}
