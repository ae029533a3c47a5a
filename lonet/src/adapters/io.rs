//! A connection of any [`Networker`](crate::Networker), of a type for which other crates' traits
//! can be had: [`NetIo`].
//!
//! Owns the delegation only.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ends::Ends;
use crate::NetStream;

/// A connection of a [`Networker`](crate::Networker), as it is handed to hyper and tonic.
#[must_use = "a connection closes when it is dropped"]
pub struct NetIo<S> {
    stream: S,
}

impl<S: NetStream> NetIo<S> {
    pub(super) fn new(stream: S) -> NetIo<S> {
        NetIo { stream }
    }

    /// Its two addresses.
    pub fn ends(&self) -> Ends {
        Ends::of(&self.stream)
    }

    /// The connection itself.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The connection itself.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: NetStream> AsyncRead for NetIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: NetStream> AsyncWrite for NetIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: NetStream> fmt::Debug for NetIo<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = self.ends();
        write!(f, "NetIo({}->{})", ends.local_addr(), ends.peer_addr())
    }
}
