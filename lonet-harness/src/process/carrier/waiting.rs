//! A call that waits: what ends its waiting beside what it waits for.
//!
//! Owns the socket's own time limit and the signals of the thread that calls. The kernel lets no
//! signal interrupt a call that the carrier has, unless it kills: so the carrier looks.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::net::sockopt::{self, Timeout};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::trap::{Signalled, Trap};

/// Has the runtime say when a descriptor can be read.
pub(super) fn watched<T: AsRawFd>(descriptor: T) -> io::Result<AsyncFd<T>> {
    watched_for(descriptor, Interest::READABLE)
}

/// Has the runtime say when a descriptor can be read or written.
#[expect(
    deprecated,
    reason = "what replaces it is unsafe, for types whose descriptor may change: none here does"
)]
pub(super) fn watched_for<T: AsRawFd>(descriptor: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(descriptor, interest)
}

/// How long a call may wait that nothing limits.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// When it is looked first whether the thread has a signal; then after twice as long each time, since
/// a hundred threads may wait for hours.
const FIRST_LOOK: Duration = Duration::from_millis(10);

/// No longer than this a signal waits.
const LAST_LOOK: Duration = Duration::from_millis(80);

/// How long a call on a socket may wait.
pub(super) struct Waiting {
    is_nonblocking: bool,
    is_limited: bool,
    until: Instant,
    look_after: Duration,
    was_signalled: bool,
}

/// Why a call waits no longer.
pub(super) enum Over {
    /// Its caller is gone.
    Gone(Trap),
    /// The time is over.
    Late(Trap),
    /// It is interrupted, and the kernel calls it again where the program wants that.
    Restart(Trap),
    /// It is interrupted.
    Interrupted(Trap),
}

impl Over {
    pub(super) fn trap(self) -> Trap {
        match self {
            Over::Gone(trap) | Over::Late(trap) => trap,
            Over::Restart(trap) | Over::Interrupted(trap) => trap,
        }
    }

    /// What the call returns; a time limit is that of one that receives.
    pub(super) fn answer(self) {
        match self {
            Over::Gone(trap) => trap.error(Errno::EINTR),
            Over::Late(trap) => trap.error(Errno::EAGAIN),
            Over::Restart(trap) => trap.restart(),
            Over::Interrupted(trap) => trap.error(Errno::EINTR),
        }
    }
}

impl Waiting {
    pub(super) fn of(socket: &OwnedFd, limit: Timeout) -> Waiting {
        let flags = fcntl(socket, FcntlArg::F_GETFL).unwrap_or_default();
        let limit = sockopt::socket_timeout(socket, limit).ok().flatten();
        Waiting {
            is_nonblocking: OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK),
            is_limited: limit.is_some(),
            until: Instant::now() + limit.unwrap_or(FOREVER),
            look_after: FIRST_LOOK,
            was_signalled: false,
        }
    }

    pub(super) fn is_nonblocking(&self) -> bool {
        self.is_nonblocking
    }

    /// Waits for news.
    ///
    /// # Errors
    ///
    /// The call is over.
    pub(super) async fn wait<F: Future + Unpin>(
        &mut self,
        trap: Trap,
        mut news: F,
    ) -> Result<(Trap, F::Output), Over> {
        loop {
            let look = Instant::now() + self.look_after;
            tokio::select! {
                biased;
                news = &mut news => return Ok((trap, news)),
                () = tokio::time::sleep_until(look.min(self.until)) => {}
            }
            if Instant::now() >= self.until {
                return Err(Over::Late(trap));
            }
            if !trap.is_valid() {
                return Err(Over::Gone(trap));
            }
            match trap.pending_signal() {
                None => {
                    self.was_signalled = false;
                    self.look_after = (self.look_after * 2).min(LAST_LOOK);
                }
                // As the kernel does, which would not know how much time is left.
                Some(Signalled::Surely) if self.is_limited => {
                    return Err(Over::Interrupted(trap));
                }
                // This thread is sure to handle it.
                Some(Signalled::Surely) => return Err(Over::Restart(trap)),
                Some(Signalled::Perhaps) if self.was_signalled => {
                    return Err(Over::Interrupted(trap));
                }
                Some(Signalled::Perhaps) => {
                    self.was_signalled = true;
                    self.look_after = FIRST_LOOK;
                }
            }
        }
    }
}
