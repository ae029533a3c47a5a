//! What an implementation of the network provides: names known to others, bytes carried.
//!
//! Owns the seam: every difference between loopback TCP and pipes in memory is a match in this
//! file. Decides nothing about ports or closing.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BufMut;
use tokio::io::{Interest, ReadBuf, Ready};
use tokio::net::TcpStream;

use super::Net;
use super::happens::By;
use crate::addr::Addr;
use crate::error::Cause;
use crate::loopback::{self, Loopback};
use crate::pipenet::{self, PipeEnd, Pipes};
use crate::trace::What;

/// What carries a network.
#[derive(Clone)]
pub(crate) enum Engine {
    /// Kernel TCP, shared with other processes.
    Loopback(Arc<Loopback>),
    /// Memory of this process.
    Pipes(Arc<Pipes>),
}

/// A host's name, known to the whole network; given up on drop unless kept.
pub(crate) struct Announced {
    engine: Engine,
    name: Option<Arc<str>>,
}

impl Announced {
    /// The name stays until it is withdrawn.
    pub(crate) fn keep(mut self) {
        self.name = None;
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.engine.withdraw_now(&name);
        }
    }
}

/// A dial on its way.
pub(crate) struct Call<'a> {
    /// The subnetwork that dials.
    pub(crate) net: &'a Arc<Net>,
    /// The dialing end.
    pub(crate) src: &'a Addr,
    /// The dialed address.
    pub(crate) dst: &'a Addr,
    /// The number of the dial's record, if the network is traced.
    pub(crate) dial: Option<u64>,
}

impl Call<'_> {
    /// Reports, before the request leaves, which connection the dial has got.
    pub(crate) fn linked(&self, key: impl FnOnce() -> String) -> Option<String> {
        if !self.net.is_traced() {
            return None;
        }
        let (d, key) = (self.dial?, key());
        let link = What::Link {
            dial: d,
            key: key.clone(),
        };
        self.net.happens(By::Task, || Some(link)).tell();
        Some(key)
    }
}

/// A dial that was answered.
pub(crate) struct Carried {
    pub(crate) io: Io,
    /// The accepting end.
    pub(crate) peer: Addr,
    /// The connection's key, if the network is traced.
    pub(crate) key: Option<String>,
}

impl Engine {
    /// Makes a host's name known to the whole network, if no living host has it.
    pub(crate) async fn announce(&self, name: Arc<str>) -> Result<Announced, Cause> {
        let engine = self.clone();
        match self {
            Engine::Loopback(loopback) => {
                let loopback = loopback.clone();
                // The guard is made where the name is: if the caller is gone, it is withdrawn.
                blocking(move || {
                    loopback.announce(&name)?;
                    Ok(Announced {
                        engine,
                        name: Some(name),
                    })
                })
                .await?
            }
            Engine::Pipes(pipes) => {
                pipes.announce(&name)?;
                Ok(Announced {
                    engine,
                    name: Some(name),
                })
            }
        }
    }

    /// Makes a name free for others: now, or as soon as that is possible without waiting here.
    fn withdraw_now(&self, name: &str) {
        match self {
            Engine::Loopback(loopback) => loopback.withdraw_now(name),
            Engine::Pipes(pipes) => pipes.withdraw(name),
        }
    }

    /// Makes a name free for others. Happens even if the future is dropped.
    pub(crate) async fn withdraw(&self, name: &str) -> Result<(), Cause> {
        match self {
            Engine::Loopback(loopback) => {
                // From now on this subnetwork can have it again.
                loopback.give_back(name);
                let loopback = loopback.clone();
                blocking(move || loopback.withdraw()).await
            }
            Engine::Pipes(pipes) => {
                pipes.withdraw(name);
                Ok(())
            }
        }
    }

    /// Carries a dial to where its address is served, and waits for the answer.
    pub(crate) async fn carry(&self, call: &Call<'_>) -> Result<Carried, Cause> {
        match self {
            Engine::Loopback(loopback) => loopback.carry(call).await,
            Engine::Pipes(pipes) => pipes.carry(call).await,
        }
    }

    /// Accepts no more connections from now on. Waits for nothing.
    pub(crate) fn shut(&self) {
        match self {
            Engine::Loopback(loopback) => loopback.shut(),
            Engine::Pipes(_) => {}
        }
    }

    /// Forgets what other processes know of this subnetwork: now, or as soon as that is possible
    /// without waiting here.
    pub(crate) fn leave_now(&self) {
        match self {
            Engine::Loopback(loopback) => loopback.leave_now(),
            Engine::Pipes(_) => {}
        }
    }

    /// The same, and waits until it is done. Happens even if the future is dropped.
    pub(crate) async fn leave(&self) -> Result<(), Cause> {
        match self {
            Engine::Loopback(loopback) => {
                let loopback = loopback.clone();
                blocking(move || loopback.leave()).await
            }
            Engine::Pipes(_) => Ok(()),
        }
    }
}

/// Runs what may wait for a file's lock where it blocks no other task.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Cause> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        let why = if error.is_cancelled() {
            "the tokio runtime is shutting down".to_owned()
        } else {
            error.to_string()
        };
        Cause::Io(io::ErrorKind::Other, why)
    })
}

/// A dialer that waits to be accepted.
pub(crate) enum Knock {
    Tcp(loopback::Caller),
    Pipe(pipenet::Caller),
}

/// A way to tell an accepted dialer its peer.
pub(crate) enum Answer {
    /// A line on the connection.
    Line,
    /// Its end of the pipe.
    Pipe(PipeEnd, pipenet::Answering),
}

impl Knock {
    /// The dialing end.
    pub(crate) fn src(&self) -> &Addr {
        match self {
            Knock::Tcp(caller) => caller.src(),
            Knock::Pipe(caller) => caller.src(),
        }
    }

    /// Whether the dialer has disconnected.
    pub(crate) fn gone(&self) -> bool {
        match self {
            Knock::Tcp(caller) => caller.gone(),
            Knock::Pipe(caller) => caller.gone(),
        }
    }

    /// The connection's key.
    pub(crate) fn key(&self) -> String {
        match self {
            Knock::Tcp(caller) => caller.key(),
            Knock::Pipe(caller) => caller.key(),
        }
    }

    /// Tells the dialer why it is not accepted.
    pub(crate) fn refuse(self, cause: &Cause) {
        match self {
            Knock::Tcp(caller) => caller.refuse(&cause.to_string()),
            Knock::Pipe(caller) => caller.refuse(cause.clone()),
        }
    }

    /// Makes a connection of it, for the runtime that calls; the dialer does not know yet.
    pub(crate) fn open(self) -> io::Result<(Io, Answer)> {
        match self {
            Knock::Tcp(caller) => Ok((Io::Tcp(caller.open()?), Answer::Line)),
            Knock::Pipe(caller) => {
                let (ours, theirs, answer) = caller.open();
                Ok((Io::Pipe(ours), Answer::Pipe(theirs, answer)))
            }
        }
    }
}

/// What a read into a growing buffer takes from a pipe at once.
const MOST_AT_ONCE: usize = 64 << 10;

/// The bytes of one end of a connection.
pub(crate) enum Io {
    Tcp(TcpStream),
    Pipe(PipeEnd),
}

impl Io {
    /// Tells the dialer its peer. If it has disconnected meanwhile, the connection ends at once.
    pub(crate) fn answer(&self, answer: Answer, network: &str, local: &Addr) {
        match (self, answer) {
            (Io::Tcp(stream), _) => loopback::answer(stream, network, local),
            (Io::Pipe(_), Answer::Pipe(end, sender)) => {
                let _ = sender.send(Ok((end, local.clone())));
            }
            (Io::Pipe(_), Answer::Line) => unreachable!("a pipe is answered with its other end"),
        }
    }

    /// Ends both directions; whatever waits here or there wakes.
    pub(crate) fn shutdown(&self) {
        match self {
            Io::Tcp(stream) => loopback::socket::shutdown(stream),
            Io::Pipe(end) => end.close(),
        }
    }

    /// Ends the direction away from here.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Io::Tcp(stream) => loopback::socket::shutdown_write(stream),
            Io::Pipe(end) => {
                end.shutdown_write();
                Ok(())
            }
        }
    }

    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Io::Tcp(stream) => loopback::socket::poll_read(stream, cx, buf),
            Io::Pipe(end) => end.poll_read(cx, buf),
        }
    }

    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Io::Tcp(stream) => loopback::socket::poll_write(stream, cx, bufs),
            Io::Pipe(end) => end.poll_write(cx, bufs),
        }
    }

    pub(crate) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
    ) -> Poll<io::Result<()>> {
        match self {
            Io::Tcp(stream) if interest.is_readable() => stream.poll_read_ready(cx),
            Io::Tcp(stream) => stream.poll_write_ready(cx),
            Io::Pipe(end) => end.poll_ready(cx, interest).map(|_| Ok(())),
        }
    }

    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Io::Tcp(stream) => loopback::socket::try_peek(stream, buf),
            Io::Pipe(end) => end.try_peek(buf),
        }
    }

    pub(crate) fn try_read(&self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            Io::Tcp(stream) => stream.try_read_vectored(bufs),
            Io::Pipe(end) => end.try_read(bufs),
        }
    }

    pub(crate) fn try_read_buf(&self, buf: &mut impl BufMut) -> io::Result<usize> {
        match self {
            Io::Tcp(stream) => stream.try_read_buf(buf),
            Io::Pipe(end) => {
                let mut read = vec![0; buf.chunk_mut().len().min(MOST_AT_ONCE)];
                let bytes = end.try_read(&mut [io::IoSliceMut::new(&mut read)])?;
                buf.put_slice(&read[..bytes]);
                Ok(bytes)
            }
        }
    }

    pub(crate) fn try_write(&self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Io::Tcp(stream) => stream.try_write_vectored(bufs),
            Io::Pipe(end) => end.try_write(bufs),
        }
    }

    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Io::Tcp(stream) => stream.ready(interest).await,
            Io::Pipe(end) => Ok(end.ready(interest).await),
        }
    }

    /// The socket, if there is one.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Io::Tcp(stream) => Some(stream),
            Io::Pipe(_) => None,
        }
    }
}
