//! What each operation says for each thing that may close, before it and while it waits, on
//! both engines.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed, whatever the error"
)]

use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::task::Poll;
use std::time::Duration;

use lonet::{Cause, Error, Host, Listener, Stream, SubNetwork};
use nix::sys::socket::{SockaddrIn, getpeername, getsockname};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Two subnetworks of one network, of two processes as it were; in memory there is only one.
struct World {
    alphas: SubNetwork,
    betas: SubNetwork,
    alpha: Host,
    beta: Host,
    listener: Listener,
    dialed: Stream,
    accepted: Stream,
}

async fn world(loopback: bool) -> World {
    let (alphas, betas) = if loopback {
        let alphas = lonet::join("").await.unwrap();
        let betas = lonet::join(alphas.name()).await.unwrap();
        (alphas, betas)
    } else {
        let both = lonet::pipenet::network("x");
        (both.clone(), both)
    };
    let alpha = alphas.new_host("α").await.unwrap();
    let beta = betas.new_host("β").await.unwrap();
    let listener = alpha.listen(":10").await.unwrap();
    let (accepted, dialed) = tokio::join!(listener.accept(), beta.dial("α:10"));
    World {
        alphas,
        betas,
        alpha,
        beta,
        listener,
        dialed: dialed.unwrap(),
        accepted: accepted.unwrap(),
    }
}

async fn on_both<F: Future<Output = ()>>(test: impl Fn(World) -> F) {
    for loopback in [false, true] {
        // A hang is a failure, not an endless test.
        tokio::time::timeout(Duration::from_secs(20), test(world(loopback).await))
            .await
            .expect("something hangs");
    }
}

#[track_caller]
fn fails<T>(result: Result<T, Error>, text: &str) {
    let error = result.err().expect("it should have failed");
    let network = error.network().to_owned();
    assert_eq!(error.to_string().replace(&network, "net"), text);
}

/// The cause of an I/O error that a stream returned.
#[track_caller]
fn cause<T: std::fmt::Debug>(result: io::Result<T>) -> Cause {
    let error = result.expect_err("it should have failed");
    let kind = error.kind();
    let error: Error = error.downcast().expect("errors of streams are lonet's");
    assert_eq!(error.kind(), kind);
    error.cause().clone()
}

/// Polls an operation until it pends, then does something else, then awaits the operation.
async fn during<T>(operation: impl Future<Output = T>, meanwhile: impl Future) -> T {
    let mut operation = std::pin::pin!(operation);
    std::future::poll_fn(|cx| {
        assert!(operation.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    meanwhile.await;
    operation.await
}

/// Writes until an error comes: over TCP the first writes after a close may still succeed.
async fn write_until_error(stream: &mut Stream) -> io::Result<()> {
    loop {
        stream.write_all(&[7; 1000]).await?;
        tokio::task::yield_now().await;
    }
}

/// Fills the connection until a write waits.
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

/// A write that waits because the other end, which stays held, reads nothing, until that is closed.
async fn blocked_write(
    dialed: &mut Stream,
    accepted: &mut Stream,
    close: impl AsyncFnOnce(&mut Stream),
) {
    accepted.write_all(b"bye").await.unwrap();
    fill(dialed).await;
    let ended = during(write_until_error(dialed), close(accepted));
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
    let ended = cause(ended.expect("a write still waits"));
    assert_eq!(ended, Cause::BrokenPipe);
    let mut bye = Vec::new();
    dialed.read_to_end(&mut bye).await.unwrap();
    assert_eq!(bye, b"bye");
}

#[tokio::test]
async fn new_host_on_a_closed_subnetwork() {
    on_both(async |w| {
        w.betas.close().await.unwrap();
        fails(
            w.betas.new_host("γ").await,
            "new host net γ: network is down",
        );
    })
    .await;
}

#[tokio::test]
async fn dial_after_a_close() {
    on_both(async |w| {
        w.listener.close().await.unwrap();
        fails(
            w.beta.dial("α:10").await,
            "dial net β:2->α:10: connection refused",
        );
        w.alpha.close().await.unwrap();
        fails(
            w.beta.dial("α:10").await,
            "dial net β:2->α:10: connection refused",
        );
        w.beta.close().await.unwrap();
        fails(
            w.beta.dial("α:10").await,
            "dial net β:2->α:10: host is down",
        );
        w.betas.close().await.unwrap();
        fails(
            w.beta.dial("α:10").await,
            "dial net β:2->α:10: host is down",
        );
    })
    .await;
    on_both(async |w| {
        w.betas.close().await.unwrap();
        fails(
            w.beta.dial("α:10").await,
            "dial net β:2->α:10: network is down",
        );
        fails(
            w.beta.listen(":1").await.map(drop),
            "listen net β:1: network is down",
        );
    })
    .await;
}

#[tokio::test]
async fn dial_while_something_closes() {
    on_both(async |w| {
        let dial = w.beta.dial("α:10");
        fails(
            during(dial, w.listener.close()).await,
            "dial net β:2->α:10: connection refused",
        );
    })
    .await;
    on_both(async |w| {
        let dial = w.beta.dial("α:10");
        fails(
            during(dial, w.alpha.close()).await,
            "dial net β:2->α:10: connection refused",
        );
    })
    .await;
    on_both(async |w| {
        let dial = w.beta.dial("α:10");
        fails(
            during(dial, w.beta.close()).await,
            "dial net β:2->α:10: host is down",
        );
    })
    .await;
    on_both(async |w| {
        let dial = w.beta.dial("α:10");
        fails(
            during(dial, w.betas.close()).await,
            "dial net β:2->α:10: network is down",
        );
    })
    .await;
}

#[tokio::test]
async fn a_dial_to_a_subnetwork_that_closes_is_refused() {
    let w = world(true).await;
    let dial = w.beta.dial("α:10");
    fails(
        during(dial, w.alphas.close()).await,
        "dial net β:2->α:10: connection refused",
    );
    fails(
        w.beta.dial("α:10").await,
        "dial net β:2->α:10: connection refused",
    );
}

#[tokio::test]
async fn listen_on_a_closed_host() {
    on_both(async |w| {
        w.alpha.close().await.unwrap();
        fails(w.alpha.listen("").await, "listen net α:0: host is down");
        fails(w.alpha.listen(":7").await, "listen net α:7: host is down");
    })
    .await;
}

#[tokio::test]
async fn accept_before_and_after_a_close() {
    for concurrent in [false, true] {
        let after = async |listener: &Listener, close: &mut dyn FnMut() -> Closing, text: &str| {
            let error = if concurrent {
                during(listener.accept(), close()).await
            } else {
                close().await;
                listener.accept().await
            };
            fails(error, text);
        };
        on_both(async |w| {
            let mut close = || -> Closing {
                let beta = w.alpha.clone();
                Box::pin(async move { beta.close().await.unwrap() })
            };
            after(&w.listener, &mut close, "accept net α:10: host is down").await;
        })
        .await;
        on_both(async |w| {
            let mut close = || -> Closing {
                let alphas = w.alphas.clone();
                Box::pin(async move { alphas.close().await.unwrap() })
            };
            after(&w.listener, &mut close, "accept net α:10: network is down").await;
        })
        .await;
    }
    on_both(async |w| {
        let accept = w.listener.accept();
        fails(
            during(accept, w.listener.close()).await,
            "accept net α:10: socket is down",
        );
        fails(w.listener.accept().await, "accept net α:10: socket is down");
    })
    .await;
}

type Closing = std::pin::Pin<Box<dyn Future<Output = ()>>>;

#[tokio::test]
async fn read_and_write_after_a_close() {
    on_both(async |mut w| {
        w.dialed.close().await.unwrap();
        w.dialed.close().await.unwrap();
        assert_eq!(cause(w.dialed.read_u8().await), Cause::SocketDown);
        assert_eq!(cause(w.dialed.write_u8(1).await), Cause::SocketDown);
        assert_eq!(cause(w.dialed.shutdown().await), Cause::SocketDown);
        assert_eq!(w.accepted.read(&mut [0; 9]).await.unwrap(), 0);
        assert_eq!(
            cause(write_until_error(&mut w.accepted).await),
            Cause::BrokenPipe
        );
    })
    .await;
    on_both(async |mut w| {
        w.beta.close().await.unwrap();
        assert_eq!(cause(w.dialed.read_u8().await), Cause::HostDown);
        assert_eq!(cause(w.dialed.write_u8(1).await), Cause::HostDown);
        assert_eq!(cause(w.dialed.try_read(&mut [0])), Cause::HostDown);
        assert_eq!(cause(w.dialed.try_write(&[0])), Cause::HostDown);
        assert_eq!(w.accepted.read(&mut [0; 9]).await.unwrap(), 0);
        assert_eq!(
            cause(write_until_error(&mut w.accepted).await),
            Cause::BrokenPipe
        );
    })
    .await;
    on_both(async |mut w| {
        w.betas.close().await.unwrap();
        assert_eq!(cause(w.dialed.read_u8().await), Cause::NetworkDown);
        assert_eq!(cause(w.dialed.write_u8(1).await), Cause::NetworkDown);
    })
    .await;
}

/// An operation that starts after a close never succeeds, not even with what has come before it.
#[tokio::test]
async fn what_has_come_is_not_read_after_a_close() {
    async fn check(w: &mut World, why: Cause) {
        let mut buf = Vec::with_capacity(9);
        assert_eq!(cause(w.dialed.read_u8().await), why);
        assert_eq!(cause(w.dialed.peek(&mut [0; 9]).await), why);
        assert_eq!(cause(w.dialed.try_read(&mut [0; 9])), why);
        assert_eq!(cause(w.dialed.try_read_buf(&mut buf)), why);
    }
    on_both(async |mut w| {
        w.accepted.write_all(b"unread").await.unwrap();
        w.dialed.readable().await.unwrap();
        w.dialed.close().await.unwrap();
        check(&mut w, Cause::SocketDown).await;
    })
    .await;
    on_both(async |mut w| {
        w.accepted.write_all(b"unread").await.unwrap();
        w.dialed.readable().await.unwrap();
        w.beta.close().await.unwrap();
        check(&mut w, Cause::HostDown).await;
    })
    .await;
}

#[tokio::test]
async fn read_and_write_while_something_closes() {
    on_both(async |mut w| {
        let mut buf = [0; 9];
        let read = w.accepted.read(&mut buf);
        assert_eq!(during(read, w.dialed.close()).await.unwrap(), 0);
    })
    .await;
    on_both(async |mut w| {
        let read = w.dialed.read_u8();
        assert_eq!(cause(during(read, w.beta.close()).await), Cause::HostDown);
    })
    .await;
    on_both(async |mut w| {
        let read = w.dialed.read_u8();
        assert_eq!(
            cause(during(read, w.betas.close()).await),
            Cause::NetworkDown
        );
    })
    .await;
    on_both(async |w| {
        let mut buf = [0];
        let peek = w.dialed.peek(&mut buf);
        assert_eq!(cause(during(peek, w.beta.close()).await), Cause::HostDown);
        w.accepted.readable().await.unwrap();
    })
    .await;
    on_both(async |mut w| {
        fill(&mut w.dialed).await;
        let write = w.dialed.write_all(&[7; 65536]);
        assert_eq!(cause(during(write, w.beta.close()).await), Cause::HostDown);
    })
    .await;
    on_both(async |mut w| {
        fill(&mut w.dialed).await;
        let write = w.dialed.write_all(&[7; 65536]);
        let ended = cause(during(write, async { drop(w.accepted) }).await);
        // With data unread, TCP says what it is.
        assert!(
            matches!(ended, Cause::BrokenPipe | Cause::ConnectionReset),
            "{ended:?}"
        );
    })
    .await;
    // A write waits, too, while somebody still holds the other end, and sees none of its bytes
    // taken. What was sent before the close arrives.
    on_both(async |mut w| {
        blocked_write(&mut w.dialed, &mut w.accepted, async |_| {
            w.alpha.close().await.unwrap();
        })
        .await;
    })
    .await;
    on_both(async |mut w| {
        blocked_write(&mut w.dialed, &mut w.accepted, async |accepted| {
            accepted.close().await.unwrap();
        })
        .await;
    })
    .await;
    let w = &mut world(true).await;
    blocked_write(&mut w.dialed, &mut w.accepted, async |_| {
        w.alphas.close().await.unwrap();
    })
    .await;
    let w = &mut world(true).await;
    w.alphas.auto_close();
    blocked_write(&mut w.dialed, &mut w.accepted, async |_| {
        w.alpha.close().await.unwrap();
    })
    .await;
    on_both(async |mut w| {
        fill(&mut w.dialed).await;
        let write = w.dialed.write_all(&[7; 65536]);
        let ended = cause(during(write, w.betas.close()).await);
        assert_eq!(ended, Cause::NetworkDown);
    })
    .await;
    on_both(async |mut w| {
        let read = w.dialed.read_u8();
        let eof = during(read, w.alpha.close()).await.unwrap_err();
        assert_eq!(eof.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(
            cause(write_until_error(&mut w.dialed).await),
            Cause::BrokenPipe
        );
    })
    .await;
}

#[tokio::test]
async fn closing_twice_is_allowed() {
    on_both(async |mut w| {
        for _ in 0..2 {
            w.dialed.close().await.unwrap();
            w.listener.close().await.unwrap();
            w.alpha.close().await.unwrap();
            w.alphas.close().await.unwrap();
            w.beta.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn errors_name_both_ends() {
    on_both(async |mut w| {
        w.beta.close().await.unwrap();
        let text = |error: io::Error| error.to_string().replace(w.betas.network(), "net");
        assert_eq!(
            text(w.dialed.read_u8().await.unwrap_err()),
            "read net α:1->β:1: host is down"
        );
        assert_eq!(
            text(w.dialed.write_u8(1).await.unwrap_err()),
            "write net β:1->α:1: host is down"
        );
    })
    .await;
}
