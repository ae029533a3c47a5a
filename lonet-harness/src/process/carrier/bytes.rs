//! The bytes of one carried connection: between a program's socket and its stream on the network.
//!
//! Owns both directions and how one end's end becomes the other's: what a program has sent arrives
//! before its end does; an end of writing is one; a close is one; a reset is one. One task a
//! direction, so that nothing that a program receives comes before what it sends.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use lonet::{Host, OwnedReadHalf, OwnedWriteHalf, Stream};
use rustix::net::sockopt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp;
use tokio::sync::Notify;

use super::socket::Link;

/// So many bytes are taken at once.
const CHUNK: usize = 64 << 10;

/// How a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Its source has said so.
    Eof,
    /// Its source was reset.
    Reset,
    /// Its other end takes no more.
    Refused,
    /// The connection has ended otherwise.
    Stopped,
}

/// Says to both directions that the connection has ended.
#[derive(Default)]
struct Stop {
    stopped: Cell<bool>,
    news: Notify,
}

impl Stop {
    fn stop(&self) {
        self.stopped.set(true);
        self.news.notify_waiters();
    }

    /// Does the work until it ends or is to stop.
    async fn until(&self, work: impl Future<Output = End>) -> End {
        let mut stopped = std::pin::pin!(self.news.notified());
        stopped.as_mut().enable();
        if self.stopped.get() {
            return End::Stopped;
        }
        tokio::select! {
            biased;
            end = work => end,
            () = stopped => End::Stopped,
        }
    }
}

/// Carries a connection until it ends. `socket` is connected to the program's.
/// Counts what it has carried from the program.
pub(super) async fn carry(
    link: Rc<Link>,
    socket: TcpStream,
    stream: Stream,
    host: &Host,
    progress: &Rc<Cell<u64>>,
) {
    let _ = socket.set_nodelay(true);
    let (mut from_program, mut to_program) = socket.into_split();
    let (mut from_network, mut to_network) = stream.into_split();
    let stop = Rc::new(Stop::default());
    let (own, stops, progress) = (link.clone(), stop.clone(), progress.clone());
    let mut outgoing = tokio::task::spawn_local(async move {
        let end = outgoing(&own, &mut from_program, &mut to_network, &progress);
        (stops.until(end).await, from_program, to_network)
    });
    let (stops, host) = (stop.clone(), host.clone());
    let mut incoming = tokio::task::spawn_local(async move {
        let end = incoming(&host, &mut from_network, &mut to_program);
        (stops.until(end).await, from_network, to_program)
    });
    let (mut sent, mut received) = (None, None);
    while sent.is_none() || received.is_none() {
        let ended = tokio::select! {
            biased;
            ended = &mut outgoing, if sent.is_none() => ended.map(|ended| sent = Some(ended)),
            ended = &mut incoming, if received.is_none() => ended.map(|ended| received = Some(ended)),
            // What it had sent comes first.
            () = link.gone(), if sent.is_some() && !stop.stopped.get() => {
                stop.stop();
                continue;
            }
        };
        if ended.is_err() {
            return;
        }
        let is_over = match (&sent, &received) {
            // Without a word before it, the end is the whole socket's.
            (Some((End::Eof, ..)), _) => !link.shut.get(),
            (Some(_), _) | (_, Some((End::Reset, ..))) => true,
            _ => false,
        };
        if is_over {
            stop.stop();
        }
    }
    let (Some((sent, from_program, to_network)), Some((received, from_network, to_program))) =
        (sent, received)
    else {
        return;
    };
    if sent == End::Eof && received == End::Eof && link.shut.get() {
        // Both sides have said all; the program still has its socket.
        link.gone().await;
    }
    if (sent == End::Refused || received == End::Reset)
        && let Ok(socket) = from_program.reunite(to_program)
    {
        reset(socket);
    }
    if sent == End::Reset
        && let Ok(stream) = from_network.reunite(to_network)
    {
        lonet::carried::reset(stream);
    }
}

/// What the program sends.
async fn outgoing(
    link: &Link,
    from: &mut tcp::OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    progress: &Cell<u64>,
) -> End {
    let mut buffer = Vec::new();
    loop {
        match read(from, &mut buffer).await {
            Ok(0) => {
                if link.shut.get() {
                    let _ = to.shutdown().await;
                }
                return End::Eof;
            }
            Ok(bytes) => {
                if to.write_all(&buffer).await.is_err() {
                    return End::Refused;
                }
                progress.set(progress.get() + bytes as u64);
            }
            Err(_) => return End::Reset,
        }
    }
}

/// What the network sends.
async fn incoming(host: &Host, from: &mut OwnedReadHalf, to: &mut tcp::OwnedWriteHalf) -> End {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) => {
                let _ = to.shutdown().await;
                return End::Eof;
            }
            Ok(bytes) => {
                // That they were read may be the event at which the program ends.
                if !lonet::carried::settled(host).await {
                    return End::Reset;
                }
                if to.write_all(&buffer[..bytes]).await.is_err() {
                    return End::Refused;
                }
            }
            Err(_) => return End::Reset,
        }
    }
}

/// Takes what is there.
async fn read(from: &mut tcp::OwnedReadHalf, into: &mut Vec<u8>) -> io::Result<usize> {
    into.clear();
    into.reserve(CHUNK);
    from.read_buf(into).await
}

/// Closes a socket so that the program sees a reset.
pub(super) fn reset(socket: TcpStream) {
    let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
}
