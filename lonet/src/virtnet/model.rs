//! What races with a close, in every order of the core's critical sections with up to three
//! preemptions: nothing stays open on what is closed, and nothing waits for ever.
//!
//! Not part of the usual tests, as it is another build:
//! `RUSTFLAGS="--cfg lonet_loom" cargo test --release -p lonet --lib model`. The engine is pipes;
//! what it does between the core's locks, happens at once.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use loom::thread;

use crate::{Cause, Error, Host, Listener, Stream, SubNetwork, pipenet};

type Operation<T> = Pin<Box<dyn Future<Output = crate::Result<T>> + Send>>;

/// Runs a model in all its orders.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 100_000;
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = orders.clone();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{} orders", orders.load(Ordering::Relaxed));
}

fn poll<T>(operation: &mut Operation<T>) -> Poll<crate::Result<T>> {
    operation
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

/// What never pends.
fn now<T>(operation: impl Future<Output = T>) -> T {
    match pin!(operation).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it pends"),
    }
}

/// An operation that has begun: what came of it, or what is to be polled again.
enum Begun<T> {
    Done(crate::Result<T>),
    Waits(Operation<T>),
}

fn begin<T>(operation: impl Future<Output = crate::Result<T>> + Send + 'static) -> Begun<T> {
    let mut operation: Operation<T> = Box::pin(operation);
    match poll(&mut operation) {
        Poll::Ready(done) => Begun::Done(done),
        Poll::Pending => Begun::Waits(operation),
    }
}

impl<T> Begun<T> {
    /// Its end, now that all others are done; `None` if it still waits.
    fn end(self) -> Option<crate::Result<T>> {
        match self {
            Begun::Done(done) => Some(done),
            Begun::Waits(mut operation) => match poll(&mut operation) {
                Poll::Ready(done) => Some(done),
                Poll::Pending => None,
            },
        }
    }
}

type Ended<T> = Option<crate::Result<T>>;

/// How both end. Neither is polled again before both threads have ended.
fn ends<A, B>(
    a: thread::JoinHandle<Begun<A>>,
    b: thread::JoinHandle<Begun<B>>,
) -> (Ended<A>, Ended<B>) {
    let (a, b) = (a.join().expect("it ends"), b.join().expect("it ends"));
    (a.end(), b.end())
}

fn hosts() -> (SubNetwork, Host, Host) {
    let net = pipenet::network("x");
    let (alpha, beta) = (now(net.new_host("α")), now(net.new_host("β")));
    (net, alpha.expect("a new name"), beta.expect("a new name"))
}

fn dial(beta: &Host) -> Begun<Stream> {
    let beta = beta.clone();
    begin(async move { beta.dial("α:10").await })
}

fn accept(listener: Listener) -> Begun<(Stream, Listener)> {
    begin(async move { Ok((listener.accept().await?, listener)) })
}

#[track_caller]
fn cause<T>(failed: Result<T, Error>) -> Cause {
    match failed {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error.cause().clone(),
    }
}

/// What a read ends with: `None` is EOF. A stream of which an end is closed never waits.
#[track_caller]
fn read(stream: &Stream) -> Option<Cause> {
    match stream.try_read(&mut [0; 8]) {
        Ok(0) => None,
        Ok(_) => panic!("nobody wrote"),
        Err(error) => Some(cause::<()>(Err(error
            .downcast()
            .expect("not closed: it would wait")))),
    }
}

#[test]
fn listening_while_the_host_closes() {
    explore(|| {
        let (_net, alpha, beta) = hosts();
        let listening = [":10", ":10"].map(|addr| {
            let alpha = alpha.clone();
            thread::spawn(move || now(alpha.listen(addr)))
        });
        now(alpha.close()).expect("it closes");
        for listener in listening {
            match listener.join().expect("it ends") {
                Ok(listener) => assert_eq!(cause(now(listener.accept())), Cause::HostDown),
                Err(error) => {
                    assert!(matches!(error.cause(), Cause::HostDown | Cause::AddrInUse));
                }
            }
        }
        assert_eq!(cause(now(alpha.listen(""))), Cause::HostDown);
        assert_eq!(cause(now(beta.dial("α:10"))), Cause::ConnectionRefused);
    });
}

#[test]
fn connecting_while_the_acceptors_host_closes() {
    explore(|| {
        let (_net, alpha, beta) = hosts();
        let listener = now(alpha.listen(":10")).expect("the port is free");
        let dialing = {
            let beta = beta.clone();
            thread::spawn(move || dial(&beta))
        };
        let accepting = thread::spawn(move || accept(listener));
        now(alpha.close()).expect("it closes");
        let (dialed, accepted) = ends(dialing, accepting);
        match dialed.expect("it waits for a closed host") {
            Ok(stream) => assert_eq!(read(&stream), None),
            Err(error) => assert_eq!(error.cause(), &Cause::ConnectionRefused),
        }
        match accepted.expect("it waits on a closed host") {
            Ok((stream, _)) => assert_eq!(read(&stream), Some(Cause::HostDown)),
            Err(error) => assert_eq!(error.cause(), &Cause::HostDown),
        }
        // No port is lost.
        assert_eq!(now(beta.listen("")).expect("β is open").addr().port(), 1);
    });
}

#[test]
fn connecting_while_the_dialers_host_closes() {
    explore(|| {
        let (_net, alpha, beta) = hosts();
        let listener = now(alpha.listen(":10")).expect("the port is free");
        let dialing = {
            let beta = beta.clone();
            thread::spawn(move || dial(&beta))
        };
        let accepting = thread::spawn(move || accept(listener));
        now(beta.close()).expect("it closes");
        let (dialed, accepted) = ends(dialing, accepting);
        match dialed.expect("it waits on a closed host") {
            Ok(stream) => assert_eq!(read(&stream), Some(Cause::HostDown)),
            Err(error) => assert_eq!(error.cause(), &Cause::HostDown),
        }
        // α is open, so it may wait for another one.
        if let Some(accepted) = accepted {
            let (stream, _) = accepted.expect("α is open");
            assert_eq!(read(&stream), None);
        }
        assert_eq!(now(alpha.listen("")).expect("α is open").addr().port(), 1);
    });
}

#[test]
fn connecting_while_the_network_closes() {
    explore(|| {
        let (net, alpha, beta) = hosts();
        let listener = now(alpha.listen(":10")).expect("the port is free");
        let dialing = thread::spawn(move || dial(&beta));
        let accepting = thread::spawn(move || accept(listener));
        now(net.close()).expect("it closes");
        let (dialed, accepted) = ends(dialing, accepting);
        match dialed {
            Some(Ok(stream)) => {
                let read = read(&stream);
                assert!(matches!(read, None | Some(Cause::NetworkDown)), "{read:?}");
            }
            Some(Err(error)) => assert!(
                matches!(error.cause(), Cause::NetworkDown | Cause::ConnectionRefused),
                "{error}"
            ),
            None => panic!("it waits on a closed network"),
        }
        match accepted {
            Some(Ok((stream, _))) => {
                let read = read(&stream);
                assert!(matches!(read, None | Some(Cause::NetworkDown)), "{read:?}");
            }
            Some(Err(error)) => assert_eq!(error.cause(), &Cause::NetworkDown),
            None => panic!("it waits on a closed network"),
        }
    });
}

#[test]
fn hosts_come_up_while_the_network_closes() {
    explore(|| {
        let net = pipenet::network("x");
        let opening = ["α", "α"].map(|name| {
            let net = net.clone();
            thread::spawn(move || now(net.new_host(name)))
        });
        now(net.close()).expect("it closes");
        for host in opening {
            match host.join().expect("it ends") {
                Ok(host) => assert_eq!(cause(now(host.listen(""))), Cause::NetworkDown),
                Err(error) => {
                    assert!(matches!(
                        error.cause(),
                        Cause::NetworkDown | Cause::HostExists
                    ));
                }
            }
        }
        assert_eq!(cause(now(net.new_host("γ"))), Cause::NetworkDown);
    });
}
