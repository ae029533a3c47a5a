//! The expected trace that an attribute gives: where it is, and whether it is one.
//!
//! Owns saying where in the source a wrong line stands. Whether the trace holds is asked of the scenario, at the body's end.

use std::path::Path;

use crate::run::attribute::TraceSource;
use crate::trace::check_syntax;
use crate::trace::update::files;
use crate::trace::update::source::Source;

/// The expected trace of an attribute, whose syntax is right.
///
/// # Errors
///
/// The file can't be read, or a line is none: where it stands in the source, and what is legal.
pub(super) fn source(of: &TraceSource) -> Result<Source<'static>, String> {
    let source = match of {
        TraceSource::Text(literal) => Source::Attribute(literal.text),
        TraceSource::File { path, place } => {
            Source::File(files::beside(place.file, Path::new(path)))
        }
    };
    let text = source
        .text()
        .map_err(|why| format!("{}: {why}", of.place_of(1, 1)))?;
    if let Err(error) = check_syntax(&text) {
        let (line, column) = (error.line, error.column);
        let place = match &source {
            Source::File(path) => format!("{}:{line}:{column}", path.display()),
            _ => of.place_of(narrow(line), narrow(column)).to_string(),
        };
        return Err(format!("{place}: {}", error.message));
    }
    drop(text);
    Ok(source)
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
