//! The handshake of TLS on a connection that was accepted.
//!
//! Owns which task makes it, and which it wakes: a task of its own makes it, so that the peer's dial
//! does not wait for the first read or write here. If that task's runtime ends, the next read or
//! write continues it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio_rustls::{Accept, server};

use crate::networker::NetStream;

/// A handshake under way. Dropping it drops the connection.
pub(super) struct Handshake<S> {
    shared: Arc<Shared<S>>,
    task: Option<AbortHandle>,
}

/// What its task, which does not keep it, and the connection's holder share.
struct Shared<S> {
    state: Mutex<State<S>>,
    wakers: Arc<Wakers>,
}

struct State<S> {
    progress: Progress<S>,
    /// Whether a task is at it.
    driven: bool,
}

enum Progress<S> {
    Pending(Accept<S>),
    Done(io::Result<server::TlsStream<S>>),
    Taken,
}

/// What waits for it. Each has a place, as the halves of a connection may be in different tasks.
#[derive(Clone, Copy)]
pub(super) enum Who {
    Task,
    Reader,
    Writer,
}

/// Wakes everything that waits.
#[derive(Default)]
struct Wakers(Mutex<[Option<Waker>; 3]>);

impl Wakers {
    fn lock(&self) -> MutexGuard<'_, [Option<Waker>; 3]> {
        // Nothing under this lock can leave the places half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        let wakers = std::mem::take(&mut *self.lock());
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
    }
}

impl<S: NetStream> Handshake<S> {
    /// Begins it.
    pub(super) fn begin(accept: Accept<S>) -> Handshake<S> {
        let runtime = Handle::try_current().ok();
        let state = State {
            progress: Progress::Pending(accept),
            driven: runtime.is_some(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            wakers: Arc::default(),
        });
        let task = runtime.map(|runtime| {
            let driver = Driver(Arc::downgrade(&shared));
            runtime.spawn(driver).abort_handle()
        });
        Handshake { shared, task }
    }

    /// Waits until it is made, and gives what came of it.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        who: Who,
    ) -> Poll<io::Result<server::TlsStream<S>>> {
        ready!(self.shared.poll(cx, who));
        match std::mem::replace(&mut self.shared.lock().progress, Progress::Taken) {
            Progress::Done(done) => Poll::Ready(done),
            Progress::Pending(_) | Progress::Taken => unreachable!("it is done, and taken once"),
        }
    }

    /// Ends writing, unless the handshake is made: a peer that never makes it gets a plain EOF.
    pub(super) fn poll_plain_shutdown(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Option<Poll<io::Result<()>>> {
        match &mut self.shared.lock().progress {
            Progress::Pending(accept) => Some(match accept.get_mut() {
                Some(inner) => Pin::new(inner).poll_shutdown(cx),
                None => Poll::Ready(Ok(())),
            }),
            Progress::Done(_) | Progress::Taken => None,
        }
    }
}

impl<S> Drop for Handshake<S> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        // A panic of the handshake leaves it where no further poll makes it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: NetStream> Shared<S> {
    fn poll(&self, cx: &Context<'_>, who: Who) -> Poll<()> {
        let mut state = self.lock();
        let State { progress, driven } = &mut *state;
        let Progress::Pending(accept) = progress else {
            return Poll::Ready(());
        };
        self.wakers.lock()[who as usize] = Some(cx.waker().clone());
        if *driven && !matches!(who, Who::Task) {
            return Poll::Pending;
        }
        let waker = Waker::from(self.wakers.clone());
        let done = ready!(Pin::new(accept).poll(&mut Context::from_waker(&waker)));
        *progress = Progress::Done(done);
        drop(state);
        waker.wake();
        Poll::Ready(())
    }
}

/// The task that makes it.
struct Driver<S: NetStream>(Weak<Shared<S>>);

impl<S: NetStream> Future for Driver<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.0.upgrade() {
            Some(shared) => shared.poll(cx, Who::Task),
            None => Poll::Ready(()),
        }
    }
}

impl<S: NetStream> Drop for Driver<S> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.lock().driven = false;
            shared.wakers.clone().wake();
        }
    }
}
