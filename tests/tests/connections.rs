//! Connections by the thousand: given up, closed in either order, met by themselves; and what a
//! child process inherits of them: nothing.
//!
//! The second table of what goes wrong in `docs/reliability.md`; who gets in is in `door.rs`.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed, whatever the error"
)]

use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;
use std::task::Poll;
use std::time::{Duration, Instant};

use lonet::{Cause, Host, Listener, SubNetwork};
use lonet_tests::child::{self, Child, tell, told};
use lonet_tests::size;
use nix::sys::socket::{SockaddrIn, getpeername};
use tokio::io::AsyncReadExt;

/// Far longer than anything here takes: what takes longer hangs.
const HANG: Duration = Duration::from_secs(60);

/// Plays a part, in a copy of this binary.
#[test]
fn child() {
    match child::part().as_deref() {
        None => {}
        Some("acceptor") => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(acceptor()),
        Some("leaver") => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(leaver()),
        Some(other) => panic!("no part is called {other}"),
    }
}

async fn within<T>(operation: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, operation)
        .await
        .expect("something hangs")
}

async fn two_hosts() -> (SubNetwork, Host, Host, Listener) {
    let net = lonet::join("").await.unwrap();
    let (alpha, beta) = (
        net.new_host("α").await.unwrap(),
        net.new_host("β").await.unwrap(),
    );
    let listener = alpha.listen(":60000").await.unwrap();
    (net, alpha, beta, listener)
}

/// Is `α`; accepts once whenever it is told to, and tells whom.
async fn acceptor() {
    let net = lonet::join(&told().unwrap()).await.unwrap();
    let alpha = net.new_host("α").await.unwrap();
    let listener = alpha.listen(":10").await.unwrap();
    tell("listening");
    // Whoever waits for an order must not keep the network from being served.
    while let Some(_order) = tokio::task::spawn_blocking(told).await.unwrap() {
        let accepted = listener.accept().await.unwrap();
        tell(&accepted.peer_addr().to_string());
        drop(accepted);
    }
}

/// Dials that were dropped before the acceptor, another process, begins to accept. In the same
/// process, and on both engines: `lonet/tests/races.rs`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_never_accepts_a_dropped_dial() {
    let net = lonet::join("").await.unwrap();
    let beta = net.new_host("β").await.unwrap();
    let gamma = net.new_host("γ").await.unwrap();
    let mut acceptor = Child::start(child::command("acceptor"));
    acceptor.say(net.name());
    assert_eq!(acceptor.hear(), "listening");
    for i in 0..size::of(10_000) {
        let mut dial = Box::pin(beta.dial("α:10"));
        for _ in 0..i % 6 {
            let poll = std::future::poll_fn(|cx| Poll::Ready(dial.as_mut().poll(cx))).await;
            assert!(poll.is_pending());
            tokio::task::yield_now().await;
        }
        drop(dial);
        // Its port is free at once.
        assert_eq!(beta.listen("").await.unwrap().addr().port(), 1);
        acceptor.say("accept");
        drop(within(gamma.dial("α:10")).await.unwrap());
        assert_eq!(acceptor.hear(), "γ:1", "after {} polls", i % 6);
    }
}

/// Times of the first and the last tenth say whether it gets slower.
#[tokio::test]
async fn connections_closed_in_either_order_exhaust_nothing() {
    for dialer_first in [true, false] {
        let (_net, alpha, beta, listener) = two_hosts().await;
        let all = size::of(100_000);
        let mut times = Vec::with_capacity(all);
        for _ in 0..all {
            let begun = Instant::now();
            let (mut accepted, mut dialed) =
                tokio::try_join!(listener.accept(), beta.dial("α:60000")).unwrap();
            let (first, second) = match dialer_first {
                true => (&mut dialed, &mut accepted),
                false => (&mut accepted, &mut dialed),
            };
            first.close().await.unwrap();
            assert_eq!(second.read(&mut [0]).await.unwrap(), 0);
            second.close().await.unwrap();
            times.push(begun.elapsed());
        }
        let tenth = all / 10;
        let p50 = |times: &mut [Duration]| {
            times.sort_unstable();
            times[times.len() / 2]
        };
        let (first, last) = (p50(&mut times[..tenth]), p50(&mut times[all - tenth..]));
        let who = if dialer_first { "dialer" } else { "acceptor" };
        println!(
            "{all} connections, the {who} closes first: p50 {first:?} at the begin, {last:?} at the end"
        );
        if size::is_full() {
            assert!(last < first * 2, "{first:?}, {last:?}");
        }
        for host in [alpha, beta] {
            assert_eq!(host.listen("").await.unwrap().addr().port(), 1);
        }
        // Nor do programs go without that leave the choice of a port to the kernel.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        for _ in 0..100 {
            let raw = tokio::try_join!(listener.accept(), tokio::net::TcpStream::connect(addr));
            drop(raw.unwrap());
        }
    }
}

fn addr(sock: SockaddrIn) -> SocketAddrV4 {
    SocketAddrV4::new(sock.ip(), sock.port())
}

/// Dead hosts' addresses are such as this process dials from: TCP could connect a socket to
/// itself. That none is even bound there: `lonet/src/loopback/source.rs`.
#[tokio::test]
async fn a_dial_never_meets_itself() {
    let (net, _alpha, beta, listener) = two_hosts().await;
    let mut path: PathBuf = std::env::temp_dir();
    path.extend(["lonet", net.name(), "registry.db"]);
    let registry = rusqlite::Connection::open(path).unwrap();
    let (accepted, _dialed) = tokio::try_join!(listener.accept(), beta.dial("α:60000")).unwrap();
    let from = addr(getpeername(accepted.socket().unwrap().as_raw_fd()).unwrap());
    let [a, b, c, _] = from.ip().octets();
    for z in (1..=254).take(size::of(254)) {
        let dead = SocketAddrV4::new([a, b, c, z].into(), from.port());
        registry
            .execute(
                "INSERT INTO hosts VALUES (?1, ?2)",
                [format!("dead{z}"), dead.to_string()],
            )
            .unwrap();
        for _ in 0..300 {
            let error = within(beta.dial(&format!("dead{z}:1"))).await.unwrap_err();
            assert_eq!(error.cause(), &Cause::ConnectionRefused);
        }
    }
}

/// What a child process of this one has open, as `ls` sees it.
fn inherited() -> Vec<String> {
    let listed = Command::new("ls")
        .arg("-l")
        .arg("/proc/self/fd")
        .output()
        .unwrap();
    let mut open: Vec<String> = String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| Some(line.split_once(" -> ")?.1.to_owned()))
        // Its own: pipes to this process, and the directory that it lists.
        .filter(|to| !to.starts_with("pipe:") && !to.starts_with("/proc/"))
        .collect();
    open.sort();
    open
}

#[tokio::test]
async fn a_child_inherits_nothing() {
    let before = inherited();
    let (_net, _alpha, beta, listener) = two_hosts().await;
    let (_accepted, _dialed) = tokio::try_join!(listener.accept(), beta.dial("α:60000")).unwrap();
    let _waiting = beta.listen(":10").await.unwrap();
    let ours = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(ours > before.len() + 6, "there is much to inherit: {ours}");
    assert_eq!(inherited(), before);
}

/// How many sockets this process has.
fn sockets() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    open.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
        .filter(|to| to.to_string_lossy().starts_with("socket:"))
        .count()
}

/// Leaves a network, and tells how many sockets it has kept, though it holds every handle.
async fn leaver() {
    let before = sockets();
    let (net, alpha, beta, listener) = two_hosts().await;
    let most = sockets();
    net.close().await.unwrap();
    // The task that listened ends by itself.
    within(async {
        while sockets() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    tell(&format!("of {} none", most - before));
    drop((net, alpha, beta, listener));
}

#[test]
fn a_closed_subnetwork_keeps_no_socket() {
    // On its own: elsewhere, other tests have sockets.
    assert_eq!(Child::start(child::command("leaver")).hear(), "of 2 none");
}
