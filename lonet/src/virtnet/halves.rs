//! The two directions of a stream, borrowed and owned, as tokio has them.
//!
//! Owns which half reads and which writes, and what dropping a half does.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

use super::connection::End;
use super::stream::Stream;
use crate::addr::Addr;

/// The reading direction of a [`Stream`], borrowed by [`Stream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(pub(super) &'a Stream);

/// The writing direction of a [`Stream`], borrowed by [`Stream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a>(pub(super) &'a Stream);

/// The reading direction of a [`Stream`], owned, from [`Stream::into_split`].
#[must_use = "a connection closes when both halves are dropped"]
pub struct OwnedReadHalf {
    end: Arc<End>,
}

/// The writing direction of a [`Stream`], owned, from [`Stream::into_split`]. Dropping it shuts down
/// writing: the peer reads EOF.
#[must_use = "dropping this half ends writing: the peer reads EOF"]
pub struct OwnedWriteHalf {
    end: Arc<End>,
    shutdown_on_drop: bool,
}

/// The two halves are not from the same stream. Contains both.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tried to reunite halves that are not from the same stream")
    }
}

impl std::error::Error for ReuniteError {}

impl ReadHalf<'_> {
    fn end(&self) -> &End {
        self.0.end()
    }
}

impl WriteHalf<'_> {
    fn end(&self) -> &End {
        self.0.end()
    }
}

impl OwnedReadHalf {
    pub(super) fn of(stream: Stream) -> (OwnedReadHalf, OwnedWriteHalf) {
        let end = Arc::new(stream.into_end());
        let write = OwnedWriteHalf {
            end: end.clone(),
            shutdown_on_drop: true,
        };
        (OwnedReadHalf { end }, write)
    }

    fn end(&self) -> &End {
        &self.end
    }

    /// Combines both halves into the stream again.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`], with both halves, if they are not from the same stream.
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
    /// let (reads, writes) = dialed.into_split();
    /// let dialed = reads.reunite(writes)?;
    /// assert_eq!(dialed.peer_addr(), accepted.local_addr());
    /// # Ok(()) }
    /// ```
    pub fn reunite(self, mut other: OwnedWriteHalf) -> Result<Stream, ReuniteError> {
        if !Arc::ptr_eq(&self.end, &other.end) {
            return Err(ReuniteError(self, other));
        }
        other.shutdown_on_drop = false;
        drop(other);
        let end = Arc::into_inner(self.end).expect("a stream has two halves, and one is dropped");
        Ok(Stream::of(end))
    }
}

impl OwnedWriteHalf {
    fn end(&self) -> &End {
        &self.end
    }

    /// Combines both halves into the stream again.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`], with both halves, if they are not from the same stream.
    pub fn reunite(self, other: OwnedReadHalf) -> Result<Stream, ReuniteError> {
        other.reunite(self)
    }

    /// Drops the half without shutting down writing: the peer reads no EOF while the other half
    /// exists.
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
    /// let (mut reads, writes) = dialed.into_split();
    /// writes.forget();
    /// accepted.write_all(b"x").await?; // both directions are open
    /// assert_eq!(reads.read_u8().await?, b'x');
    /// # Ok(()) }
    /// ```
    pub fn forget(mut self) {
        self.shutdown_on_drop = false;
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        // With the other half gone, the close that follows says it all.
        if self.shutdown_on_drop && Arc::strong_count(&self.end) > 1 {
            // No caller is left to learn that it was down already.
            let _ = self.end.shutdown_write();
        }
    }
}

macro_rules! addresses {
    ($($half:ty),*) => {$(
        impl $half {
            /// This end's address.
            pub fn local_addr(&self) -> &Addr {
                self.end().conn().local()
            }

            /// The other end's address.
            pub fn peer_addr(&self) -> &Addr {
                self.end().conn().peer()
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
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.end().ready(interest).await
            }
        }
    )*};
}

addresses!(ReadHalf<'_>, WriteHalf<'_>, OwnedReadHalf, OwnedWriteHalf);

macro_rules! reads {
    ($($half:ty),*) => {$(
        impl $half {
            /// Reads data without removing it from the queue. Returns the number of bytes, 0 at EOF.
            ///
            /// # Errors
            ///
            /// The same as for reading.
            ///
            /// # Cancel safety
            ///
            /// Safe.
            pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let mut buf = ReadBuf::new(buf);
                std::future::poll_fn(|cx| self.poll_peek(cx, &mut buf)).await
            }

            /// Polls for data without removing it from the queue.
            ///
            /// # Errors
            ///
            /// The same as for reading.
            pub fn poll_peek(
                &mut self,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<usize>> {
                self.end().poll_peek(cx, buf)
            }

            /// Waits until reading returns data, EOF or an error.
            ///
            /// # Errors
            ///
            /// The runtime is shutting down.
            ///
            /// # Cancel safety
            ///
            /// Safe.
            pub async fn readable(&self) -> io::Result<()> {
                self.ready(Interest::READABLE).await.map(drop)
            }

            /// Reads without waiting.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if there is nothing to read; otherwise the same as for reading.
            pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.end().try_read(&mut [IoSliceMut::new(buf)])
            }

            /// Reads into several buffers without waiting.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if there is nothing to read; otherwise the same as for reading.
            pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.end().try_read(bufs)
            }

            /// Reads without waiting into the free space of a buffer, and advances the buffer.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if there is nothing to read; otherwise the same as for reading.
            pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
                self.end().try_read_buf(buf)
            }
        }

        impl AsyncRead for $half {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.end().poll_read(cx, buf)
            }
        }
    )*};
}

reads!(ReadHalf<'_>, OwnedReadHalf);

macro_rules! writes {
    ($($half:ty),*) => {$(
        impl $half {
            /// Waits until a write succeeds or fails without waiting.
            ///
            /// # Errors
            ///
            /// The runtime is shutting down.
            ///
            /// # Cancel safety
            ///
            /// Safe.
            pub async fn writable(&self) -> io::Result<()> {
                self.ready(Interest::WRITABLE).await.map(drop)
            }

            /// Writes without waiting.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if there is no room; otherwise the same as for writing.
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                self.end().try_write(&[IoSlice::new(buf)])
            }

            /// Writes several buffers without waiting.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if there is no room; otherwise the same as for writing.
            pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                self.end().try_write(bufs)
            }
        }

        impl AsyncWrite for $half {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.end().poll_write(cx, &[IoSlice::new(buf)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.end().poll_write(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                // Nothing is buffered.
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.end().poll_shutdown(cx)
            }
        }
    )*};
}

writes!(WriteHalf<'_>, OwnedWriteHalf);

impl fmt::Debug for OwnedReadHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "OwnedReadHalf({}->{})",
            self.local_addr(),
            self.peer_addr()
        )
    }
}

impl fmt::Debug for OwnedWriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "OwnedWriteHalf({}->{})",
            self.local_addr(),
            self.peer_addr()
        )
    }
}
