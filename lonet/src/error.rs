//! The errors of network operations: [`Error`], its [`Cause`], and the `io::ErrorKind` of each cause.
//!
//! Owns the text of every network error. The operations themselves decide when they fail.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::addr::Addr;
use crate::quote::is_print;

/// The result of an operation on a lonet network.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of a network operation: the operation, the network, the addresses and the cause.
///
/// It prints as `dial lonetx β:1->α:10: connection refused`. It converts into an [`io::Error`] of the
/// matching kind; `io::Error::downcast` gives it back.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::io;
///
/// let alpha = lonet::pipenet::network("x").new_host("α").await?;
/// let error = alpha.dial("β:10").await.unwrap_err();
/// assert_eq!(error.to_string(), "dial pipex α:1->β:10: no such host");
/// assert_eq!((error.op(), error.cause()), ("dial", &lonet::Cause::NoSuchHost));
///
/// let error = io::Error::from(error);
/// assert_eq!(error.kind(), io::ErrorKind::NotFound);
/// assert!(error.downcast::<lonet::Error>().is_ok());
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq)]
pub struct Error(Box<Fields>);

#[derive(Clone, PartialEq)]
struct Fields {
    op: &'static str,
    network: Arc<str>,
    source: Option<Addr>,
    addr: Option<Addr>,
    /// What the operation was about if not an address: a host's name, or a text that does not parse.
    subject: Option<String>,
    cause: Cause,
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The subnetwork is closed.
    NetworkDown,
    /// The host is closed.
    HostDown,
    /// The listener or the connection is closed.
    SocketDown,
    /// The requested port is taken.
    AddrInUse,
    /// The requested address belongs to another host.
    AddrNotAvailable,
    /// All 65535 ports of the host are taken.
    PortsExhausted,
    /// Nothing listens at the address, or the host is closed or its process is dead.
    ConnectionRefused,
    /// No host of this name has ever been on this network.
    NoSuchHost,
    /// The other side did not answer in time.
    TimedOut,
    /// A running host of the network has this name.
    HostExists,
    /// The name of a host or network is illegal; the text says which rule it breaks.
    InvalidName(String),
    /// The address is illegal; the text says why.
    InvalidAddr(String),
    /// The other end of the connection is closed.
    BrokenPipe,
    /// The other end of the connection was closed while it had unread data.
    ConnectionReset,
    /// The other side does not follow lonet's protocol, or belongs to another network.
    Protocol(String),
    /// The registry can't be used; the text says which file is wrong, and why.
    Registry(String),
    /// The network's directory is not safe to use; the text says which rule it breaks.
    Directory(String),
    /// The operating system returned this error: its kind and its text.
    Io(io::ErrorKind, String),
}

impl Cause {
    /// The `io::ErrorKind` of an [`io::Error`] with this cause.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::ErrorKind;
    ///
    /// assert_eq!(lonet::Cause::NoSuchHost.kind(), ErrorKind::NotFound);
    /// ```
    pub fn kind(&self) -> io::ErrorKind {
        use io::ErrorKind as K;
        match self {
            Cause::NetworkDown => K::NetworkDown,
            Cause::HostDown | Cause::SocketDown => K::NotConnected,
            Cause::AddrInUse => K::AddrInUse,
            Cause::AddrNotAvailable | Cause::PortsExhausted => K::AddrNotAvailable,
            Cause::ConnectionRefused => K::ConnectionRefused,
            Cause::NoSuchHost => K::NotFound,
            Cause::TimedOut => K::TimedOut,
            Cause::HostExists => K::AlreadyExists,
            Cause::InvalidName(_) | Cause::InvalidAddr(_) => K::InvalidInput,
            Cause::BrokenPipe => K::BrokenPipe,
            Cause::ConnectionReset => K::ConnectionReset,
            Cause::Protocol(_) => K::InvalidData,
            Cause::Registry(_) => K::Other,
            Cause::Directory(_) => K::PermissionDenied,
            Cause::Io(kind, _) => *kind,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Cause::NetworkDown => "network is down",
            Cause::HostDown => "host is down",
            Cause::SocketDown => "socket is down",
            Cause::AddrInUse => "address already in use",
            Cause::AddrNotAvailable => "cannot listen on requested address",
            Cause::PortsExhausted => "no free port",
            Cause::ConnectionRefused => "connection refused",
            Cause::NoSuchHost => "no such host",
            Cause::TimedOut => "timed out",
            Cause::HostExists => "host already registered",
            Cause::InvalidName(why) => return write!(f, "invalid name: {why}"),
            Cause::InvalidAddr(why) => return write!(f, "invalid address: {why}"),
            Cause::BrokenPipe => "broken pipe",
            Cause::ConnectionReset => "connection reset",
            Cause::Protocol(what) => return write!(f, "protocol error: {what}"),
            Cause::Registry(what) | Cause::Directory(what) | Cause::Io(_, what) => what,
        };
        f.write_str(text)
    }
}

impl std::error::Error for Cause {}

impl From<io::Error> for Cause {
    /// Maps an error of the operating system to a cause.
    fn from(error: io::Error) -> Cause {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Cause::BrokenPipe,
            io::ErrorKind::ConnectionReset => Cause::ConnectionReset,
            io::ErrorKind::ConnectionRefused => Cause::ConnectionRefused,
            io::ErrorKind::TimedOut => Cause::TimedOut,
            kind => Cause::Io(kind, error.to_string()),
        }
    }
}

impl Error {
    /// An error of `op` on the network with this full name.
    pub(crate) fn new(op: &'static str, network: Arc<str>, cause: Cause) -> Error {
        Error(Box::new(Fields {
            op,
            network,
            source: None,
            addr: None,
            subject: None,
            cause,
        }))
    }

    /// The same error with the address the operation came from.
    pub(crate) fn with_source(mut self, source: Addr) -> Error {
        self.0.source = Some(source);
        self
    }

    /// The same error with the address the operation went to, or was about.
    pub(crate) fn at(mut self, addr: Addr) -> Error {
        self.0.addr = Some(addr);
        self
    }

    /// The same error about something other than an address: a name, or a text that does not parse.
    pub(crate) fn about(mut self, subject: impl Into<String>) -> Error {
        self.0.subject = Some(subject.into());
        self
    }

    /// The operation that failed: `join`, `new host`, `listen`, `dial`, `accept`, `read`, `write`
    /// or `close`.
    pub fn op(&self) -> &str {
        self.0.op
    }

    /// The full name of the network, for instance `lonetx`.
    pub fn network(&self) -> &str {
        &self.0.network
    }

    /// The source of the operation: the dialing end; for `read` the peer; for `write` the local end.
    pub fn source_addr(&self) -> Option<&Addr> {
        self.0.source.as_ref()
    }

    /// The target of the operation: the dialed or listening address; for `read` the local end; for
    /// `write` the peer.
    pub fn addr(&self) -> Option<&Addr> {
        self.0.addr.as_ref()
    }

    /// Why it failed.
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// The `io::ErrorKind` of the cause.
    pub fn kind(&self) -> io::ErrorKind {
        self.0.cause.kind()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fields {
            op,
            network,
            source,
            addr,
            subject,
            cause,
        } = &*self.0;
        write!(f, "{op} {}", Shown(network))?;
        match (source, addr, subject) {
            (Some(source), Some(addr), _) => write!(f, " {source}->{addr}")?,
            (Some(source), None, Some(subject)) => write!(f, " {source}->{subject}")?,
            (Some(one), None, None) | (None, Some(one), _) => write!(f, " {one}")?,
            (None, None, Some(subject)) => write!(f, " {subject}")?,
            (None, None, None) => {}
        }
        write!(f, ": {cause}")
    }
}

/// A network's name, quoted if it has characters that don't print, such as a newline, an escape or a
/// change of writing direction. The caller may have asked for any name.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown(name) = self;
        if !name.chars().all(is_print) {
            write!(f, "{name:?}")
        } else {
            f.write_str(name)
        }
    }
}

impl fmt::Debug for Error {
    /// The same line as `Display`: tests that return an error print it with `Debug`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0.cause)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_text_and_its_kind() {
        use io::ErrorKind as K;
        let why = || "why".to_owned();
        for (cause, text, kind) in [
            (Cause::NetworkDown, "network is down", K::NetworkDown),
            (Cause::HostDown, "host is down", K::NotConnected),
            (Cause::SocketDown, "socket is down", K::NotConnected),
            (Cause::AddrInUse, "address already in use", K::AddrInUse),
            (
                Cause::AddrNotAvailable,
                "cannot listen on requested address",
                K::AddrNotAvailable,
            ),
            (Cause::PortsExhausted, "no free port", K::AddrNotAvailable),
            (
                Cause::ConnectionRefused,
                "connection refused",
                K::ConnectionRefused,
            ),
            (Cause::NoSuchHost, "no such host", K::NotFound),
            (Cause::TimedOut, "timed out", K::TimedOut),
            (
                Cause::HostExists,
                "host already registered",
                K::AlreadyExists,
            ),
            (
                Cause::InvalidName(why()),
                "invalid name: why",
                K::InvalidInput,
            ),
            (
                Cause::InvalidAddr(why()),
                "invalid address: why",
                K::InvalidInput,
            ),
            (Cause::BrokenPipe, "broken pipe", K::BrokenPipe),
            (
                Cause::ConnectionReset,
                "connection reset",
                K::ConnectionReset,
            ),
            (
                Cause::Protocol(why()),
                "protocol error: why",
                K::InvalidData,
            ),
            (Cause::Registry(why()), "why", K::Other),
            (Cause::Directory(why()), "why", K::PermissionDenied),
            (Cause::Io(K::OutOfMemory, why()), "why", K::OutOfMemory),
        ] {
            assert_eq!((cause.to_string().as_str(), cause.kind()), (text, kind));
        }
    }

    #[test]
    fn errors_survive_the_way_through_io_errors() {
        let error = Error::new("read", "lonetx".into(), Cause::BrokenPipe);
        let io = io::Error::from(error.clone());
        assert_eq!(io.kind(), io::ErrorKind::BrokenPipe);
        assert!(io.downcast::<Error>().is_ok_and(|back| back == error));
        for cause in [
            Cause::BrokenPipe,
            Cause::ConnectionReset,
            Cause::ConnectionRefused,
            Cause::TimedOut,
        ] {
            assert_eq!(Cause::from(io::Error::from(cause.kind())), cause);
        }
    }
}
