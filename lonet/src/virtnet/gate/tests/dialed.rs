//! What a listener announces under orders, at which nothing may be accepted that is kept back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use super::holds::{hold, told};
use super::*;
use crate::trace::Verb;

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl World {
    /// A dial that could be accepted now, and was not announced.
    async fn dialed(&self) {
        soon(std::future::poll_fn(|cx| self.listener.poll_dialed(cx)))
            .await
            .unwrap();
    }

    /// None is announced, whatever else has its turn meanwhile.
    async fn none_dialed(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
            let mut cx = Context::from_waker(Waker::noop());
            assert!(self.listener.poll_dialed(&mut cx).is_pending());
        }
    }

    fn dial(&self) -> tokio::task::JoinHandle<crate::Result<Stream>> {
        let a = self.a.clone();
        tokio::spawn(async move { a.dial("b:10").await })
    }

    async fn accepts(&self, dialing: tokio::task::JoinHandle<crate::Result<Stream>>) {
        let accepted = self.listener.try_accept().unwrap().unwrap();
        let dialed = soon(dialing).await.unwrap().unwrap();
        assert_eq!(accepted.peer_addr(), dialed.local_addr());
    }
}

on_both_engines! {
    async fn a_withheld_dial_is_announced_after_the_heal(world: World) {
        let dialing = world.dial();
        world.dialed().await;
        world.partition();
        // It was announced; an accept finds that it may not have it.
        assert!(world.listener.try_accept().is_none());
        world.none_dialed().await;
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(woken.clone());
        assert!(world.listener.poll_dialed(&mut Context::from_waker(&waker)).is_pending());
        world.heal();
        assert!(woken.0.load(Ordering::SeqCst), "nobody is woken");
        world.dialed().await;
        world.accepts(dialing).await;
        world.none_dialed().await;
    }

    async fn nothing_is_announced_while_nothing_may_pass(world: World) {
        let dialing = world.dial();
        world.dialed().await;
        world.gate.fire(1, Then::Tell);
        assert!(world.listener.try_accept().is_none());
        world.none_dialed().await;
        world.orders.settled = vec![1];
        world.obey();
        world.dialed().await;
        world.accepts(dialing).await;
    }

    async fn a_held_dial_comes_and_is_announced_once_let_go(world: World) {
        let told = told(&world);
        world.holds(vec![hold(1, Verb::Accept, "b", 0)]);
        let dialing = world.dial();
        let comes = soon(async {
            while told.lock().unwrap().is_empty() {
                world.none_dialed().await;
            }
        });
        comes.await;
        assert!(world.listener.try_accept().is_none());
        world.passes(1);
        world.dialed().await;
        world.accepts(dialing).await;
        // Announced and accepted, it is one operation.
        assert_eq!(*told.lock().unwrap(), ["comes 1: b:1 accept a:1", "goes 1"]);
    }

    /// The announcement counts a dial; the accept of that one does not count it again.
    async fn a_hold_counts_each_dial_once(world: World) {
        let told = told(&world);
        world.holds(vec![hold(1, Verb::Accept, "b", 2)]);
        let first = world.dial();
        world.dialed().await;
        world.accepts(first).await;
        assert_eq!(*told.lock().unwrap(), Vec::<String>::new());
        let second = world.dial();
        let comes = soon(async {
            while told.lock().unwrap().is_empty() {
                world.none_dialed().await;
            }
        });
        comes.await;
        world.holds(Vec::new());
        world.dialed().await;
        world.accepts(second).await;
        assert_eq!(*told.lock().unwrap(), ["comes 1: b:1 accept a:1", "goes 1"]);
    }

    async fn a_reset_is_withheld_as_anything_else(world: World) {
        let (mut a, mut b) = world.connected().await;
        a.write_all(b"x").await.unwrap();
        arrived(&b, 1, false).await;
        world.partition();
        a.reset();
        arrived(&b, 1, true).await;
        reads(&mut b, b"x").await;
        let mut one = [0];
        let mut reading = Box::pin(b.read(&mut one));
        pends(&mut reading).await;
        drop(reading);
        assert_eq!(b.try_write(b"y").unwrap_err().kind(), ErrorKind::WouldBlock);
        world.heal();
        assert_eq!(soon(b.read(&mut one)).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }

    async fn a_reset_leaves_once_something_may(world: World) {
        let (a, mut b) = world.connected().await;
        world.gate.fire(1, Then::Tell);
        a.reset();
        for _ in 0..20 {
            tokio::task::yield_now().await;
            assert_eq!(b.end().conn().io.there(), (0, false).into());
        }
        world.orders.settled = vec![1];
        world.obey();
        assert_eq!(soon(b.read(&mut [0])).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}
