//! The words of a line, and the place of what is wrong with it.
//!
//! Pure. Knows nothing of what the words mean.

use crate::trace::SyntaxError;
use crate::trace::write::text::placed_words;

/// What is wrong with a text, and at which byte.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(super) at: usize,
    pub(crate) message: String,
}

impl Wrong {
    /// It is in a line of a trace that begins at that byte.
    pub(super) fn in_line(line: &str, at: usize, error: SyntaxError) -> Wrong {
        let above = line.split_inclusive('\n').take(error.line - 1);
        let above: usize = above.map(str::len).sum();
        let column = line[above..].char_indices().nth(error.column - 1);
        let column = column.map_or(line.len(), |(column, _)| above + column);
        Wrong {
            at: at + column,
            message: error.message,
        }
    }

    /// The line and the column, in characters, both from 1.
    pub(crate) fn place(&self, text: &str) -> (u32, u32) {
        let before = &text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        let narrow = |number| u32::try_from(number).unwrap_or(u32::MAX);
        (narrow(line), narrow(column))
    }
}

/// The words of a text, each with the byte where it begins.
pub(super) struct Words<'a> {
    text: &'a str,
    read: usize,
}

impl<'a> Words<'a> {
    pub(super) fn of(text: &'a str) -> Words<'a> {
        Words { text, read: 0 }
    }

    pub(super) fn next(&mut self) -> Option<(usize, &'a str)> {
        let rest = &self.text[self.read..];
        let word = rest.trim_start();
        let at = self.text.len() - word.len();
        let length = word.find(char::is_whitespace).unwrap_or(word.len());
        self.read = at + length;
        (length > 0).then(|| (at, &word[..length]))
    }

    pub(super) fn next_if(&mut self, wanted: bool) -> Option<(usize, &'a str)> {
        wanted.then(|| self.next()).flatten()
    }

    /// What has not been read, and the byte where it begins.
    pub(super) fn rest(&self) -> (usize, &'a str) {
        let rest = &self.text[self.read..];
        (self.text.len() - rest.trim_start().len(), rest.trim())
    }

    /// That this is wrong at that byte, or at the end.
    pub(super) fn wrong<T>(&self, at: Option<usize>, message: String) -> Result<T, Wrong> {
        let at = at.unwrap_or(self.text.trim_end().len());
        Err(Wrong { at, message })
    }
}

/// A line of a trace, and which match of it: `p:1 send c:1 #2`, which begins at that byte.
///
/// # Errors
///
/// What follows the `#` is not a number.
pub(super) fn numbered<'a>(
    text: &'a str,
    at: usize,
    example: &str,
) -> Result<(&'a str, usize), Wrong> {
    let Some((last, number)) = placed_words(text).pop() else {
        return Ok((text, 1));
    };
    let Some(number) = number.strip_prefix('#') else {
        return Ok((text, 1));
    };
    match number.parse() {
        Ok(nth) if nth > 0 => Ok((text[..last].trim_end(), nth)),
        _ => Err(Wrong {
            at: at + last,
            message: format!(
                "`#{number}` does not say which match: legal is `#1`, `#2` and so on, {example}"
            ),
        }),
    }
}
