//! Whether an end of a connection is ready, under orders.
//!
//! Owns what may be said of the socket's readiness: nothing that has not arrived, nothing that a write
//! may not do.

use std::io;
use std::task::{Context, Poll};

use tokio::io::{Interest, Ready};

use super::waiters::Waiter;
use super::{EndGate, EndState, May};
use crate::virtnet::io::Io;

/// Without the word that a direction has ended, which may not have arrived yet.
fn without_ends(ready: Ready) -> Ready {
    let states = [
        (ready.is_readable(), Ready::READABLE),
        (ready.is_writable(), Ready::WRITABLE),
    ];
    let states = states.into_iter().filter(|(is, _)| *is);
    states.fold(Ready::EMPTY, |all, (_, state)| all | state)
}

impl EndGate {
    pub(in crate::virtnet) fn poll_ready(
        &self,
        io: &Io,
        cx: &mut Context<'_>,
        interest: Interest,
    ) -> Poll<io::Result<()>> {
        let waiter = match interest.is_readable() {
            true => Waiter::Reader,
            false => Waiter::Writer,
        };
        let mut state = self.lock();
        let poll = match self.poll_passes(&mut state, io, cx, interest, waiter) {
            Poll::Ready(None) => Poll::Ready(Ok(())),
            Poll::Ready(Some(interest)) => io.poll_ready(cx, interest),
            Poll::Pending => Poll::Pending,
        };
        self.after(state);
        poll
    }

    /// Which states the socket may be asked for; `None`: it is ready, whatever the socket says.
    fn poll_passes(
        &self,
        state: &mut EndState,
        io: &Io,
        cx: &mut Context<'_>,
        interest: Interest,
        waiter: Waiter,
    ) -> Poll<Option<Interest>> {
        let leaves = state.leaves.as_mut();
        let is_held = leaves.is_some_and(|leaves| !leaves.may_go(&self.gate.standing()));
        let interest = match is_held || (state.write_waits && state.arrivals.is_withheld()) {
            true => interest.remove(Interest::WRITABLE),
            false => Some(interest),
        };
        let Some(interest) = interest else {
            self.waiters.wait(waiter, cx);
            return Poll::Pending;
        };
        if !interest.is_readable() || self.is_free() {
            self.waiters.wait(waiter, cx);
            return match self.gate.is_shut() {
                true => Poll::Pending,
                false => Poll::Ready(Some(interest)),
            };
        }
        match self.poll_may(state, io, cx, waiter) {
            Poll::Ready(May::Get(_)) => Poll::Ready(None),
            Poll::Ready(May::Read(_)) => Poll::Ready(Some(interest)),
            Poll::Pending if interest.is_writable() && !self.gate.is_shut() => {
                Poll::Ready(Some(Interest::WRITABLE))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    pub(in crate::virtnet) async fn ready(&self, io: &Io, interest: Interest) -> io::Result<Ready> {
        let mut readable = std::pin::pin!(io.ready(Interest::READABLE));
        let mut writable = std::pin::pin!(io.ready(Interest::WRITABLE));
        let call = self.waiters.call();
        std::future::poll_fn(|cx| {
            let mut state = self.lock();
            let passes = self.poll_passes(&mut state, io, cx, interest, Waiter::Call(call.number));
            let is_free = state.is_free();
            let ready = passes.map(|passes| {
                let Some(passes) = passes else {
                    return Ok(Ready::READABLE);
                };
                let mut all = Ready::EMPTY;
                if passes.is_readable()
                    && let Poll::Ready(ready) = readable.as_mut().poll(cx)
                {
                    all |= ready?;
                }
                if passes.is_writable()
                    && let Poll::Ready(ready) = writable.as_mut().poll(cx)
                {
                    all |= ready?;
                }
                Ok(all)
            });
            // Under the lock until here: what it has found had arrived before the next order.
            self.after(state);
            match ready {
                Poll::Ready(Ok(ready)) if ready.is_empty() => Poll::Pending,
                Poll::Ready(Ok(ready)) if !is_free => Poll::Ready(Ok(without_ends(ready))),
                ready => ready,
            }
        })
        .await
    }
}
