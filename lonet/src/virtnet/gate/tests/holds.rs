//! What the test holds, at one end of a connection, at a listener, in a dial.

use std::sync::Mutex;

use super::*;
use crate::trace::{EventShape, Hold, Line, Verb};

/// A hold of that number, of events of that host.
pub(super) fn hold(number: u32, verb: Verb, host: &str, nth: u64) -> Hold {
    let has_peer = !matches!(verb, Verb::Listen);
    Hold {
        hold: number,
        event: Some(EventShape {
            verb,
            host: host.into(),
            port: None,
            peer: has_peer.then_some((None, None)),
            words: Vec::new(),
            more: true,
        }),
        nth,
    }
}

/// What is told from here on: "comes 1: a:1 send b:1", "goes 1".
pub(super) fn told(world: &World) -> Arc<Mutex<Vec<String>>> {
    let told = Arc::<Mutex<Vec<String>>>::default();
    let into = told.clone();
    world.gate.tell_by(move |line| {
        let text = match line {
            Line::Comes(coming) => {
                let peer = coming.peer.map_or(String::new(), |peer| format!(" {peer}"));
                format!("comes {}: {} {}{peer}", coming.op, coming.addr, coming.verb)
            }
            Line::Goes(op) => format!("goes {op}"),
            _ => return,
        };
        into.lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(text);
    });
    told
}

impl World {
    pub(super) fn holds(&mut self, holds: Vec<Hold>) {
        self.orders.holds = holds;
        self.obey();
    }

    pub(super) fn passes(&mut self, op: u64) {
        self.orders.passes.push(op);
        self.obey();
    }
}

on_both_engines! {
    async fn a_held_write_leaves_nothing_until_it_is_let_go(world: World) {
        let told = told(&world);
        let (mut a, mut b) = world.connected().await;
        world.holds(vec![hold(1, Verb::Send, "a", 0)]);
        let mut writing = Box::pin(async move { a.write_all(b"xy").await.map(|()| a) });
        pends(&mut writing).await;
        assert_eq!(b.end().conn().io.there(), (0, false).into());
        assert_eq!(b.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        world.holds(Vec::new());
        let a = soon(writing).await.unwrap();
        reads(&mut b, b"xy").await;
        // The other way is free.
        b.write_all(b"z").await.unwrap();
        assert_eq!(*told.lock().unwrap(), ["comes 1: a:1 send b:1", "goes 1"]);
        drop(a);
    }

    /// One that may go on goes; what comes after is held anew.
    async fn a_passed_write_is_one_write(world: World) {
        let told = told(&world);
        let (mut a, mut b) = world.connected().await;
        world.holds(vec![hold(1, Verb::Send, "a", 0)]);
        let mut writing = Box::pin(async move {
            a.write_all(b"x").await?;
            a.write_all(b"y").await
        });
        pends(&mut writing).await;
        world.passes(1);
        pends(&mut writing).await;
        reads(&mut b, b"x").await;
        world.passes(2);
        soon(writing).await.unwrap();
        let expected = ["comes 1: a:1 send b:1", "goes 1", "comes 2: a:1 send b:1", "goes 2"];
        assert_eq!(*told.lock().unwrap(), expected);
    }

    async fn try_write_would_block_and_writable_waits_while_a_write_is_held(world: World) {
        let (a, mut b) = world.connected().await;
        world.holds(vec![hold(1, Verb::Send, "a", 0)]);
        assert_eq!(a.try_write(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
        let mut writable = Box::pin(a.writable());
        pends(&mut writable).await;
        world.holds(Vec::new());
        soon(writable).await.unwrap();
        assert_eq!(a.try_write(b"x").unwrap(), 1);
        reads(&mut b, b"x").await;
    }

    async fn a_held_shutdown_is_not_seen(world: World) {
        let (mut a, mut b) = world.connected().await;
        world.holds(vec![hold(1, Verb::Shutdown, "a", 0)]);
        let mut shutting = Box::pin(a.shutdown());
        pends(&mut shutting).await;
        assert_eq!(b.end().conn().io.there(), (0, false).into());
        world.holds(Vec::new());
        soon(shutting).await.unwrap();
        assert_eq!(soon(b.read(&mut [0])).await.unwrap(), 0);
    }

    /// Also what had arrived, and had not been read.
    async fn held_arrivals_are_neither_read_nor_seen(world: World) {
        let told = told(&world);
        let (mut a, mut b) = world.connected().await;
        a.write_all(b"xyz").await.unwrap();
        arrived(&b, 3, false).await;
        world.holds(vec![hold(1, Verb::Recv, "b", 0)]);
        let mut one = [0];
        assert_eq!(b.try_read(&mut one).unwrap_err().kind(), ErrorKind::WouldBlock);
        let mut readable = Box::pin(b.readable());
        pends(&mut readable).await;
        drop(readable);
        let mut peeking = Box::pin(b.peek(&mut one));
        pends(&mut peeking).await;
        drop(peeking);
        assert_eq!(*told.lock().unwrap(), ["comes 1: b:1 recv a:1"]);
        world.holds(Vec::new());
        reads(&mut b, b"xyz").await;
    }

    /// A reader that waits already hears of what arrives; and just what was there is let in.
    async fn a_passed_arrival_is_what_was_there(world: World) {
        let told = told(&world);
        let (mut a, mut b) = world.connected().await;
        world.holds(vec![hold(1, Verb::Recv, "b", 0)]);
        let reading = tokio::spawn(async move {
            let mut read = Vec::new();
            loop {
                let mut bytes = [0; 8];
                match b.read(&mut bytes).await.unwrap() {
                    0 => return read,
                    n => read.push(String::from_utf8_lossy(&bytes[..n]).into_owned()),
                }
            }
        });
        let comes = async |count: usize| {
            soon(async {
                while told.lock().unwrap().len() < count {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        };
        a.write_all(b"first").await.unwrap();
        comes(1).await;
        a.write_all(b"second").await.unwrap();
        world.passes(1);
        // What came later is held anew; whether it was there when the first was let in, is chance.
        comes(2).await;
        drop(a);
        let mut op = 1;
        while !reading.is_finished() {
            op += 1;
            world.passes(op);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        let read = soon(reading).await.unwrap();
        assert_eq!(read.concat(), "firstsecond");
    }

    async fn the_nth_arrival_alone_is_held(world: World) {
        world.holds(vec![hold(1, Verb::Recv, "b", 2)]);
        let (mut a, mut b) = world.connected().await;
        a.write_all(b"1").await.unwrap();
        reads(&mut b, b"1").await;
        a.write_all(b"2").await.unwrap();
        arrived(&b, 1, false).await;
        let mut one = [0];
        let mut reading = Box::pin(b.read(&mut one));
        pends(&mut reading).await;
        drop(reading);
        world.passes(1);
        reads(&mut b, b"2").await;
        a.write_all(b"3").await.unwrap();
        reads(&mut b, b"3").await;
    }

    async fn a_held_accept_lets_others_pass(world: World) {
        let told = told(&world);
        world.holds(vec![hold(1, Verb::Accept, "b", 1)]);
        let (one, two) = (world.a.clone(), world.a.clone());
        let mut one = Box::pin(async move { one.dial("b:10").await });
        pends(&mut one).await;
        let mut accepting = Box::pin(world.listener.accept());
        // Both make their way to the listener.
        let both = async {
            loop {
                pends(&mut one).await;
                pends(&mut accepting).await;
                if !told.lock().unwrap().is_empty() {
                    break;
                }
            }
        };
        soon(both).await;
        let mut two = Box::pin(async move { two.dial("b:10").await });
        let (accepted, dialed) = soon(async { tokio::join!(&mut accepting, &mut two) }).await;
        assert_eq!(accepted.unwrap().peer_addr(), dialed.unwrap().local_addr());
        pends(&mut one).await;
        drop(accepting);
        world.holds(Vec::new());
        let (accepted, dialed) = soon(async { tokio::join!(world.listener.accept(), one) }).await;
        assert_eq!(accepted.unwrap().peer_addr().to_string(), "a:1");
        drop(dialed.unwrap());
        assert_eq!(*told.lock().unwrap(), ["comes 1: b:1 accept a:1", "goes 1"]);
    }

    async fn a_held_dial_has_its_port_and_can_be_given_up(world: World) {
        let told = told(&world);
        world.holds(vec![hold(1, Verb::Dial, "a", 0)]);
        let mut dialing = Box::pin(world.a.dial("b:10"));
        pends(&mut dialing).await;
        assert_eq!(world.a.listen("").await.unwrap().local_addr().port(), 2);
        drop(dialing);
        assert_eq!(*told.lock().unwrap(), ["comes 1: a:1 dial b:10", "goes 1"]);
        assert_eq!(world.a.listen("").await.unwrap().local_addr().port(), 1);
    }

    async fn a_held_listen_is_refused_to_dialers(world: World) {
        world.holds(vec![hold(1, Verb::Listen, "a", 0)]);
        let a = world.a.clone();
        let mut listening = Box::pin(async move { a.listen(":7").await });
        pends(&mut listening).await;
        let refused = soon(world.b.dial("a:7")).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        world.holds(Vec::new());
        let listener = soon(listening).await.unwrap();
        let (accepted, dialed) =
            soon(async { tokio::join!(listener.accept(), world.b.dial("a:7")) }).await;
        drop(accepted.unwrap());
        drop(dialed.unwrap());
    }

    async fn without_a_collector_nothing_is_held(world: World) {
        let (mut a, mut b) = world.connected().await;
        world.holds(vec![Hold { hold: 1, event: None, nth: 0 }]);
        let mut writing = Box::pin(a.write_all(b"x"));
        pends(&mut writing).await;
        world.gate.open();
        soon(writing).await.unwrap();
        reads(&mut b, b"x").await;
    }
}
