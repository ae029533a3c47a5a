//! Go's `%q`: quoting and unquoting of strings, as the wire and expected traces use it.
//!
//! Pure. Owns which characters are escaped and how; which words need quoting is said here too, so
//! that printing and parsing a trace agree.

use std::borrow::Cow;

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
