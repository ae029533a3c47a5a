//! Several waiting tasks, calls that ask without reading, and what outlives a fault.

use tokio::io::{Interest, Ready};

use super::*;

on_both_engines! {
    async fn readiness_does_not_take_the_reset(world: World) {
        let (_a, mut b) = world.connected().await;
        world.rule("a", "b", Does::Reset);
        world.orders.rules[0].event = None;
        world.obey();
        world.orders.rules[0].event = Some(EventId::from((0, 9)));
        world.obey();
        soon(b.readable()).await.unwrap();
        soon(b.readable()).await.unwrap();
        let mut one = [0];
        let kind = b.try_read(&mut one).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::ConnectionReset);
        assert_eq!(soon(b.read(&mut one)).await.unwrap(), 0);
    }

    async fn readiness_does_not_tell_of_a_withheld_end(world: World) {
        let (mut a, mut b) = world.connected().await;
        a.write_all(b"x").await.unwrap();
        arrived(&b, 1, false).await;
        world.partition();
        drop(a);
        arrived(&b, 1, true).await;
        // The runtime knows by now, too.
        let io = &b.end().conn().io;
        soon(async {
            while !io.ready(Interest::READABLE).await.unwrap().is_read_closed() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let ready = soon(b.ready(Interest::READABLE)).await.unwrap();
        assert_eq!(ready, Ready::READABLE);
        reads(&mut b, b"x").await;
        let both = Interest::READABLE | Interest::WRITABLE;
        let ready = soon(b.ready(both)).await.unwrap();
        assert_eq!(ready, Ready::WRITABLE);
        world.heal();
        let ready = soon(b.ready(Interest::READABLE)).await.unwrap();
        assert!(ready.is_readable());
        assert_eq!(soon(b.read(&mut [0])).await.unwrap(), 0);
    }

    async fn a_writer_that_may_not_learn_of_the_end_waits(world: World) {
        let (a, b) = world.connected().await;
        world.partition();
        b.end().conn().io.shutdown();
        soon(async {
            while a.try_write(b"x").is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        // It would write again at once, and for ever, if it were called writable.
        let mut writable = Box::pin(a.writable());
        pends(&mut writable).await;
        let mut polled = Box::pin(std::future::poll_fn(|cx| a.poll_write_ready(cx)));
        pends(&mut polled).await;
        world.heal();
        soon(writable).await.unwrap();
        soon(polled).await.unwrap();
        let kind = a.try_write(b"x").unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{kind}");
    }

    async fn what_is_delayed_wakes_all_who_wait(world: World) {
        let (mut a, b) = world.connected().await;
        world.rule("a", "b", Does::Delay(1000));
        world.obey();
        let b = Arc::new(b);
        let waits = || {
            let b = b.clone();
            tokio::spawn(async move { b.readable().await })
        };
        let waiting = [waits(), waits(), waits()];
        let peeking = tokio::spawn({
            let b = b.clone();
            async move { b.peek(&mut [0]).await }
        });
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        a.write_all(b"x").await.unwrap();
        for waiting in waiting {
            soon(waiting).await.unwrap().unwrap();
        }
        assert_eq!(soon(peeking).await.unwrap().unwrap(), 1);
    }

    async fn who_waits_no_more_is_forgotten(world: World) {
        let (mut a, b) = world.connected().await;
        world.obey();
        let b = Arc::new(b);
        let waits_for = async |patience| {
            for _ in 0..100 {
                let b = b.clone();
                let waiting = tokio::spawn(async move {
                    // On a socket, the first may find it ready for nothing.
                    let _ = tokio::time::timeout(patience, b.readable()).await;
                });
                soon(waiting).await.unwrap();
            }
        };
        waits_for(Duration::ZERO).await;
        a.write_all(b"x").await.unwrap();
        waits_for(PATIENCE).await;
        assert_eq!(b.end().conn().gate.as_ref().unwrap().waiting_calls(), 0);
    }
}

/// A process under many faults, one after the other, remembers those that stand.
#[tokio::test]
async fn what_has_acted_and_ended_is_told_once() {
    let (gate, engine) = (Gate::new(), Engine::Pipes(Arc::new(Pipes::default())));
    let net = Net::behind(gate.clone(), NetName::new("pipe", "x"), engine);
    let mut world = World::on(SubNetwork::of(net), gate).await;
    let (mut a, mut b) = world.connected().await;
    world.rule("a", "b", Does::Withhold);
    world.obey();
    a.write_all(b"x").await.unwrap();
    assert_eq!(
        b.try_read(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!(world.obey(), [1], "as long as it stands");
    assert_eq!(world.obey(), [1]);
    assert_eq!(world.heal(), [1]);
    assert_eq!(world.obey(), [0; 0]);
    reads(&mut b, b"x").await;
}

/// A host's end is known through the registry, too: not before the others obey.
#[tokio::test]
async fn nobody_learns_of_a_hosts_end_between_an_event_and_its_fault() {
    let gate = Gate::new();
    let mut world = World::on(crate::joining::join_behind(gate.clone()).await, gate).await;
    let name = world.b.network().trim_start_matches("lonet").to_owned();
    let other = crate::join(&name).await.unwrap();
    let c = other.new_host("c").await.unwrap();
    world.gate.fire(5, Then::Tell);
    let (a, b) = (world.a.clone(), world.b.clone());
    let mut closing = Box::pin(async move { tokio::try_join!(b.close(), a.close()) });
    pends(&mut closing).await;
    let dials = c.clone();
    let mut dialing = Box::pin(async move { dials.dial("b:10").await });
    let patience = Duration::from_millis(100);
    let early = tokio::time::timeout(patience, &mut dialing).await;
    assert!(early.is_err(), "{early:?}");
    world.orders.settled = vec![5];
    world.obey();
    soon(closing).await.unwrap();
    assert_eq!(
        soon(dialing).await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
}

/// What watched the arrivals may be gone: a runtime of its own in which a read began.
#[tokio::test]
async fn a_delayed_read_goes_on_in_another_runtime() {
    let gate = Gate::new();
    let mut world = World::on(crate::joining::join_behind(gate.clone()).await, gate).await;
    let (mut a, mut b) = world.connected().await;
    world.rule("a", "b", Does::Delay(1000));
    world.obey();
    let elsewhere = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let read = async { tokio::time::timeout(Duration::from_millis(1), b.read_u8()).await };
        assert!(runtime.block_on(read).is_err());
        b
    });
    let mut b = elsewhere.join().unwrap();
    a.write_all(b"x").await.unwrap();
    reads(&mut b, b"x").await;
}
