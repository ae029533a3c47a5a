//! What the harness needs for programs that it carries: a listener that says what could be accepted
//! before it is, a listener for its own host, a reset, the names of all hosts.

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use lonet::carried;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// So long waits only what waits for ever.
const TOO_LONG: Duration = Duration::from_secs(20);

/// A dial that could be accepted now, and was not announced.
async fn dialed(listener: &Listener) -> lonet::Result<()> {
    let dialed = std::future::poll_fn(|cx| carried::poll_dialed(listener, cx));
    tokio::time::timeout(TOO_LONG, dialed)
        .await
        .expect("it hangs")
        .map(drop)
}

/// Whether there is one at once.
fn is_announced(listener: &Listener) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    carried::poll_dialed(listener, &mut cx).is_ready()
}

fn dial(host: &Host) -> tokio::task::JoinHandle<lonet::Result<Stream>> {
    let host = host.clone();
    tokio::spawn(async move { host.dial("α:10").await })
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

rules! {
    async fn a_carried_listener_accepts_as_any_other(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = carried::listen(&alpha, 10, false).await.unwrap();
        assert_eq!(listener.addr().to_string(), "α:10");
        assert!(carried::try_accept(&listener).is_none());
        for port in 1..=3 {
            let dialing = dial(&beta);
            dialed(&listener).await.unwrap();
            // The one that was announced is accepted in any of three ways.
            let mut accepted = match port {
                1 => listener.accept().await.unwrap(),
                2 => std::future::poll_fn(|cx| listener.poll_accept(cx)).await.unwrap(),
                _ => carried::try_accept(&listener).unwrap().unwrap(),
            };
            let mut dialing = dialing.await.unwrap().unwrap();
            assert_eq!(accepted.local_addr().to_string(), "α:1");
            assert_eq!(accepted.peer_addr().to_string(), "β:1");
            assert_eq!(dialing.peer_addr(), accepted.local_addr());
            dialing.write_all(b"x").await.unwrap();
            assert_eq!(accepted.read_u8().await.unwrap(), b'x');
            assert!(!is_announced(&listener));
        }
        let free = carried::listen(&alpha, 0, false).await.unwrap();
        assert_eq!(free.addr().port(), 1, "the lowest free port");
        assert_eq!(cause(carried::listen(&alpha, 10, false).await), Cause::AddrInUse);
    }

    async fn each_dial_is_announced_once(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = carried::listen(&alpha, 10, false).await.unwrap();
        let dialing = [dial(&beta), dial(&beta), dial(&beta)];
        for _ in &dialing {
            dialed(&listener).await.unwrap();
        }
        assert!(!is_announced(&listener));
        for _ in &dialing {
            drop(carried::try_accept(&listener).unwrap().unwrap());
            // Nothing is announced again by an accept that finds its dial.
            assert!(!is_announced(&listener));
        }
        assert!(carried::try_accept(&listener).is_none());
        for dialing in dialing {
            drop(dialing.await.unwrap().unwrap());
        }
    }

    async fn a_call_that_waits_to_announce_takes_no_dial_from_an_accept(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = carried::listen(&alpha, 10, false).await.unwrap();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(carried::poll_dialed(&listener, &mut cx).is_pending());
        let (accepted, dialed) = tokio::join!(listener.accept(), beta.dial("α:10"));
        drop((accepted.unwrap(), dialed.unwrap()));
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        // The dial is gone, and that is fine.
        assert!(carried::poll_dialed(&listener, &mut cx).is_pending());
    }

    async fn a_try_takes_no_dial_from_a_call_that_waits(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = carried::listen(&alpha, 10, false).await.unwrap();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(listener.poll_accept(&mut cx).is_pending());
        assert!(carried::try_accept(&listener).is_none());
        let dialing = dial(&beta);
        dialed(&listener).await.unwrap();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        drop(carried::try_accept(&listener).unwrap().unwrap());
        drop(dialing.await.unwrap().unwrap());
    }

    async fn a_dial_that_was_given_up_is_not_announced(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = carried::listen(&alpha, 10, false).await.unwrap();
        let gone = dial(&beta);
        dialed(&listener).await.unwrap();
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        // An announced dial that is gone by now is not accepted.
        let there = dial(&beta);
        dialed(&listener).await.unwrap();
        let accepted = carried::try_accept(&listener).unwrap().unwrap();
        assert_eq!(there.await.unwrap().unwrap().peer_addr(), accepted.local_addr());
        assert!(carried::try_accept(&listener).is_none());
    }

    async fn a_closed_listener_announces_its_end(net: SubNetwork) {
        let (alpha, _beta) = hosts(&net).await;
        let listener = carried::listen(&alpha, 10, false).await.unwrap();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        assert!(carried::poll_dialed(&listener, &mut Context::from_waker(&waker)).is_pending());
        listener.close().await.unwrap();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        let error = dialed(&listener).await.unwrap_err();
        assert_eq!(error.to_string(), format!("accept {} α:10: socket is down", net.network()));
        assert_eq!(cause(carried::try_accept(&listener).unwrap()), Cause::SocketDown);
        let listener = carried::listen(&alpha, 10, false).await.unwrap();
        alpha.close().await.unwrap();
        assert_eq!(cause(dialed(&listener).await), Cause::HostDown);
    }

    async fn a_listener_for_its_own_host_refuses_others(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = carried::listen(&alpha, 10, true).await.unwrap();
        let others = tokio::time::timeout(TOO_LONG, beta.dial("α:10")).await;
        assert_eq!(cause(others.expect("it waits")), Cause::ConnectionRefused);
        let own = async { tokio::join!(listener.accept(), alpha.dial(":10")) };
        let (accepted, own) = tokio::time::timeout(TOO_LONG, own).await.expect("it waits");
        assert_eq!(accepted.unwrap().peer_addr(), own.unwrap().local_addr());
        assert!(!is_announced(&listener));
    }

    async fn a_reset_reaches_the_other_end(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = alpha.listen(":10").await.unwrap();
        // What had arrived is read first.
        let (mut resets, mut learns) = connect(&alpha, &beta, &listener).await;
        resets.write_all(b"xy").await.unwrap();
        assert_eq!(learns.read_u8().await.unwrap(), b'x');
        carried::reset(resets);
        assert_eq!(beta.listen("").await.unwrap().addr().port(), 1, "the port is free");
        assert_eq!(learns.read_u8().await.unwrap(), b'y');
        assert_eq!(io_cause(learns.read(&mut [0]).await), Cause::ConnectionReset);
        // It is told once.
        assert_eq!(learns.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(learns.write(b"z").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        drop(learns);
        // A read that waits is woken.
        let (resets, mut learns) = connect(&alpha, &beta, &listener).await;
        {
            let mut byte = [0];
            let mut reading = pin!(learns.read(&mut byte));
            assert_pending!(reading);
            carried::reset(resets);
            let read = tokio::time::timeout(TOO_LONG, reading).await.unwrap();
            assert_eq!(io_cause(read), Cause::ConnectionReset);
        }
        drop(learns);
        // A write that waits for room is, too.
        let (resets, mut learns) = connect(&alpha, &beta, &listener).await;
        let writing = tokio::spawn(async move {
            let written = learns.write_all(&vec![0; 64 << 20]).await;
            (learns, written)
        });
        tokio::task::yield_now().await;
        carried::reset(resets);
        let (learns, written) = tokio::time::timeout(TOO_LONG, writing).await.unwrap().unwrap();
        assert_eq!(io_cause(written), Cause::ConnectionReset);
        drop(learns);
    }

    async fn a_reset_after_the_end_is_the_end(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = alpha.listen(":10").await.unwrap();
        let (mut resets, mut learns) = connect(&alpha, &beta, &listener).await;
        resets.shutdown().await.unwrap();
        assert_eq!(learns.read(&mut [0]).await.unwrap(), 0);
        carried::reset(resets);
        assert_eq!(learns.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(learns.write(b"z").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    async fn all_names_are_known_in_order(net: SubNetwork) {
        assert_eq!(carried::hosts(&net).await.unwrap(), Vec::<String>::new());
        let gone = net.new_host("γ").await.unwrap();
        let (_alpha, _beta) = hosts(&net).await;
        gone.close().await.unwrap();
        assert_eq!(carried::hosts(&net).await.unwrap(), ["α", "β", "γ"]);
    }
}
