//! What races with a close, and with an order to the gate, in every order of the core's critical
//! sections with up to three preemptions: nothing stays open on what is closed, nothing waits for
//! ever, and nothing that an order withholds comes through.
//!
//! Not part of the usual tests, as it is another build:
//! `RUSTFLAGS="--cfg lonet_loom" cargo test --release -p lonet --lib model`. The engine is pipes;
//! what it does between the core's locks, happens at once.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use loom::thread;

use tokio::io::{AsyncWrite, ReadBuf};

use super::engine::Engine;
use super::net::{Net, NetName};
use crate::trace::{Does, Ends, Gate, Rule, Standing, Then};
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

/// A network with a gate, and both ends of a connection from `β` to `α`.
fn gated() -> (SubNetwork, Arc<Gate>, Stream, Stream) {
    let (gate, engine) = (Gate::new(), Engine::Pipes(Arc::default()));
    let net = Net::behind(gate.clone(), NetName::new("pipe", "x"), engine);
    let net = SubNetwork::of(net);
    let (alpha, beta) = (now(net.new_host("α")), now(net.new_host("β")));
    let (alpha, beta) = (alpha.expect("a new name"), beta.expect("a new name"));
    let listener = now(alpha.listen(":10")).expect("the port is free");
    let Begun::Waits(mut dialing) = dial(&beta) else {
        panic!("it waits to be accepted");
    };
    let accepted = now(listener.accept()).expect("a dialer waits");
    let Poll::Ready(dialed) = poll(&mut dialing) else {
        panic!("it was accepted");
    };
    (net, gate, dialed.expect("it was accepted"), accepted)
}

fn order(gate: &Gate, seq: u64, does: &[Does], settled: &[u32]) {
    let rules = does.iter().map(|&does| Rule {
        fault: 1,
        event: None,
        from: Ends::Others,
        to: Ends::Others,
        does,
        window: None,
    });
    gate.obey(Arc::new(Standing {
        seq,
        rules: rules.collect(),
        settled: settled.to_vec(),
        ..Standing::default()
    }));
}

/// All that can be read now.
fn drain(stream: &Stream) -> Vec<u8> {
    let (mut all, mut some) = (Vec::new(), [0; 8]);
    while let Ok(bytes @ 1..) = stream.try_read(&mut some) {
        all.extend_from_slice(&some[..bytes]);
    }
    all
}

#[test]
fn reading_while_a_partition_comes_into_force() {
    explore(|| {
        let (_net, gate, dialed, accepted) = gated();
        assert_eq!(dialed.try_write(b"x").expect("there is room"), 1);
        let reading = thread::spawn(move || (drain(&accepted), accepted));
        order(&gate, 1, &[Does::Withhold], &[]);
        // It is in force: what is written now must not be read, by a read under way neither.
        assert_eq!(dialed.try_write(b"yy").expect("there is room"), 2);
        let (mut read, accepted) = reading.join().expect("it ends");
        read.extend(drain(&accepted));
        assert_eq!(read, b"x");
        order(&gate, 2, &[], &[]);
        assert_eq!(drain(&accepted), b"yy");
    });
}

#[test]
fn closing_while_a_partition_comes_and_goes() {
    explore(|| {
        let (net, gate, dialed, accepted) = gated();
        assert_eq!(dialed.try_write(b"x").expect("there is room"), 1);
        let closing = thread::spawn(move || drop(accepted));
        order(&gate, 1, &[Does::Withhold], &[]);
        order(&gate, 2, &[], &[]);
        closing.join().expect("it ends");
        // Whenever it closed, the other end hears of it by now, and the port is free.
        assert_eq!(read(&dialed), None);
        let alpha = net.host("α").expect("it is open");
        assert_eq!(now(alpha.listen("")).expect("α is open").addr().port(), 1);
    });
}

#[test]
fn closing_while_an_event_sets_a_fault_off() {
    explore(|| {
        let (_net, gate, dialed, accepted) = gated();
        gate.fire(1, Then::Tell);
        let closing = thread::spawn(move || drop(accepted));
        let looks = dialed.end().conn().io.there();
        order(&gate, 1, &[], &[1]);
        closing.join().expect("it ends");
        // Nothing left before the fault was settled; all has left since.
        assert!(!looks.ended);
        assert_eq!(read(&dialed), None);
    });
}

#[test]
fn a_reader_is_woken_by_the_heal() {
    explore(|| {
        let (_net, gate, dialed, accepted) = gated();
        order(&gate, 1, &[Does::Withhold], &[]);
        assert_eq!(dialed.try_write(b"x").expect("there is room"), 1);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let reading = thread::spawn(move || {
            let mut byte = [0];
            let mut buf = ReadBuf::new(&mut byte);
            let mut cx = Context::from_waker(&waker);
            let poll = accepted.poll_peek(&mut cx, &mut buf);
            (poll.is_ready(), accepted)
        });
        order(&gate, 2, &[], &[]);
        let (was_ready, accepted) = reading.join().expect("it ends");
        assert!(
            was_ready || woken.0.load(Ordering::Relaxed) > 0,
            "it waits for ever"
        );
        assert_eq!(drain(&accepted), b"x");
    });
}

#[test]
fn an_accept_is_woken_by_the_heal() {
    explore(|| {
        let (gate, engine) = (Gate::new(), Engine::Pipes(Arc::default()));
        let net = Net::behind(gate.clone(), NetName::new("pipe", "x"), engine);
        let net = SubNetwork::of(net);
        let (alpha, beta) = (now(net.new_host("α")), now(net.new_host("β")));
        let (alpha, beta) = (alpha.expect("a new name"), beta.expect("a new name"));
        let listener = now(alpha.listen(":10")).expect("the port is free");
        let Begun::Waits(_dialing) = dial(&beta) else {
            panic!("it waits to be accepted");
        };
        order(&gate, 1, &[Does::Withhold], &[]);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let accepting = thread::spawn(move || {
            let mut cx = Context::from_waker(&waker);
            let accepted = listener.poll_accept(&mut cx);
            (accepted.is_ready(), listener)
        });
        order(&gate, 2, &[], &[]);
        let (was_ready, listener) = accepting.join().expect("it ends");
        assert!(
            was_ready || woken.0.load(Ordering::Relaxed) > 0,
            "it waits for ever"
        );
        drop(listener);
    });
}

#[test]
fn a_writer_is_woken_by_a_reset() {
    explore(|| {
        let (_net, gate, dialed, accepted) = gated();
        while dialed.try_write(&[0; 1 << 16]).is_ok() {}
        let resets = |seq, event| {
            let rule = Rule {
                fault: 1,
                event,
                from: Ends::Others,
                to: Ends::Others,
                does: Does::Reset,
                window: None,
            };
            gate.obey(Arc::new(Standing {
                seq,
                rules: vec![rule],
                ..Standing::default()
            }));
        };
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let writing = thread::spawn(move || {
            let mut cx = Context::from_waker(&waker);
            let mut dialed = dialed;
            let poll = Pin::new(&mut dialed).poll_write(&mut cx, b"x");
            (poll.is_ready(), dialed)
        });
        resets(1, None);
        resets(2, Some(crate::trace::EventId::from((0, 9))));
        let (was_ready, dialed) = writing.join().expect("it ends");
        assert!(
            was_ready || woken.0.load(Ordering::Relaxed) > 0,
            "it waits for ever"
        );
        assert!(dialed.try_write(b"x").is_err());
        drop(accepted);
    });
}

#[test]
fn what_a_close_keeps_goes_with_the_heal() {
    explore(|| {
        let (net, gate, dialed, accepted) = gated();
        order(&gate, 1, &[Does::Withhold], &[]);
        let closing = thread::spawn(move || drop(dialed));
        order(&gate, 2, &[], &[]);
        closing.join().expect("it ends");
        assert!(gate.keeps_nothing(), "it stays for ever");
        drop((net, accepted));
    });
}

/// The test holds everything, or nothing.
fn hold(gate: &Gate, seq: u64, holds: bool) {
    let all = crate::trace::Hold {
        hold: 1,
        event: None,
        nth: 0,
    };
    gate.obey(Arc::new(Standing {
        seq,
        holds: holds.then_some(all).into_iter().collect(),
        ..Standing::default()
    }));
}

#[test]
fn a_held_reader_is_woken_by_the_release() {
    explore(|| {
        let (_net, gate, dialed, accepted) = gated();
        assert_eq!(dialed.try_write(b"x").expect("there is room"), 1);
        hold(&gate, 1, true);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let reading = thread::spawn(move || {
            let mut byte = [0];
            let mut buf = ReadBuf::new(&mut byte);
            let mut cx = Context::from_waker(&waker);
            let poll = accepted.poll_peek(&mut cx, &mut buf);
            (poll.is_ready(), accepted)
        });
        hold(&gate, 2, false);
        let (was_ready, accepted) = reading.join().expect("it ends");
        assert!(
            was_ready || woken.0.load(Ordering::Relaxed) > 0,
            "it waits for ever"
        );
        assert_eq!(drain(&accepted), b"x");
    });
}

#[test]
fn a_held_writer_is_woken_by_the_release() {
    explore(|| {
        let (_net, gate, dialed, accepted) = gated();
        hold(&gate, 1, true);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let writing = thread::spawn(move || {
            let mut cx = Context::from_waker(&waker);
            let mut dialed = dialed;
            let poll = Pin::new(&mut dialed).poll_write(&mut cx, b"x");
            (poll.is_ready(), dialed)
        });
        hold(&gate, 2, false);
        let (was_ready, dialed) = writing.join().expect("it ends");
        assert!(
            was_ready || woken.0.load(Ordering::Relaxed) > 0,
            "it waits for ever"
        );
        if !was_ready {
            assert_eq!(dialed.try_write(b"x").expect("there is room"), 1);
        }
        assert_eq!(drain(&accepted), b"x");
    });
}

#[test]
fn reading_while_a_hold_comes_into_force() {
    explore(|| {
        let (_net, gate, dialed, accepted) = gated();
        assert_eq!(dialed.try_write(b"x").expect("there is room"), 1);
        let reading = thread::spawn(move || {
            let read = drain(&accepted);
            (read, accepted)
        });
        hold(&gate, 1, true);
        let (read, accepted) = reading.join().expect("it ends");
        // It was read before, or is held now.
        assert_eq!(drain(&accepted), b"");
        hold(&gate, 2, false);
        assert_eq!([read, drain(&accepted)].concat(), b"x");
    });
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
