//! Text in columns: how wide a text is on a terminal, and lines of a trace aligned.
//!
//! Pure. Owns the width of characters as far as host names and marks need it, and how long a line
//! may get.

use std::borrow::Cow;

/// How many columns of a terminal a text takes: combining marks none, East Asian wide ones two.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> usize {
    match c as u32 {
        0x20..=0x7e => 1,
        0x0300..=0x036f
        | 0x0483..=0x0489
        | 0x0591..=0x05bd
        | 0x0610..=0x061a
        | 0x064b..=0x065f
        | 0x0900..=0x0902
        | 0x093a
        | 0x093c
        | 0x0941..=0x0948
        | 0x094d
        | 0x0e31
        | 0x0e34..=0x0e3a
        | 0x0e47..=0x0e4e
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x200b..=0x200f
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xa960..=0xa97f
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// A line is shown so far, in characters.
const LONGEST: usize = 1_000;

/// The line, as far as a reader wants to see it, and how much is left out.
pub(crate) fn shortened(line: &str) -> Cow<'_, str> {
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => {
            let more = line[end..].chars().count();
            Cow::Owned(format!("{}… ({more} more characters)", &line[..end]))
        }
        None => Cow::Borrowed(line),
    }
}

/// The text followed by blanks up to this width.
pub(crate) fn padded(text: &str, to: usize) -> String {
    let blanks = to.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(blanks))
}

/// Lines of words, the first two words in columns of their own, the rest single-spaced. A line
/// that is not of words stands as it is.
pub(crate) fn aligned(lines: &[Result<Vec<String>, String>]) -> String {
    let widest = |column: usize| {
        let words = lines.iter().flatten();
        let cells = words.filter(|words| words.len() > column + 1);
        cells.map(|words| width(&words[column])).max().unwrap_or(0)
    };
    let (subject, verb) = (widest(0), widest(1));
    let mut text = String::new();
    for line in lines {
        match line {
            Ok(words) => {
                let mut cells = Vec::with_capacity(3);
                for (index, word) in words.iter().enumerate() {
                    let last = index + 1 == words.len();
                    cells.push(match index {
                        0 if !last => padded(word, subject),
                        1 if !last => padded(word, verb),
                        _ => word.clone(),
                    });
                }
                text.push_str(&cells.join(" "));
            }
            Err(plain) => text.push_str(plain),
        }
        text.push('\n');
    }
    text
}
