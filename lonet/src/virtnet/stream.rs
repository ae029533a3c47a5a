//! A connection as users hold it: [`Stream`], with the interface of tokio's `TcpStream`.
//!
//! Owns signatures; what the operations do is in `connection`, the halves in `halves`.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

use super::connection::End;
use super::halves::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::addr::Addr;
use crate::error::Result;

/// A connection between two hosts, over kernel TCP or in memory. Dropping it closes it.
///
/// Reads and writes go directly to the socket. Its `io::Error`s downcast to
/// [`Error`](crate::Error). Methods that tokio's `TcpStream` also has behave as they do there.
#[must_use = "a connection closes when it is dropped"]
pub struct Stream {
    end: End,
}

impl Stream {
    pub(super) fn of(end: End) -> Stream {
        Stream { end }
    }

    pub(in crate::virtnet) fn end(&self) -> &End {
        &self.end
    }

    pub(super) fn into_end(self) -> End {
        self.end
    }

    /// This end's address.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// # let listener = alpha.listen(":10").await?;
    /// # let accept = async { listener.accept().await };
    /// # let (mut dialed, mut accepted) = tokio::try_join!(alpha.dial(":10"), accept)?;
    /// assert_eq!(dialed.local_addr().to_string(), "α:1");
    /// assert_eq!(dialed.local_addr(), accepted.peer_addr());
    /// # Ok(()) }
    /// ```
    pub fn local_addr(&self) -> &Addr {
        self.end.conn().local()
    }

    /// The other end's address.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// # let listener = alpha.listen(":10").await?;
    /// # let accept = async { listener.accept().await };
    /// # let (mut dialed, mut accepted) = tokio::try_join!(alpha.dial(":10"), accept)?;
    /// assert_eq!(dialed.peer_addr().to_string(), "α:2");
    /// assert_eq!(dialed.peer_addr(), accepted.local_addr());
    /// # Ok(()) }
    /// ```
    pub fn peer_addr(&self) -> &Addr {
        self.end.conn().peer()
    }

    /// Closes this end in both directions and frees its port. Closing it again does nothing.
    ///
    /// # Errors
    ///
    /// None at present.
    ///
    /// # Cancel safety
    ///
    /// The future completes when it is first polled.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// # let listener = alpha.listen(":10").await?;
    /// # let accept = async { listener.accept().await };
    /// # let (mut dialed, mut accepted) = tokio::try_join!(alpha.dial(":10"), accept)?;
    /// use tokio::io::AsyncReadExt;
    ///
    /// dialed.close().await?;
    /// assert_eq!(accepted.read(&mut [0; 8]).await?, 0, "EOF");
    /// # Ok(()) }
    /// ```
    pub async fn close(&mut self) -> Result<()> {
        if self.end.close() {
            self.end.conn().shut();
        }
        Ok(())
    }

    /// Closes this end so that the other one learns of it by an error.
    pub(crate) fn reset(self) {
        if self.end.close() {
            self.end.conn().reset();
        }
    }

    /// Splits the stream into borrowed halves, so that one task can read and write at the same time.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// # let listener = alpha.listen(":10").await?;
    /// # let accept = async { listener.accept().await };
    /// # let (mut dialed, mut accepted) = tokio::try_join!(alpha.dial(":10"), accept)?;
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let (mut reads, mut writes) = dialed.split();
    /// accepted.write_all(b"ping").await?;
    /// let mut ping = [0; 4];
    /// let (read, written) = tokio::join!(reads.read_exact(&mut ping), writes.write_all(b"pong"));
    /// written?;
    /// assert_eq!((read?, &ping), (4, b"ping"));
    /// # Ok(()) }
    /// ```
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Splits the stream into owned halves, which may move to different tasks. Dropping the write
    /// half shuts down writing; the stream closes when both halves are dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// let listener = alpha.listen(":10").await?;
    /// let (accepted, dialed) = tokio::try_join!(listener.accept(), alpha.dial(":10"))?;
    ///
    /// let (mut reads, mut writes) = dialed.into_split();
    /// let echo = tokio::spawn(async move {
    ///     let (mut reads, mut writes) = accepted.into_split();
    ///     tokio::io::copy(&mut reads, &mut writes).await
    /// });
    /// writes.write_all(b"hello").await?;
    /// drop(writes); // the peer reads EOF
    /// let mut answer = String::new();
    /// reads.read_to_string(&mut answer).await?;
    /// assert_eq!((answer.as_str(), echo.await??), ("hello", 5));
    /// # Ok(()) }
    /// ```
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        OwnedReadHalf::of(self)
    }

    /// Reads data without removing it from the queue. Returns the number of bytes, 0 at EOF.
    ///
    /// # Errors
    ///
    /// The same as for reading.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// # let listener = alpha.listen(":10").await?;
    /// # let accept = async { listener.accept().await };
    /// # let (mut dialed, mut accepted) = tokio::try_join!(alpha.dial(":10"), accept)?;
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// accepted.write_all(b"x").await?;
    /// assert_eq!(dialed.peek(&mut [0; 8]).await?, 1);
    /// assert_eq!(dialed.read_u8().await?, b'x'); // it is still there
    /// # Ok(()) }
    /// ```
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        std::future::poll_fn(|cx| self.poll_peek(cx, &mut buf)).await
    }

    /// Polls for data without removing it from the queue.
    ///
    /// # Errors
    ///
    /// The same as for reading.
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        self.end.poll_peek(cx, buf)
    }

    /// Waits for any of the requested ready states.
    ///
    /// # Errors
    ///
    /// The runtime is shutting down.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// # let listener = alpha.listen(":10").await?;
    /// # let accept = async { listener.accept().await };
    /// # let (mut dialed, mut accepted) = tokio::try_join!(alpha.dial(":10"), accept)?;
    /// use tokio::io::Interest;
    ///
    /// let ready = dialed.ready(Interest::READABLE | Interest::WRITABLE).await?;
    /// assert!(ready.is_writable() && !ready.is_readable());
    /// # Ok(()) }
    /// ```
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.end.ready(interest).await
    }

    /// Waits until reading returns data, EOF or an error.
    ///
    /// # Errors
    ///
    /// The same as for [`ready`](Stream::ready).
    ///
    /// # Cancel safety
    ///
    /// Safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// # let listener = alpha.listen(":10").await?;
    /// # let accept = async { listener.accept().await };
    /// # let (mut dialed, mut accepted) = tokio::try_join!(alpha.dial(":10"), accept)?;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// accepted.write_all(b"x").await?;
    /// dialed.readable().await?;
    /// assert_eq!(dialed.try_read(&mut [0; 8])?, 1);
    /// # Ok(()) }
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until a write succeeds or fails without waiting.
    ///
    /// # Errors
    ///
    /// The same as for [`ready`](Stream::ready).
    ///
    /// # Cancel safety
    ///
    /// Safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// # let listener = alpha.listen(":10").await?;
    /// # let accept = async { listener.accept().await };
    /// # let (mut dialed, mut accepted) = tokio::try_join!(alpha.dial(":10"), accept)?;
    /// dialed.writable().await?;
    /// assert_eq!(dialed.try_write(b"hello")?, 5);
    /// # Ok(()) }
    /// ```
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Polls for read readiness. Only the waker of the latest call is woken.
    ///
    /// # Errors
    ///
    /// The same as for [`ready`](Stream::ready).
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end.poll_ready(cx, Interest::READABLE)
    }

    /// Polls for write readiness. Only the waker of the latest call is woken.
    ///
    /// # Errors
    ///
    /// The same as for [`ready`](Stream::ready).
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end.poll_ready(cx, Interest::WRITABLE)
    }

    /// Reads without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is nothing to read; otherwise the same as for reading.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// # let listener = alpha.listen(":10").await?;
    /// # let accept = async { listener.accept().await };
    /// # let (mut dialed, mut accepted) = tokio::try_join!(alpha.dial(":10"), accept)?;
    /// let error = dialed.try_read(&mut [0; 8]).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(()) }
    /// ```
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.end.try_read(&mut [IoSliceMut::new(buf)])
    }

    /// Reads into several buffers without waiting.
    ///
    /// # Errors
    ///
    /// The same as for [`try_read`](Stream::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.end.try_read(bufs)
    }

    /// Reads without waiting into the free space of a buffer, and advances the buffer.
    ///
    /// # Errors
    ///
    /// The same as for [`try_read`](Stream::try_read).
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        self.end.try_read_buf(buf)
    }

    /// Writes without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room; otherwise the same as for writing.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// # let listener = alpha.listen(":10").await?;
    /// # let accept = async { listener.accept().await };
    /// # let (mut dialed, mut accepted) = tokio::try_join!(alpha.dial(":10"), accept)?;
    /// assert_eq!(dialed.try_write(b"hello")?, 5);
    /// # Ok(()) }
    /// ```
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.end.try_write(&[IoSlice::new(buf)])
    }

    /// Writes several buffers without waiting.
    ///
    /// # Errors
    ///
    /// The same as for [`try_write`](Stream::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.end.try_write(bufs)
    }

    /// The underlying socket, for example to set options; `None` on a network in memory.
    ///
    /// From this call on, the trace no longer records causality through the bytes of this
    /// connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let alpha = lonet::pipenet::network("x").new_host("α").await?;
    /// # let listener = alpha.listen(":10").await?;
    /// # let accept = async { listener.accept().await };
    /// # let (mut dialed, mut accepted) = tokio::try_join!(alpha.dial(":10"), accept)?;
    /// assert!(dialed.socket().is_none(), "a pipenet has no sockets");
    /// # Ok(()) }
    /// ```
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        let stream = self.end.conn().io.tcp()?;
        self.end.tell_opaque();
        Some(stream.as_fd())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.end.poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.end.poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.end.poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is buffered.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end.poll_shutdown(cx)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({}->{})", self.local_addr(), self.peer_addr())
    }
}
