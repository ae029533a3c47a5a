//! Go's `%q`: quoting and unquoting of strings, as the wire and expected traces use it.
//!
//! Pure. Owns which characters are escaped and how; which words need quoting is said here too, so
//! that printing and parsing a trace agree.

use std::borrow::Cow;

/// Why a text is no quoted string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuoteError;

/// The text as Go's `%q` prints it.
pub fn quote(text: &str) -> String {
    quote_bytes(text.as_bytes())
}

/// The bytes as Go's `%q` prints a string that holds them.
pub fn quote_bytes(_bytes: &[u8]) -> String {
    todo!()
}

/// What the quoted string that `input` begins with stands for, and how many bytes it takes.
///
/// # Errors
///
/// [`QuoteError`] when `input` does not begin with a quoted string.
pub fn unquote(_input: &[u8]) -> Result<(Vec<u8>, usize), QuoteError> {
    todo!()
}

/// A word as a trace prints it: as it is, or quoted where the grammar would read something else
/// into it (it begins with `$`, `_`, `#` or `"`, or holds a quote or a control character).
pub fn word(text: &str) -> Cow<'_, str> {
    let special = text.starts_with(['$', '_', '#', '"']);
    if special
        || text
            .chars()
            .any(|c| matches!(c, '"' | '`' | '\'') || c.is_control())
    {
        Cow::Owned(format!("{text:?}"))
    } else {
        Cow::Borrowed(text)
    }
}
