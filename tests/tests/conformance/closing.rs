//! The close matrix: for each operation and closed object, serially (the operation
//! begins after the close) and concurrently (it is blocked when the close comes).

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::sys::socket::{SockaddrIn, getpeername, getsockname};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A connected pair with all it hangs on.
struct World {
    net: SubNetwork,
    alpha: Host,
    beta: Host,
    listener: Listener,
    dialed: Stream,
    accepted: Stream,
}

async fn world(net: SubNetwork) -> World {
    let (alpha, beta) = hosts(&net).await;
    let listener = alpha.listen(":10").await.unwrap();
    let (dialed, accepted) = connect(&alpha, &beta, &listener).await;
    World {
        net,
        alpha,
        beta,
        listener,
        dialed,
        accepted,
    }
}

/// Reads until there is an error or EOF.
async fn read(stream: &mut Stream) -> std::io::Result<usize> {
    stream.read(&mut [0; 8]).await
}

/// Writes until there is an error: over kernel TCP the first write after a close may still do.
async fn write(stream: &mut Stream) -> std::io::Result<()> {
    loop {
        stream.write_all(&[0; 4096]).await?;
        tokio::task::yield_now().await;
    }
}

/// Runs an operation that blocks, and a close once it does.
async fn blocked<T>(
    operation: impl Future<Output = T>,
    close: impl Future<Output = Result<(), Error>>,
) -> T {
    let mut operation = Box::pin(operation);
    for _ in 0..20 {
        assert_pending!(operation);
        tokio::task::yield_now().await;
    }
    let both = async { tokio::join!(operation, close) };
    let (result, closed) = tokio::time::timeout(HANG, both)
        .await
        .expect("what was blocked is woken");
    closed.unwrap();
    result
}

/// Far longer than a close takes: what takes longer hangs.
const HANG: Duration = Duration::from_secs(20);

/// Fills a connection until a write waits for the peer to read.
async fn fill(stream: &mut Stream) {
    loop {
        while stream.try_write(&[7; 65536]).is_ok() {}
        match stream.socket() {
            Some(socket) if !waits_for_room(socket) => tokio::task::yield_now().await,
            _ => return,
        }
    }
}

/// Whether the kernel has sent all that the peer's window takes, and waits for it to open: in its list
/// of connections, that is timer 4.
fn waits_for_room(socket: BorrowedFd<'_>) -> bool {
    let listed = |addr: SockaddrIn| {
        let ip = u32::from_ne_bytes(addr.ip().octets());
        format!("{ip:08X}:{:04X}", addr.port())
    };
    let local = listed(getsockname(socket.as_raw_fd()).unwrap());
    let peer = listed(getpeername(socket.as_raw_fd()).unwrap());
    let list = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    list.lines().any(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        columns[1..3] == [&local, &peer] && columns[5].starts_with("04:")
    })
}

/// A write that is blocked, as nobody reads, and then a close.
async fn blocked_write(
    stream: &mut Stream,
    close: impl Future<Output = Result<(), Error>>,
) -> Cause {
    fill(stream).await;
    io_cause(blocked(write(stream), close).await)
}

/// `network is down`, or EOF where a read may see the peer go first.
#[track_caller]
fn down_or_eof(result: std::io::Result<usize>, down: Cause) {
    match result {
        Ok(n) => assert_eq!(n, 0),
        Err(error) => assert_eq!(io_cause::<()>(Err(error)), down),
    }
}

rules! {
    async fn serial_network_closed(net: SubNetwork) {
        let mut w = world(net).await;
        w.net.close().await.unwrap();
        assert_eq!(cause(w.net.new_host("γ").await), Cause::NetworkDown);
        assert_eq!(cause(w.beta.dial("α:10").await), Cause::NetworkDown);
        assert_eq!(cause(w.alpha.listen("").await), Cause::NetworkDown);
        assert_eq!(cause(w.listener.accept().await), Cause::NetworkDown);
        down_or_eof(read(&mut w.dialed).await, Cause::NetworkDown);
        assert_eq!(io_cause(write(&mut w.dialed).await), Cause::NetworkDown);
        // Closing again does no harm.
        w.net.close().await.unwrap();
    }

    async fn concurrent_network_closed(net: SubNetwork) {
        let w = world(net).await;
        let accept = blocked(w.listener.accept(), w.net.close()).await;
        assert_eq!(cause(accept), Cause::NetworkDown);
    }

    async fn concurrent_network_closed_read(net: SubNetwork) {
        let mut w = world(net).await;
        let result = blocked(read(&mut w.dialed), w.net.close()).await;
        down_or_eof(result, Cause::NetworkDown);
    }

    async fn concurrent_network_closed_write(net: SubNetwork) {
        let mut w = world(net).await;
        assert_eq!(blocked_write(&mut w.dialed, w.net.close()).await, Cause::NetworkDown);
    }

    async fn concurrent_network_closed_dial(net: SubNetwork) {
        let w = world(net).await;
        let dial = blocked(w.beta.dial("α:10"), w.net.close()).await;
        assert_eq!(cause(dial), Cause::NetworkDown);
    }

    async fn serial_own_host_closed(net: SubNetwork) {
        let mut w = world(net).await;
        w.alpha.close().await.unwrap();
        assert_eq!(cause(w.alpha.dial("β:10").await), Cause::HostDown);
        assert_eq!(cause(w.alpha.listen("").await), Cause::HostDown);
        assert_eq!(cause(w.listener.accept().await), Cause::HostDown);
        assert_eq!(io_cause(read(&mut w.accepted).await), Cause::HostDown);
        assert_eq!(io_cause(write(&mut w.accepted).await), Cause::HostDown);
        w.alpha.close().await.unwrap();
        // Of the other host, nothing but the connection is gone.
        assert_eq!(w.beta.listen(":10").await.unwrap().addr().port(), 10);
    }

    async fn concurrent_own_host_closed_accept(net: SubNetwork) {
        let w = world(net).await;
        let accept = blocked(w.listener.accept(), w.alpha.close()).await;
        assert_eq!(cause(accept), Cause::HostDown);
    }

    async fn concurrent_own_host_closed_dial(net: SubNetwork) {
        let w = world(net).await;
        let dial = blocked(w.beta.dial("α:10"), w.beta.close()).await;
        assert_eq!(cause(dial), Cause::HostDown);
    }

    async fn concurrent_own_host_closed_read(net: SubNetwork) {
        let mut w = world(net).await;
        let result = blocked(read(&mut w.accepted), w.alpha.close()).await;
        assert_eq!(io_cause(result), Cause::HostDown);
    }

    async fn concurrent_own_host_closed_write(net: SubNetwork) {
        let mut w = world(net).await;
        assert_eq!(blocked_write(&mut w.accepted, w.alpha.close()).await, Cause::HostDown);
    }

    async fn peers_host_closed(net: SubNetwork) {
        let mut w = world(net).await;
        w.alpha.close().await.unwrap();
        assert_eq!(cause(w.beta.dial("α:10").await), Cause::ConnectionRefused);
        assert_eq!(read(&mut w.dialed).await.unwrap(), 0);
        assert_eq!(io_cause(write(&mut w.dialed).await), Cause::BrokenPipe);
    }

    async fn concurrent_peers_host_closed_dial(net: SubNetwork) {
        let w = world(net).await;
        let dial = blocked(w.beta.dial("α:10"), w.alpha.close()).await;
        assert_eq!(cause(dial), Cause::ConnectionRefused);
    }

    async fn concurrent_peers_host_closed_read(net: SubNetwork) {
        let mut w = world(net).await;
        assert_eq!(blocked(read(&mut w.dialed), w.alpha.close()).await.unwrap(), 0);
    }

    /// The peer holds its end, and will not read.
    async fn concurrent_peers_host_closed_write(net: SubNetwork) {
        let mut w = world(net).await;
        assert_eq!(blocked_write(&mut w.dialed, w.alpha.close()).await, Cause::BrokenPipe);
    }

    async fn listener_closed(net: SubNetwork) {
        let mut w = world(net).await;
        w.listener.close().await.unwrap();
        let error = w.listener.accept().await.unwrap_err();
        assert_eq!(error.to_string(), format!("accept {} α:10: socket is down", w.net.network()));
        assert_eq!(cause(w.beta.dial("α:10").await), Cause::ConnectionRefused);
        // What it accepted lives on.
        w.dialed.write_all(b"x").await.unwrap();
        assert_eq!(read(&mut w.accepted).await.unwrap(), 1);
        w.listener.close().await.unwrap();
    }

    async fn concurrent_listener_closed_accept(net: SubNetwork) {
        let w = world(net).await;
        let accept = blocked(w.listener.accept(), w.listener.close()).await;
        assert_eq!(cause(accept), Cause::SocketDown);
    }

    async fn concurrent_listener_closed_dial(net: SubNetwork) {
        let w = world(net).await;
        let dial = blocked(w.beta.dial("α:10"), w.listener.close()).await;
        assert_eq!(cause(dial), Cause::ConnectionRefused);
    }

    async fn dropped_listener_refuses_who_waits(net: SubNetwork) {
        let w = world(net).await;
        let listener = w.listener;
        let dial = blocked(w.beta.dial("α:10"), async move { drop(listener); Ok(()) }).await;
        assert_eq!(cause(dial), Cause::ConnectionRefused);
    }

    async fn own_connection_closed(net: SubNetwork) {
        let mut w = world(net).await;
        w.accepted.close().await.unwrap();
        let network = w.net.network().to_owned();
        let error = read(&mut w.accepted).await.unwrap_err().downcast::<Error>().unwrap();
        assert_eq!(error.to_string(), format!("read {network} β:1->α:1: socket is down"));
        let error = write(&mut w.accepted).await.unwrap_err().downcast::<Error>().unwrap();
        assert_eq!(error.to_string(), format!("write {network} α:1->β:1: socket is down"));
        assert_eq!(w.alpha.listen("").await.unwrap().addr().port(), 1);
        w.accepted.close().await.unwrap();
    }

    async fn peers_connection_closed(net: SubNetwork) {
        let mut w = world(net).await;
        w.accepted.close().await.unwrap();
        assert_eq!(read(&mut w.dialed).await.unwrap(), 0);
        assert_eq!(io_cause(write(&mut w.dialed).await), Cause::BrokenPipe);
    }

    async fn concurrent_peers_connection_closed(net: SubNetwork) {
        let mut w = world(net).await;
        assert_eq!(blocked(read(&mut w.dialed), w.accepted.close()).await.unwrap(), 0);
    }

    /// What it had sent arrives; what was sent to it does not.
    async fn concurrent_peers_connection_closed_write(net: SubNetwork) {
        let mut w = world(net).await;
        w.accepted.write_all(b"bye").await.unwrap();
        assert_eq!(blocked_write(&mut w.dialed, w.accepted.close()).await, Cause::BrokenPipe);
        let mut bye = Vec::new();
        w.dialed.read_to_end(&mut bye).await.unwrap();
        assert_eq!(bye, b"bye");
    }

    async fn auto_close_with_the_last_host(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        net.auto_close();
        alpha.close().await.unwrap();
        net.new_host("γ").await.unwrap().close().await.unwrap();
        beta.close().await.unwrap();
        assert_eq!(cause(net.new_host("δ").await), Cause::NetworkDown);
    }

    async fn auto_close_at_once_without_hosts(net: SubNetwork) {
        net.auto_close();
        assert_eq!(cause(net.new_host("α").await), Cause::NetworkDown);
    }

    async fn any_handle_keeps_the_subnetwork(net: SubNetwork) {
        let w = world(net).await;
        let World { net, alpha, beta, listener, mut dialed, accepted } = w;
        drop((net, alpha, beta, listener));
        let (mut reader, mut writer) = accepted.into_split();
        dialed.write_all(b"still here").await.unwrap();
        let mut read = [0; 10];
        reader.read_exact(&mut read).await.unwrap();
        writer.write_all(&read).await.unwrap();
        dialed.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"still here");
    }
}
