//! The expected trace that an attribute gives: its text, wherever it is, and whether it is one.
//!
//! Owns finding the file, and saying where in the source a wrong line stands. Whether the trace
//! holds is asked of the scenario, at the body's end.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::spec::TraceSource;
use crate::trace::grammar::check_syntax;

/// The expected trace of an attribute, whose syntax is right.
///
/// # Errors
///
/// The file can't be read, or a line is none: where it stands in the source, and what is legal.
pub(super) fn text(source: &TraceSource) -> Result<String> {
    let (text, file) = match source {
        TraceSource::Text { text, .. } => ((*text).to_owned(), None),
        TraceSource::File { path, place } => {
            let path = beside(place.file, path);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| format!("{place}: {} can't be read: {error}", path.display()))?;
            (text, Some(path))
        }
    };
    if let Err(error) = check_syntax(&text) {
        let (line, column) = (error.line, error.column);
        let place = match file {
            Some(path) => format!("{}:{line}:{column}", path.display()),
            None => source.place_of(narrow(line), narrow(column)).to_string(),
        };
        return Err(format!("{place}: {}", error.message).into());
    }
    Ok(text)
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A file that is named relative to the directory of a source file. rustc names the latter
/// relative to the workspace, cargo runs tests in the package.
fn beside(source: &str, path: &str) -> PathBuf {
    let beside = Path::new(source).with_file_name(path);
    let here = std::env::current_dir().unwrap_or_default();
    let found = here
        .ancestors()
        .map(|dir| dir.join(&beside))
        .find(|path| path.exists());
    found.unwrap_or(beside)
}
