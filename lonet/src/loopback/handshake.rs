//! The lines that open a connection, as pure functions of bytes.
//!
//! Owns what the request and the reply look like, and which line is answered with which error.
//! Reads and writes nothing.

use crate::addr::Addr;
use crate::error::Cause;

/// The most bytes a line may have, its newline included.
pub(crate) const MAX_LINE: usize = 1024;

/// What a dialer asks for: `lonet "<network>" dial "<src>" "<dst>"`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// The network's full name, `lonetx`.
    pub(crate) network: String,
    /// The dialing end.
    pub(crate) src: Addr,
    /// The dialed address.
    pub(crate) dst: Addr,
}

impl Request {
    /// The line, newline included.
    pub(crate) fn line(&self) -> Vec<u8> {
        todo!()
    }
}

/// Why a request is turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request names another network.
    NetworkMismatch,
    /// Not a dial request.
    InvalidRequest,
    /// The source is no address.
    InvalidSrc,
    /// The destination is no address.
    InvalidDst,
    /// Nothing listens there.
    ConnectionRefused,
}

impl Refusal {
    /// The text that goes over the wire.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Refusal::NetworkMismatch => "protocol error: network mismatch",
            Refusal::InvalidRequest => "protocol error: invalid dial request",
            Refusal::InvalidSrc => "protocol error: src address invalid",
            Refusal::InvalidDst => "protocol error: dst address invalid",
            Refusal::ConnectionRefused => "connection refused",
        }
    }
}

/// What an acceptor answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    /// The accepting end.
    Connected(Addr),
    /// Why not.
    Error(String),
}

/// Reads a request line, with or without its newline.
pub(crate) fn parse_request(_line: &[u8], _full_network: &str) -> Result<Request, Refusal> {
    todo!()
}

/// The line that tells the dialer its peer.
pub(crate) fn reply_connected(_full_network: &str, _addr: &Addr) -> Vec<u8> {
    todo!()
}

/// The line that tells the dialer why not.
pub(crate) fn reply_error(_full_network: &str, _text: &str) -> Vec<u8> {
    todo!()
}

/// Reads a reply line, with or without its newline.
pub(crate) fn parse_reply(_line: &[u8], _full_network: &str) -> Result<Reply, Cause> {
    todo!()
}

/// What a dial fails with when it was answered with this text.
pub(crate) fn cause_of_error_reply(_text: &str) -> Cause {
    todo!()
}
