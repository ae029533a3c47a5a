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

    /// Polled by one task, then by another: the other one is woken.
    async fn a_held_write_wakes_who_polled_last(world: World) {
        let (mut a, mut b) = world.connected().await;
        world.holds(vec![hold(1, Verb::Send, "a", 0)]);
        let mut writing = Box::pin(async move { a.write_all(b"xy").await.map(|()| a) });
        pends(&mut writing).await;
        let writing = tokio::spawn(writing);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        world.holds(Vec::new());
        let a = soon(writing).await.unwrap().unwrap();
        reads(&mut b, b"xy").await;
        drop(a);
    }

    /// A write that was given up is not the next one, though both have come to the same hold.
    async fn a_held_write_that_is_given_up_comes_again(world: World) {
        let told = told(&world);
        let (mut a, mut b) = world.connected().await;
        world.holds(vec![hold(1, Verb::Send, "a", 0)]);
        for _ in 0..3 {
            let write = tokio::time::timeout(Duration::from_millis(1), a.write_all(b"lost"));
            assert!(write.await.is_err());
        }
        let mut writing = Box::pin(async move { a.write_all(b"xy").await.map(|()| a) });
        pends(&mut writing).await;
        world.holds(Vec::new());
        drop(soon(writing).await.unwrap());
        let mut all = Vec::new();
        soon(b.read_to_end(&mut all)).await.unwrap();
        assert_eq!(all, b"xy");
        assert_eq!(told.lock().unwrap().last().unwrap(), "goes 1");
    }

    /// One that was let go and pends, since the buffers are full, is not what comes after.
    async fn a_write_that_is_given_up_after_its_release_frees_no_other(world: World) {
        let (mut a, mut b) = world.connected().await;
        world.holds(vec![hold(1, Verb::Send, "a", 0)]);
        let full = vec![7; 16 << 20];
        let mut writing = Box::pin(a.write_all(&full));
        pends(&mut writing).await;
        world.holds(Vec::new());
        pends(&mut writing).await;
        drop(writing);
        world.holds(vec![hold(2, Verb::Send, "a", 0)]);
        let mut all = Vec::new();
        let mut writing = Box::pin(async move { a.write_all(b"xy").await.map(|()| a) });
        pends(&mut writing).await;
        // Room is made.
        let draining = async {
            let mut some = vec![0; 1 << 20];
            while let Ok(Ok(n @ 1..)) =
                tokio::time::timeout(Duration::from_millis(200), b.read(&mut some)).await
            {
                all.extend_from_slice(&some[..n]);
            }
        };
        tokio::select! {
            _ = &mut writing => panic!("it is held"),
            () = draining => {}
        }
        assert!(!all.contains(&b'x'));
        world.holds(Vec::new());
        drop(soon(writing).await.unwrap());
        all.clear();
        soon(b.read_to_end(&mut all)).await.unwrap();
        assert_eq!(all, b"xy");
    }

    async fn both_halves_wake(world: World) {
        let (a, mut b) = world.connected().await;
        b.write_all(b"z").await.unwrap();
        arrived(&a, 1, false).await;
        let told = told(&world);
        world.holds(vec![hold(1, Verb::Send, "a", 0), hold(2, Verb::Recv, "a", 0)]);
        let (mut r, mut w) = a.into_split();
        let reading = tokio::spawn(async move { r.read_u8().await });
        let writing = tokio::spawn(async move { w.write_all(b"xy").await.map(|()| w) });
        soon(async {
            while told.lock().unwrap().len() < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        world.holds(Vec::new());
        assert_eq!(soon(reading).await.unwrap().unwrap(), b'z');
        let w = soon(writing).await.unwrap().unwrap();
        reads(&mut b, b"xy").await;
        drop(w);
    }

    async fn copying_both_ways_goes_on(world: World) {
        let (mut a, b) = world.connected().await;
        let (mut c, d) = world.connected().await;
        let copying = tokio::spawn(async move {
            let (mut b, mut d) = (b, d);
            tokio::io::copy_bidirectional(&mut b, &mut d).await
        });
        for verb in [Verb::Send, Verb::Recv, Verb::Shutdown] {
            for host in ["a", "b"] {
                let told = told(&world);
                world.holds(vec![hold(1, verb, host, 0)]);
                let (a, c) = (&mut a, &mut c);
                let going = async {
                    tokio::try_join!(
                        async { a.write_all(b"ping").await?; a.read_exact(&mut [0; 4]).await.map(drop) },
                        async { c.write_all(b"pong").await?; c.read_exact(&mut [0; 4]).await.map(drop) },
                    )
                };
                let mut going = Box::pin(going);
                if verb != Verb::Shutdown {
                    soon(async {
                        while told.lock().unwrap().is_empty() {
                            pends(&mut going).await;
                        }
                    })
                    .await;
                }
                world.holds(Vec::new());
                soon(going).await.unwrap();
            }
        }
        world.holds(vec![hold(1, Verb::Shutdown, "b", 0)]);
        a.shutdown().await.unwrap();
        c.shutdown().await.unwrap();
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert!(!copying.is_finished());
        world.holds(Vec::new());
        soon(copying).await.unwrap().unwrap();
        assert_eq!(soon(a.read(&mut [0])).await.unwrap(), 0);
        assert_eq!(soon(c.read(&mut [0])).await.unwrap(), 0);
    }

    /// An attempt that is refused is woken again only by the release: no loop spins.
    async fn who_waits_to_write_does_not_spin(world: World) {
        let (a, mut b) = world.connected().await;
        world.holds(vec![hold(1, Verb::Send, "a", 0)]);
        let tries = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counts = tries.clone();
        let writing = tokio::spawn(async move {
            loop {
                let ready = a.ready(Interest::WRITABLE | Interest::READABLE).await.unwrap();
                counts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if ready.is_readable() {
                    // Readiness may be out of date; this attempt clears it.
                    a.try_read(&mut [0]).unwrap_err();
                }
                if ready.is_writable() && a.try_write(b"x").is_ok() {
                    return a;
                }
            }
        });
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        let spun = tries.load(std::sync::atomic::Ordering::Relaxed);
        assert!(spun < 5, "{spun}");
        world.holds(Vec::new());
        let a = soon(writing).await.unwrap();
        reads(&mut b, b"x").await;
        drop(a);
    }

    async fn who_waits_to_read_does_not_spin(world: World) {
        let (mut a, b) = world.connected().await;
        a.write_all(b"x").await.unwrap();
        arrived(&b, 1, false).await;
        world.holds(vec![hold(1, Verb::Recv, "b", 0)]);
        let tries = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counts = tries.clone();
        let reading = tokio::spawn(async move {
            loop {
                let ready = b.ready(Interest::READABLE).await.unwrap();
                counts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if ready.is_readable() && b.try_read(&mut [0]).is_ok() {
                    return b;
                }
            }
        });
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        let spun = tries.load(std::sync::atomic::Ordering::Relaxed);
        assert!(spun < 5, "{spun}");
        world.holds(Vec::new());
        drop(soon(reading).await.unwrap());
    }

    async fn a_vectored_write_is_one_event(world: World) {
        let told = told(&world);
        let (mut a, mut b) = world.connected().await;
        world.holds(vec![hold(1, Verb::Send, "a", 0)]);
        let mut writing = Box::pin(async move {
            let bufs = [std::io::IoSlice::new(b"x"), std::io::IoSlice::new(b"yz")];
            a.write_vectored(&bufs).await.map(|n| (n, a))
        });
        pends(&mut writing).await;
        world.passes(1);
        let (n, a) = soon(writing).await.unwrap();
        assert_eq!(n, 3);
        reads(&mut b, b"xyz").await;
        assert_eq!(*told.lock().unwrap(), ["comes 1: a:1 send b:1", "goes 1"]);
        drop(a);
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

    /// A partition that begins while an arrival is held does not take it back; one that stands is not
    /// passed by a release.
    async fn a_hold_and_a_partition_add_up(world: World) {
        let (mut a, b) = world.connected().await;
        a.write_all(b"x").await.unwrap();
        arrived(&b, 1, false).await;
        let told = told(&world);
        world.holds(vec![hold(9, Verb::Recv, "b", 0)]);
        let reading = tokio::spawn(async move {
            let mut b = b;
            let mut two = [0; 2];
            b.read_exact(&mut two).await.map(|_| two)
        });
        soon(async {
            while told.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        world.partition();
        a.write_all(b"y").await.unwrap();
        for _ in 0..20 { tokio::task::yield_now().await; }
        world.holds(Vec::new());
        for _ in 0..20 { tokio::task::yield_now().await; }
        assert!(!reading.is_finished());
        world.orders.holds = vec![hold(10, Verb::Recv, "b", 0)];
        world.obey();
        let before = told.lock().unwrap().len();
        for _ in 0..20 { tokio::task::yield_now().await; }
        // Withheld, not held.
        assert_eq!(told.lock().unwrap().len(), before);
        world.heal();
        soon(async {
            while told.lock().unwrap().len() == before {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(!reading.is_finished());
        world.holds(Vec::new());
        assert_eq!(&soon(reading).await.unwrap().unwrap(), b"xy");
    }
}
