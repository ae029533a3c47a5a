//! The error type of the harness's operations.
//!
//! Owns its kind, its host and its sources. `collector::failure` writes the sentence that says how a
//! node failed; `run` decides whether an error fails a test.

use std::fmt;
use std::io;
use std::panic::Location;

/// The error of an operation of a scenario, of a node or of the harness itself.
///
/// [`kind`](Error::kind) returns what went wrong as an enum; `Display` explains it. Bodies of roles
/// and tests return [`lonet_harness::Result`](crate::Result), so `?` accepts this error and any
/// other.
///
/// # Examples
///
/// ```
/// # use lonet_harness::{Result, Scenario};
/// use lonet_harness::ErrorKind;
///
/// #[lonet::host]
/// async fn refuses(_host: lonet::Host) -> Result<()> {
///     Err("no quorum".into())
/// }
/// # #[lonet::main]
/// # async fn main(scenario: Scenario) -> Result<()> {
/// let node = scenario.spawn("α", refuses()).await?;
/// let error = node.join().await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Failed);
/// assert_eq!(error.host(), Some("α"));
/// assert!(error.to_string().ends_with("returned an error: no quorum"));
/// # Ok(()) }
/// ```
#[non_exhaustive]
#[derive(Debug)]
pub struct Error {
    // Boxed, so that a `Result` of it stays small.
    inner: Box<Inner>,
    /// The call that returned it, if the test made it.
    place: Option<&'static Location<'static>>,
}

#[derive(Debug)]
enum Inner {
    /// A node failed or was killed: its host, and the sentence that says how.
    Node(ErrorKind, String, String),
    Network(lonet::Error),
    Io(io::Error),
    Other(ErrorKind, String),
}

/// The kind of an [`Error`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A role panicked or returned an error, a process could not be started, or a process died
    /// without the scenario causing it. From [`run`](crate::run()): the scenario failed.
    Failed,
    /// The scenario killed or terminated the node. This does not fail the test.
    Killed,
    /// The deadline passed.
    Deadline,
    /// A pattern is invalid.
    Pattern,
    /// A host has an invalid name, or one that is taken.
    Host,
    /// A [fault](crate::fault) is invalid, or can't act as it says.
    Fault,
    /// A value can't be sent between processes, because JSON would lose a part of it.
    Value,
    /// An operation of the lonet network failed.
    Network,
    /// The operating system returned an error.
    Io,
    /// A process sent an invalid trace, so events may be missing. Also: a text is not a saved trace.
    Trace,
    /// An environment variable has an illegal value.
    Environment,
    /// The operation is not possible here: the scenario is over, or the caller is not in a role.
    Misplaced,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Inner::Other(kind, message.into()).into()
    }

    /// How a node failed, or that it was killed.
    pub(crate) fn of_node(kind: ErrorKind, host: &str, message: String) -> Error {
        Inner::Node(kind, host.to_owned(), message).into()
    }

    /// The scenario is over: nothing answers any more.
    pub(crate) fn over() -> Error {
        Error::new(ErrorKind::Misplaced, "the scenario is over")
    }

    /// The same error, of the call at that place.
    pub(crate) fn at(mut self, place: &'static Location<'static>) -> Error {
        self.place.get_or_insert(place);
        self
    }

    /// The place of the call that returned it.
    pub(crate) fn place(&self) -> Option<&'static Location<'static>> {
        self.place
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        match &*self.inner {
            Inner::Network(_) => ErrorKind::Network,
            Inner::Io(_) => ErrorKind::Io,
            Inner::Node(kind, ..) | Inner::Other(kind, _) => *kind,
        }
    }

    /// The host that failed or was killed.
    pub fn host(&self) -> Option<&str> {
        match &*self.inner {
            Inner::Node(_, host, _) => Some(host),
            _ => None,
        }
    }

    /// The network error that caused this one, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let alpha = scenario.host("α").await?;
    /// let error = lonet_harness::Error::from(alpha.dial("β:1").await.unwrap_err());
    /// assert!(error.network().is_some());
    /// # Ok(()) }
    /// ```
    pub fn network(&self) -> Option<&lonet::Error> {
        match &*self.inner {
            Inner::Network(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.inner {
            Inner::Network(error) => error.fmt(f),
            Inner::Io(error) => error.fmt(f),
            Inner::Node(.., message) | Inner::Other(_, message) => f.write_str(message),
        }
    }
}

/// `Display` already contains the wrapped error, so this returns that error's source.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.inner {
            Inner::Network(error) => error.source(),
            Inner::Io(error) => error.source(),
            Inner::Node(..) | Inner::Other(..) => None,
        }
    }
}

impl From<Inner> for Error {
    fn from(inner: Inner) -> Error {
        Error {
            inner: Box::new(inner),
            place: None,
        }
    }
}

impl From<lonet::Error> for Error {
    fn from(error: lonet::Error) -> Error {
        Inner::Network(error).into()
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Inner::Io(error).into()
    }
}

/// An error with all its sources, outermost first, on one line. A source that the text before it
/// already contains is left out.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    for cause in causes {
        let next = cause.to_string();
        if !last.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        last = next;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Layer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.1.as_deref().map(|layer| layer as _)
        }
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let (first, rest) = texts.split_first().expect("at least one");
        let below = (!rest.is_empty()).then(|| Box::new(layers(rest)));
        Layer(first, below)
    }

    #[test]
    fn a_chain_contains_every_source_once() {
        let text = |texts: &[&'static str]| chain(&layers(texts));
        assert_eq!(
            text(&["starting", "reading", "no file"]),
            "starting: reading: no file"
        );
        assert_eq!(
            text(&["reading: no file", "no file", "errno 2"]),
            "reading: no file: errno 2"
        );
        assert_eq!(text(&["alone"]), "alone");
    }

    #[test]
    fn a_wrapped_error_appears_once() {
        let error = Error::from(io::Error::other(layers(&["outer", "inner"])));
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(chain(&error), "outer: inner");
    }
}
