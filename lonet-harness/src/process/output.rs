//! What a node printed: its beginning and its end, whatever it printed in between.
//!
//! Owns the bound. Other modules read the pipe and show the text.

use std::collections::VecDeque;

/// How much of a node's output is kept: so much from its beginning, and so much from its end.
pub(crate) const KEPT: usize = 1 << 20;

/// A node's output, standard output and standard error in the order in which they were written.
#[derive(Default)]
pub(crate) struct Output {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
}

impl Output {
    /// Takes what the node printed next.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        let room = KEPT - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        if self.tail.len() > KEPT {
            let surplus = self.tail.len() - KEPT;
            self.tail.drain(..surplus);
            self.dropped += surplus as u64;
        }
    }

    /// All that is kept; a line of its own says how much is not.
    pub(crate) fn text(&self) -> String {
        let mut bytes = self.head.clone();
        if self.dropped > 0 {
            let gap = format!("\n[… {} bytes are not kept …]\n", self.dropped);
            bytes.extend_from_slice(gap.as_bytes());
        }
        let (a, b) = self.tail.as_slices();
        bytes.extend_from_slice(a);
        bytes.extend_from_slice(b);
        match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
    }
}

/// The last lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().rev().take(count).collect();
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_output_is_kept_whole() {
        let mut output = Output::default();
        output.append(b"one\n");
        output.append(b"two\n");
        assert_eq!(output.text(), "one\ntwo\n");
    }

    #[test]
    fn a_long_output_keeps_its_beginning_and_its_end() {
        let mut output = Output::default();
        for n in 0..400_000 {
            output.append(format!("line {n}\n").as_bytes());
        }
        let text = output.text();
        assert!(text.len() <= 2 * KEPT + 100, "{}", text.len());
        assert!(text.starts_with("line 0\nline 1\n"));
        assert!(text.ends_with("line 399998\nline 399999\n"));
        assert!(text.contains("bytes are not kept"));
    }

    #[test]
    fn the_last_lines_come_in_order() {
        assert_eq!(last_lines("a\nb\nc\n", 2), ["b", "c"]);
        assert_eq!(last_lines("", 2), [""; 0]);
    }
}
