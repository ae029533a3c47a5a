//! What each order does to connections, listeners and dials, on both engines.
//!
//! The orders are given by hand; what a test of several processes does with them is the harness's.

use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::pipes::Pipes;
use crate::trace::{Does, Ends, EventId, Gate, Place, Rule, Standing, Then};
use crate::virtnet::engine::Engine;
use crate::virtnet::net::{Net, NetName};
use crate::{Host, Listener, Stream, SubNetwork};

/// So long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two hosts on a network, and what orders its faults.
struct World {
    gate: Arc<Gate>,
    orders: Standing,
    a: Host,
    b: Host,
    listener: Listener,
    _net: SubNetwork,
}

fn ends(text: &str) -> Ends {
    let place = |end: &str| Place {
        host: end.split(':').next().unwrap().to_owned(),
        port: end.split(':').nth(1).map(|port| port.parse().unwrap()),
    };
    match text {
        "_" => Ends::Others,
        text => Ends::These(text.split(',').map(place).collect()),
    }
}

impl World {
    async fn on(net: SubNetwork, gate: Arc<Gate>) -> World {
        let (a, b) = (
            net.new_host("a").await.unwrap(),
            net.new_host("b").await.unwrap(),
        );
        let listener = b.listen(":10").await.unwrap();
        let orders = Standing::default();
        World {
            gate,
            orders,
            a,
            b,
            listener,
            _net: net,
        }
    }

    async fn connected(&self) -> (Stream, Stream) {
        soon(async { tokio::try_join!(self.a.dial("b:10"), self.listener.accept()) })
            .await
            .unwrap()
    }

    fn rule(&mut self, from: &str, to: &str, does: Does) {
        self.orders.rules.push(Rule {
            fault: self.orders.rules.len() as u32 + 1,
            event: Some(EventId::from((0, 7))),
            from: ends(from),
            to: ends(to),
            does,
            window: None,
        });
    }

    /// The orders are in force; the faults that have acted by now.
    fn obey(&mut self) -> Vec<u32> {
        self.orders.seq += 1;
        self.gate.obey(Arc::new(self.orders.clone())).acted
    }

    fn partition(&mut self) {
        self.rule("a", "b", Does::Withhold);
        self.rule("b", "a", Does::Withhold);
        self.obey();
    }

    fn heal(&mut self) -> Vec<u32> {
        self.orders.rules.clear();
        self.obey()
    }
}

/// Polls once: it must not be done.
async fn pends<T>(operation: &mut Pin<Box<impl Future<Output = T>>>) {
    // Whatever is ready gets its turn; nothing else orders anything here.
    for _ in 0..20 {
        tokio::task::yield_now().await;
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(operation.as_mut().poll(cx)));
        assert!(polled.await.is_pending(), "it is done");
    }
}

async fn soon<T>(operation: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, operation)
        .await
        .expect("it hangs")
}

async fn reads(stream: &mut Stream, expected: &[u8]) {
    let mut read = vec![0; expected.len()];
    soon(stream.read_exact(&mut read)).await.unwrap();
    assert_eq!(read, expected);
}

/// Waits until so many bytes, or the end, have come to an end's socket.
async fn arrived(stream: &Stream, bytes: u64, ended: bool) {
    let io = &stream.end().conn().io;
    soon(async {
        while io.there() != (bytes, ended).into() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

macro_rules! on_both_engines {
    ($($(#[$doc:meta])* async fn $name:ident($world:ident: World) $body:block)*) => {
        $($(#[$doc])* async fn $name(mut $world: World) $body)*

        mod pipes {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let (gate, engine) = (Gate::new(), Engine::Pipes(Arc::new(Pipes::default())));
                let net = Net::behind(gate.clone(), NetName::new("pipe", "x"), engine);
                super::$name(World::on(SubNetwork::of(net), gate).await).await;
            })*
        }

        mod loopback {
            use super::*;
            $(#[tokio::test]
            async fn $name() {
                let gate = Gate::new();
                let net = crate::joining::join_behind(gate.clone()).await;
                super::$name(World::on(net, gate).await).await;
            })*
        }
    };
}

mod dialed;
mod holds;
mod interplay;
mod waiting;

on_both_engines! {
    async fn a_partition_lets_in_what_had_arrived(world: World) {
        let (mut a, mut b) = world.connected().await;
        a.write_all(b"before").await.unwrap();
        arrived(&b, 6, false).await;
        world.partition();
        a.write_all(b"after").await.unwrap();
        arrived(&b, 11, false).await;
        reads(&mut b, b"before").await;
        let mut one = [0];
        let mut reading = Box::pin(b.read(&mut one));
        pends(&mut reading).await;
        drop(reading);
        // The end waits, too, and nothing tells of it.
        drop(a);
        assert_eq!(b.try_read(&mut one).unwrap_err().kind(), ErrorKind::WouldBlock);
        let mut readable = Box::pin(b.readable());
        pends(&mut readable).await;
        drop(readable);
        let mut peeked = [0; 8];
        let mut peeking = Box::pin(b.peek(&mut peeked));
        pends(&mut peeking).await;
        drop(peeking);
        assert_eq!(world.heal(), [1]);
        reads(&mut b, b"after").await;
        assert_eq!(soon(b.read(&mut one)).await.unwrap(), 0);
    }

    async fn a_heal_wakes_what_is_withheld(world: World) {
        let (mut a, mut b) = world.connected().await;
        world.partition();
        a.write_all(b"x").await.unwrap();
        arrived(&b, 1, false).await;
        let reading = tokio::spawn(async move { b.read_u8().await });
        while !world.obey().contains(&1) {
            tokio::task::yield_now().await;
        }
        world.heal();
        assert_eq!(soon(reading).await.unwrap().unwrap(), b'x');
    }

    async fn a_write_does_not_learn_that_the_peer_is_gone(world: World) {
        let (mut a, b) = world.connected().await;
        world.partition();
        b.end().conn().io.shutdown();
        let mut writing = Box::pin(async move {
            loop {
                if let Err(error) = a.write_all(&[0; 1024]).await {
                    return error.kind();
                }
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..10 {
            pends(&mut writing).await;
        }
        drop(b);
        world.heal();
        let kind = soon(writing).await;
        assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{kind}");
    }

    async fn a_cut_is_one_way(world: World) {
        let (mut a, mut b) = world.connected().await;
        world.rule("a", "b", Does::Withhold);
        world.obey();
        a.write_all(b"lost").await.unwrap();
        b.write_all(b"heard").await.unwrap();
        reads(&mut a, b"heard").await;
        let mut one = [0];
        let mut reading = Box::pin(b.read(&mut one));
        pends(&mut reading).await;
        let mut dialing = Box::pin(world.b.dial("a:10"));
        pends(&mut dialing).await;
    }

    async fn a_dial_pends_with_its_port_and_goes_on(world: World) {
        world.partition();
        let a = world.a.clone();
        let mut dialing = Box::pin(async move { a.dial("b:10").await });
        pends(&mut dialing).await;
        assert_eq!(world.a.listen("").await.unwrap().local_addr().port(), 2);
        let mut cancelled = Box::pin(world.a.dial("b:10"));
        pends(&mut cancelled).await;
        drop(cancelled);
        assert_eq!(world.a.listen("").await.unwrap().local_addr().port(), 2);
        assert_eq!(world.heal(), [1]);
        let (dialed, accepted) = soon(async { tokio::join!(dialing, world.listener.accept()) }).await;
        assert_eq!(dialed.unwrap().local_addr(), accepted.unwrap().peer_addr());
    }

    async fn a_withheld_dial_does_not_learn_that_the_host_is_gone(world: World) {
        world.partition();
        let error = soon(world.a.dial("nowhere:1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let a = world.a.clone();
        let mut dialing = Box::pin(async move { a.dial("b:10").await });
        pends(&mut dialing).await;
        world.listener.close().await.unwrap();
        world.b.close().await.unwrap();
        pends(&mut dialing).await;
        world.heal();
        assert_eq!(soon(dialing).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    async fn a_queued_dialer_is_passed_over_and_keeps_its_place(world: World) {
        let c = world._net.new_host("c").await.unwrap();
        let a = world.a.clone();
        let mut first = Box::pin(async move { a.dial("b:10").await });
        pends(&mut first).await;
        world.partition();
        let mut accepting = Box::pin(world.listener.accept());
        pends(&mut accepting).await;
        let (dialed, accepted) = soon(async { tokio::join!(c.dial("b:10"), accepting) }).await;
        assert_eq!(accepted.unwrap().peer_addr().host(), "c");
        drop(dialed.unwrap());
        let c2 = c.clone();
        let mut third = Box::pin(async move { c2.dial("b:10").await });
        pends(&mut third).await;
        world.heal();
        let accepted = soon(world.listener.accept()).await.unwrap();
        assert_eq!(accepted.peer_addr().host(), "a");
        drop(soon(first).await.unwrap());
    }

    async fn a_delay_is_pipelined_and_in_order(world: World) {
        let (mut a, mut b) = world.connected().await;
        let delay = Duration::from_millis(50);
        world.rule("a", "b", Does::Delay(50_000));
        world.obey();
        let begun = Instant::now();
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            b.read_to_end(&mut all).await.map(|_| (all, Instant::now()))
        });
        for byte in 0..20 {
            a.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        drop(a);
        let (all, ended) = soon(reading).await.unwrap().unwrap();
        assert_eq!(all, (0..20).collect::<Vec<u8>>());
        assert!(ended - begun >= delay, "{:?}", ended - begun);
        // Twenty delays one after the other would be a second.
        assert!(ended - begun < delay * 20, "{:?}", ended - begun);
        assert_eq!(world.heal(), [1]);
    }

    async fn a_delayed_end_wakes_for_all_that_comes(world: World) {
        let (mut a, mut b) = world.connected().await;
        world.rule("_", "_", Does::Jitter(300, 7));
        world.obey();
        let echo = tokio::spawn(async move {
            let mut bytes = [0; 3];
            while b.read_exact(&mut bytes).await.is_ok() {
                b.write_all(&bytes).await.unwrap();
            }
        });
        for round in 0..100 {
            a.write_all(b"one").await.unwrap();
            // One that was given up takes nothing with it.
            let _ = tokio::time::timeout(Duration::ZERO, a.readable()).await;
            if round == 50 {
                world.heal();
            }
            reads(&mut a, b"one").await;
        }
        drop(a);
        soon(echo).await.unwrap();
    }

    async fn a_heal_ends_a_delay_at_once(world: World) {
        let (mut a, mut b) = world.connected().await;
        world.rule("a", "b", Does::Delay(3_600_000_000));
        world.obey();
        a.write_all(b"x").await.unwrap();
        let reading = tokio::spawn(async move { b.read_u8().await });
        let c = world.a.clone();
        let dialing = tokio::spawn(async move { c.dial("b:10").await });
        while world.obey() != [1] {
            tokio::task::yield_now().await;
        }
        world.heal();
        assert_eq!(soon(reading).await.unwrap().unwrap(), b'x');
        drop(soon(world.listener.accept()).await.unwrap());
        drop(soon(dialing).await.unwrap().unwrap());
    }

    async fn what_had_arrived_is_not_delayed(world: World) {
        let (mut a, mut b) = world.connected().await;
        a.write_all(b"x").await.unwrap();
        arrived(&b, 1, false).await;
        world.rule("a", "b", Does::Delay(3_600_000_000));
        world.obey();
        reads(&mut b, b"x").await;
    }

    async fn a_slice_moves_few_bytes_at_a_time(world: World) {
        let (mut a, mut b) = world.connected().await;
        world.rule("a", "b", Does::Slice(3));
        world.obey();
        let sent: Vec<u8> = (0..100).collect();
        let mut rest = &sent[..];
        while !rest.is_empty() {
            let written = a.write(rest).await.unwrap();
            assert!((1..=3).contains(&written), "{written}");
            rest = &rest[written..];
        }
        arrived(&b, 100, false).await;
        let mut all = Vec::new();
        while all.len() < 100 {
            let mut some = [0; 64];
            let read = soon(b.read(&mut some)).await.unwrap();
            assert!((1..=3).contains(&read), "{read}");
            all.extend_from_slice(&some[..read]);
        }
        assert_eq!(all, sent);
        // The other way is as ever.
        assert_eq!(b.write(&sent).await.unwrap(), 100);
        assert_eq!(world.heal(), [1]);
        assert_eq!(a.write(&sent).await.unwrap(), 100);
    }

    async fn a_limit_lets_so_many_bytes_in_then_the_end(world: World) {
        let (mut a, mut b) = world.connected().await;
        world.rule("a", "b", Does::Limit(4, false));
        world.obey();
        a.write_all(b"sixsix").await.unwrap();
        arrived(&b, 6, false).await;
        reads(&mut b, b"sixs").await;
        assert_eq!(soon(b.read(&mut [0; 8])).await.unwrap(), 0);
        assert_eq!(soon(b.read(&mut [0; 8])).await.unwrap(), 0);
        let kind = soon(async {
            loop {
                if let Err(error) = a.write_all(b"x").await {
                    return error.kind();
                }
                tokio::task::yield_now().await;
            }
        });
        let kind = kind.await;
        assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{kind}");
        world.heal();
        // What was cut off stays so.
        assert_eq!(soon(b.read(&mut [0; 8])).await.unwrap(), 0);
    }

    async fn a_reset_lets_in_what_had_arrived_then_fails_once(world: World) {
        let (mut a, mut b) = world.connected().await;
        a.write_all(b"before").await.unwrap();
        arrived(&b, 6, false).await;
        world.rule("a", "b", Does::Reset);
        world.rule("b", "a", Does::Reset);
        for rule in &mut world.orders.rules {
            rule.event = None;
            rule.fault = 1;
        }
        world.orders.seq += 1;
        let noted = world.gate.obey(Arc::new(world.orders.clone())).noted;
        assert_eq!(noted.len(), 2, "each from its side: {noted:?}");
        a.write_all(b"after").await.unwrap();
        for rule in &mut world.orders.rules {
            rule.event = Some(EventId::from((0, 9)));
        }
        world.obey();
        reads(&mut b, b"before").await;
        let mut one = [0];
        assert_eq!(soon(b.read(&mut one)).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(soon(b.read(&mut one)).await.unwrap(), 0);
        assert_eq!(b.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(a.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(a.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(soon(a.read(&mut one)).await.unwrap(), 0);
        // New ones are not touched, though the order stands.
        let (mut a, mut b) = world.connected().await;
        a.write_all(b"new").await.unwrap();
        reads(&mut b, b"new").await;
        world.heal();
        assert_eq!(soon(b.read(&mut [])).await.unwrap(), 0);
    }

    async fn a_reset_after_the_end_leaves_the_end(world: World) {
        let (mut a, mut b) = world.connected().await;
        a.write_all(b"x").await.unwrap();
        a.shutdown().await.unwrap();
        arrived(&b, 1, true).await;
        world.rule("a", "b", Does::Reset);
        world.orders.rules[0].event = None;
        world.obey();
        world.orders.rules[0].event = Some(EventId::from((0, 9)));
        world.obey();
        reads(&mut b, b"x").await;
        assert_eq!(soon(b.read(&mut [0; 8])).await.unwrap(), 0);
        assert_eq!(b.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    async fn a_reset_wakes_a_reader_that_waits(world: World) {
        let (_a, mut b) = world.connected().await;
        let reading = tokio::spawn(async move { b.read_u8().await });
        tokio::task::yield_now().await;
        world.rule("a", "b", Does::Reset);
        world.orders.rules[0].event = None;
        world.obey();
        world.orders.rules[0].event = Some(EventId::from((0, 9)));
        world.obey();
        let kind = soon(reading).await.unwrap().unwrap_err().kind();
        assert_eq!(kind, ErrorKind::ConnectionReset);
    }

    async fn a_refusal_is_for_dials_alone(world: World) {
        let (mut a, mut b) = world.connected().await;
        world.rule("a", "b", Does::Refuse);
        world.obey();
        let error = soon(world.a.dial("b:10")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        a.write_all(b"x").await.unwrap();
        reads(&mut b, b"x").await;
        assert_eq!(world.heal(), [1]);
        world.connected().await.0.close().await.unwrap();
    }

    async fn of_a_host_that_vanished_only_a_write_tells(world: World) {
        let (mut a, b) = world.connected().await;
        world.rule("b", "_", Does::Withhold);
        world.obey();
        drop(b);
        arrived(&a, 0, true).await;
        world.orders.rules[0].does = Does::Gone;
        world.obey();
        let mut one = [0];
        let mut reading = Box::pin(a.read(&mut one));
        pends(&mut reading).await;
        drop(reading);
        let (mut read, mut write) = a.into_split();
        let mut reading = Box::pin(read.read(&mut one));
        pends(&mut reading).await;
        assert_eq!(write.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(write.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        // One that waits learns of it by the write.
        assert_eq!(soon(reading).await.unwrap(), 0);
        // The host is back.
        let (mut a, mut b) = world.connected().await;
        b.write_all(b"back").await.unwrap();
        reads(&mut a, b"back").await;
    }

    async fn a_close_over_withheld_bytes_takes_nothing_back(world: World) {
        let (mut a, mut b) = world.connected().await;
        let (mut c, mut d) = world.connected().await;
        world.rule("a", "b", Does::Withhold);
        world.obey();
        a.write_all(&[1; 10_000]).await.unwrap();
        arrived(&b, 10_000, false).await;
        b.write_all(b"bye").await.unwrap();
        let port = b.local_addr().port();
        drop(b);
        assert_eq!(world.b.listen(("b", port)).await.unwrap().local_addr().port(), port);
        let mut all = Vec::new();
        soon(a.read_to_end(&mut all)).await.unwrap();
        assert_eq!(all, b"bye");
        d.close().await.unwrap();
        assert_eq!(soon(c.read(&mut [0; 8])).await.unwrap(), 0);
        // The descriptor goes with the heal.
        world.heal();
        let kind = soon(async {
            loop {
                if let Err(error) = a.write_all(b"x").await {
                    return error.kind();
                }
                tokio::task::yield_now().await;
            }
        });
        let kind = kind.await;
        assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{kind}");
    }

    async fn nothing_leaves_between_an_event_and_its_fault(world: World) {
        let (mut a, mut b) = world.connected().await;
        let (c, mut d) = world.connected().await;
        world.gate.fire(5, Then::Tell);
        assert_eq!(a.try_write(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
        let mut writing = Box::pin(a.write(b"x"));
        pends(&mut writing).await;
        drop(c);
        b.shutdown().await.unwrap();
        let dials = world.a.clone();
        let mut dialing = Box::pin(async move { dials.dial("b:10").await });
        pends(&mut dialing).await;
        for stream in [&b, &d] {
            assert_eq!(stream.end().conn().io.there(), (0, false).into());
        }
        // Others obey by now; as part of that fault, a receives nothing.
        world.rule("b", "a", Does::Withhold);
        world.orders.settled = vec![5];
        world.obey();
        assert_eq!(soon(writing).await.unwrap(), 1);
        assert_eq!(soon(d.read(&mut [0; 8])).await.unwrap(), 0);
        pends(&mut dialing).await;
        arrived(&a, 0, true).await;
        let mut one = [0];
        let mut reading = Box::pin(a.read(&mut one));
        pends(&mut reading).await;
        world.heal();
        assert_eq!(soon(reading).await.unwrap(), 0);
    }

    async fn without_orders_everything_passes(world: World) {
        let (mut a, mut b) = world.connected().await;
        world.partition();
        world.gate.fire(5, Then::Tell);
        world.gate.open();
        a.write_all(b"x").await.unwrap();
        reads(&mut b, b"x").await;
    }

    async fn a_window_makes_the_writer_wait(world: World) {
        let (mut a, b) = world.connected().await;
        world.rule("a", "b", Does::Withhold);
        world.orders.rules[0].window = Some(4096);
        world.obey();
        let mut writing = Box::pin(a.write_all(&[0; 1 << 20]));
        pends(&mut writing).await;
        drop(writing);
        let there = b.end().conn().io.there();
        assert!(there.bytes < 1 << 19, "{there:?}");
    }
}
