//! Seccomp user notification (`seccomp_unotify(2)`): a process installs a filter, and another one
//! answers the system calls that the filter names.
//!
//! Owns the system calls that no safe library offers, and with them all `unsafe` of lonet. Which
//! calls are trapped, and what they are answered with, is decided by `lonet-harness`.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Installs a filter for the calling thread and all that it starts, for good, and returns its
/// listener, close-on-exec. From then on the thread can gain no privileges (`no_new_privs`).
/// A trapped caller can be killed, but not interrupted.
///
/// `EBUSY` if a filter of this thread has a listener already; `EINVAL` if the kernel is older than
/// 5.19, or the program invalid.
pub fn install(program: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    nix::sys::prctl::set_no_new_privs()?;
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?,
        filter: program.as_ptr().cast_mut(),
    };
    let set = libc::SECCOMP_SET_MODE_FILTER;
    let new = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let flags = new | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    // SAFETY: pointer and length are those of a live slice, which the kernel copies.
    #[expect(unsafe_code, reason = "seccomp(2) has no safe wrapper")]
    let listener = unsafe { libc::syscall(libc::SYS_seccomp, set, flags, &raw const program) };
    let listener = Errno::result(listener)? as RawFd;
    // SAFETY: the kernel has just made this descriptor, and nothing else knows it.
    #[expect(unsafe_code, reason = "seccomp(2) has no safe wrapper")]
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

/// A trapped call; pointers among its arguments are the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in seccomp_unotify(2)")]
pub struct Notification {
    pub id: u64,
    pub tid: u32,
    pub nr: i32,
    pub args: [u64; 6],
}

/// How a trapped call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It returns this.
    Value(i64),
    /// It fails with this errno.
    Error(i32),
    /// The kernel executes it.
    Continue,
}

/// Where trapped calls arrive: readable if there is one, hung up when no process has the filter.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// The next trapped call, without waiting: `WouldBlock` if there is none.
    pub fn receive(&self) -> io::Result<Notification> {
        // The request would wait for a call, whatever the flags of the descriptor.
        let mut ready = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        poll(&mut ready, PollTimeout::ZERO)?;
        let ready = ready[0].revents().unwrap_or(PollFlags::empty());
        if !ready.contains(PollFlags::POLLIN) {
            return Err(ErrorKind::WouldBlock.into());
        }
        // SAFETY: the structure consists of integers.
        #[expect(unsafe_code, reason = "the kernel wants it zeroed, padding included")]
        let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        match self.ioctl(libc::SECCOMP_IOCTL_NOTIF_RECV, &mut call) {
            // The caller has died meanwhile, and no other one waits.
            Err(Errno::ENOENT) => Err(ErrorKind::WouldBlock.into()),
            received => Ok(received.map(|()| Notification {
                id: call.id,
                tid: call.pid,
                nr: call.data.nr,
                args: call.data.args,
            })?),
        }
    }

    /// Whether the caller still waits. If so, its tid has not become another thread's.
    pub fn is_valid(&self, id: u64) -> bool {
        let valid = self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &mut { id });
        valid.is_ok()
    }

    /// Ends a trapped call: `NotFound` if the caller is dead.
    pub fn answer(&self, id: u64, answer: Answer) -> io::Result<()> {
        let (val, error, flags) = match answer {
            Answer::Value(value) => (value, 0, 0),
            Answer::Error(errno) => (0, -errno, 0),
            Answer::Continue => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        };
        let response = libc::seccomp_notif_resp {
            id,
            val,
            error,
            flags,
        };
        Ok(self.ioctl(libc::SECCOMP_IOCTL_NOTIF_SEND, &mut { response })?)
    }

    /// Ends a trapped call with a new descriptor, a duplicate of `fd`, as its result. Waits until
    /// the caller has taken it; a signal in between loses it, so signals are to be blocked.
    /// `NotFound` if the caller is dead; if it has too many (`EMFILE`), it still waits.
    pub fn hand_in(&self, id: u64, fd: BorrowedFd, close_on_exec: bool) -> io::Result<()> {
        let mut added = libc::seccomp_notif_addfd {
            id,
            flags: libc::SECCOMP_ADDFD_FLAG_SEND as u32,
            srcfd: fd.as_raw_fd().cast_unsigned(),
            newfd: 0,
            newfd_flags: u32::from(close_on_exec) * libc::O_CLOEXEC.cast_unsigned(),
        };
        Ok(self.ioctl(libc::SECCOMP_IOCTL_NOTIF_ADDFD, &mut added)?)
    }

    fn ioctl<T>(&self, request: libc::Ioctl, of: &mut T) -> nix::Result<()> {
        // SAFETY: each caller passes the type that its request is made of; no pointer is kept.
        #[expect(unsafe_code, reason = "these ioctls have no safe wrapper")]
        let done = unsafe { libc::ioctl(self.as_raw_fd(), request, &raw mut *of) };
        Errno::result(done).map(drop)
    }
}

impl From<OwnedFd> for Listener {
    fn from(listener: OwnedFd) -> Listener {
        Listener(listener)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
