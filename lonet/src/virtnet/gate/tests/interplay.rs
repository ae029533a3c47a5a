//! What is held where something else ends it, where who polls it changes, and together with faults.

use tokio::io::Interest;

use super::holds::{hold, told};
use super::*;
use crate::Cause;
use crate::trace::Verb;

/// What a stream's operation failed of.
fn cause<T: std::fmt::Debug>(failed: std::io::Result<T>) -> Cause {
    let error = failed.unwrap_err().downcast::<crate::Error>().unwrap();
    error.cause().clone()
}

on_both_engines! {
    async fn a_held_listen_ends_with_its_host(world: World) {
        world.holds(vec![hold(1, Verb::Listen, "a", 0)]);
        let a = world.a.clone();
        let mut listening = Box::pin(async move { a.listen(":7").await });
        pends(&mut listening).await;
        soon(world.a.close()).await.unwrap();
        assert_eq!(soon(listening).await.unwrap_err().cause(), &Cause::HostDown);
    }

    async fn a_held_dial_ends_with_its_host(world: World) {
        world.holds(vec![hold(1, Verb::Dial, "a", 0)]);
        let a = world.a.clone();
        let mut dialing = Box::pin(async move { a.dial("b:10").await });
        pends(&mut dialing).await;
        soon(world.a.close()).await.unwrap();
        assert_eq!(soon(dialing).await.unwrap_err().cause(), &Cause::HostDown);
    }

    async fn a_held_connect_ends_with_its_host(world: World) {
        world.holds(vec![hold(1, Verb::Connect, "a", 0)]);
        let a = world.a.clone();
        let mut dialing = Box::pin(async move { a.dial("b:10").await });
        let mut accepting = Box::pin(world.listener.accept());
        let both = async {
            tokio::select! {
                _ = &mut dialing => panic!("it is held"),
                accepted = &mut accepting => accepted.unwrap(),
            }
        };
        let accepted = soon(both).await;
        pends(&mut dialing).await;
        soon(world.a.close()).await.unwrap();
        assert_eq!(soon(dialing).await.unwrap_err().cause(), &Cause::HostDown);
        drop(accepted);
    }

    async fn a_held_accept_ends_with_its_listener(world: World) {
        world.holds(vec![hold(1, Verb::Accept, "b", 0)]);
        let a = world.a.clone();
        let mut dialing = Box::pin(async move { a.dial("b:10").await });
        pends(&mut dialing).await;
        let mut accepting = Box::pin(world.listener.accept());
        pends(&mut accepting).await;
        world.listener.close().await.unwrap();
        assert_eq!(soon(accepting).await.unwrap_err().cause(), &Cause::SocketDown);
        assert_eq!(soon(dialing).await.unwrap_err().cause(), &Cause::ConnectionRefused);
    }

    async fn a_held_accept_ends_with_its_host(world: World) {
        world.holds(vec![hold(1, Verb::Accept, "b", 0)]);
        let a = world.a.clone();
        let mut dialing = Box::pin(async move { a.dial("b:10").await });
        pends(&mut dialing).await;
        let mut accepting = Box::pin(world.listener.accept());
        pends(&mut accepting).await;
        soon(world.b.close()).await.unwrap();
        assert_eq!(soon(accepting).await.unwrap_err().cause(), &Cause::HostDown);
        assert_eq!(soon(dialing).await.unwrap_err().cause(), &Cause::ConnectionRefused);
    }

    /// Each waits in a task of its own, so that only what wakes it helps.
    async fn what_is_held_at_a_stream_ends_with_its_host(world: World) {
        for verb in [Verb::Send, Verb::Shutdown, Verb::Recv] {
            for ready in [false, true] {
                let (a, mut b) = world.connected().await;
                b.write_all(b"x").await.unwrap();
                arrived(&a, 1, false).await;
                world.holds(vec![hold(1, verb, "a", 0)]);
                let told = told(&world);
                let (mut reads, mut writes) = a.into_split();
                let waiting = tokio::spawn(async move {
                    match (verb, ready) {
                        (Verb::Send, false) => writes.write(b"y").await.map(drop),
                        (Verb::Send, true) => {
                            writes.try_write(b"y").unwrap_err();
                            writes.writable().await?;
                            writes.try_write(b"y").map(drop)
                        }
                        (Verb::Shutdown, _) => writes.shutdown().await,
                        (_, false) => reads.read(&mut [0]).await.map(drop),
                        (_, true) => {
                            reads.ready(Interest::READABLE).await?;
                            reads.try_read(&mut [0]).map(drop)
                        }
                    }
                });
                soon(async {
                    while told.lock().unwrap().is_empty() {
                        tokio::task::yield_now().await;
                    }
                })
                .await;
                soon(world.a.close()).await.unwrap();
                let ended = tokio::time::timeout(Duration::from_secs(3), waiting).await;
                let ended = ended.unwrap_or_else(|_| panic!("{verb} {ready} waits for ever"));
                assert_eq!(cause(ended.unwrap()), Cause::HostDown, "{verb} {ready}");
                world.holds(Vec::new());
                world.a = world._net.new_host("a").await.unwrap();
                drop(b);
            }
        }
    }

    /// The same of what a fault withholds.
    async fn a_withheld_read_ends_with_its_host(world: World) {
        let (mut a, mut b) = world.connected().await;
        world.partition();
        b.write_all(b"x").await.unwrap();
        arrived(&a, 1, false).await;
        let waiting = tokio::spawn(async move { a.read(&mut [0]).await });
        while !world.obey().contains(&2) {
            tokio::task::yield_now().await;
        }
        // It has looked again, and waits.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        soon(world.a.close()).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(3), waiting).await.expect("it hangs");
        assert_eq!(cause(ended.unwrap()), Cause::HostDown);
    }

    /// What a partition keeps away has not come to a hold.
    async fn a_withheld_dialer_has_not_come_to_its_accept(world: World) {
        let told = told(&world);
        let a = world.a.clone();
        let mut dialing = Box::pin(async move { a.dial("b:10").await });
        pends(&mut dialing).await;
        world.orders.holds = vec![hold(9, Verb::Accept, "b", 1)];
        world.partition();
        // It may not have been in the queue before.
        for _ in 0..5 {
            pends(&mut dialing).await;
            pends(&mut Box::pin(world.listener.accept())).await;
        }
        assert_eq!(told.lock().unwrap().len(), 0);
        world.heal();
        soon(async {
            while told.lock().unwrap().is_empty() {
                pends(&mut dialing).await;
                pends(&mut Box::pin(world.listener.accept())).await;
            }
        })
        .await;
        world.holds(Vec::new());
        let _both = soon(async { tokio::try_join!(dialing, world.listener.accept()) }).await.unwrap();
    }

    /// The reset of a fault is held as any other is, and comes once it is released.
    async fn a_reset_is_held_and_comes_after_the_release(world: World) {
        let told = told(&world);
        let (a, b) = world.connected().await;
        world.holds(vec![hold(9, Verb::Recv, "b", 0)]);
        let reading = tokio::spawn(async move { let mut b = b; (b.read(&mut [0]).await, b) });
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        world.rule("a", "b", Does::Reset);
        world.rule("b", "a", Does::Reset);
        world.orders.rules[1].fault = 1;
        for rule in &mut world.orders.rules {
            rule.event = None;
        }
        world.obey();
        for rule in &mut world.orders.rules {
            rule.event = Some(EventId::from((0, 9)));
        }
        world.obey();
        soon(async {
            while told.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(!reading.is_finished());
        world.holds(Vec::new());
        let (read, _b) = soon(reading).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
        drop(a);
    }
}
