//! One trapped system call of a carried program, and how it is answered.
//!
//! Owns the way from a notification to the caller's memory and descriptors, and back. What a call
//! is answered with is not decided here.
//!
//! A notification names the calling thread as this process's PID namespace numbers it; `/proc` may
//! be of another namespace, where the same number is another process. A pidfd leads from one to
//! the other. It could still be of a later process with the same number: nothing that was read or
//! taken counts before the kernel has said that the caller still waits, and nothing is written before
//! it has.

use std::cell::{Cell, OnceCell};
use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use lonet_seccomp::{Answer, Listener, Notification};
use nix::errno::Errno;
use nix::libc;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd;
use rustix::net::{AddressFamily, SocketType, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::filter;

/// `PIDFD_THREAD`: of a thread rather than of a process. Linux has it since 6.9.
const PIDFD_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());

/// What restarts a call once a signal's handler has run; programs never see it.
const ERESTARTSYS: i32 = 512;

/// No address is longer (`sizeof(struct sockaddr_storage)`).
const ADDRESS_MAX: usize = 128;
/// `sizeof(struct sockaddr_in)`.
const V4_LEN: usize = 16;
/// `sizeof(struct sockaddr_in6)`.
const V6_LEN: usize = 28;
/// Without the scope, as in RFC 2133: the kernel takes these, too.
const V6_SHORT_LEN: usize = 24;

/// Pages are at least so large; memory can end between two of them.
const PAGE: u64 = 4096;

/// A trapped call. Dropped without an answer, it fails with `ENOSYS`, so that no program hangs.
#[derive(Debug)]
pub(super) struct Trap {
    listener: Arc<Listener>,
    notification: Notification,
    /// Found when it is needed first.
    caller: OnceCell<Result<Caller, Errno>>,
    answered: Cell<bool>,
}

/// Which call is trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Connect,
    Bind,
    Listen,
    /// `accept4`'s flags; `accept` has none.
    Accept {
        flags: i32,
    },
    SockName,
    PeerName,
    Shutdown,
    /// For reading. Its arguments are those of `openat`, also if it is an `open`.
    Open,
}

/// An address as a program gives it to `connect` or `bind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sockaddr {
    Inet(SocketAddr),
    /// `AF_UNSPEC`: to `connect`, it means to disconnect.
    Unspec,
    /// Without the NUL that ends it; an abstract name begins with one.
    Unix(Vec<u8>),
    /// Of that family.
    Other(u16),
}

/// Whether a socket is the carrier's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// TCP's: it is.
    Inet,
    /// The kernel goes on with it: it leads to no network.
    Local,
    /// Neither: the program can't make one, but receive it from a process outside of the scenario.
    Foreign,
}

/// A signal that the caller has not handled yet, since it is trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signalled {
    /// The calling thread handles it as soon as its call returns.
    Surely,
    /// Another thread of the process may handle it.
    Perhaps,
}

/// The thread that waits for the answer.
#[derive(Debug)]
struct Caller {
    pidfd: OwnedFd,
    /// As `/proc` numbers it.
    tid: u32,
    memory: OnceCell<File>,
}

impl Trap {
    /// The next trapped call, without waiting; `None` if there is none now.
    pub(super) fn receive(listener: &Arc<Listener>) -> io::Result<Option<Trap>> {
        loop {
            let notification = match listener.receive() {
                Ok(notification) => notification,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if listener.is_valid(notification.id) {
                return Ok(Some(Trap {
                    listener: listener.clone(),
                    notification,
                    caller: OnceCell::new(),
                    answered: Cell::new(false),
                }));
            }
        }
    }

    pub(super) fn call(&self) -> Call {
        match i64::from(self.notification.nr) {
            libc::SYS_connect => Call::Connect,
            libc::SYS_bind => Call::Bind,
            libc::SYS_listen => Call::Listen,
            libc::SYS_accept => Call::Accept { flags: 0 },
            libc::SYS_accept4 => Call::Accept {
                flags: int(self.notification.args[3]),
            },
            libc::SYS_getsockname => Call::SockName,
            libc::SYS_getpeername => Call::PeerName,
            libc::SYS_shutdown => Call::Shutdown,
            // The filter traps nothing else.
            _ => Call::Open,
        }
    }

    /// The call's argument of that number, from 0 on.
    pub(super) fn arg(&self, n: usize) -> u64 {
        let args = &self.notification.args;
        #[cfg(target_arch = "x86_64")]
        if i64::from(self.notification.nr) == libc::SYS_open {
            return match n {
                0 => i64::from(libc::AT_FDCWD).cast_unsigned(),
                n => args[n - 1],
            };
        }
        args[n]
    }

    /// The calling thread, as `/proc` shows it.
    pub(super) fn tid(&self) -> Result<u32, Errno> {
        let tid = self.caller()?.tid;
        self.alive()?;
        Ok(tid)
    }

    /// A duplicate of the caller's descriptor.
    ///
    /// # Errors
    ///
    /// `EBADF` if it has none of that number; others if this process may not look into the caller.
    pub(super) fn socket(&mut self, fd_arg: usize) -> Result<OwnedFd, Errno> {
        let fd = int(self.arg(fd_arg));
        if fd < 0 {
            return Err(Errno::EBADF);
        }
        let caller = self.caller()?;
        let duplicate = pidfd_getfd(&caller.pidfd, fd, PidfdGetfdFlags::empty());
        // If the caller is dead, this is of what another of its threads has executed since.
        self.alive()?;
        duplicate.map_err(from_rustix)
    }

    /// The address that a call gives.
    ///
    /// # Errors
    ///
    /// As the kernel's: `EINVAL` for a length that can't be, `EFAULT` for a bad pointer.
    pub(super) fn address(&mut self, ptr_arg: usize, len_arg: usize) -> Result<Sockaddr, Errno> {
        let len = usize::try_from(int(self.arg(len_arg))).map_err(|_| Errno::EINVAL)?;
        if len > ADDRESS_MAX {
            return Err(Errno::EINVAL);
        }
        let mut bytes = [0; ADDRESS_MAX];
        let pointer = self.arg(ptr_arg);
        self.read(pointer, &mut bytes[..len])?;
        sockaddr(&bytes[..len])
    }

    /// The path that a call gives, without the NUL that ends it.
    ///
    /// # Errors
    ///
    /// As the kernel's: `ENAMETOOLONG`, `EFAULT`.
    pub(super) fn path(&mut self, ptr_arg: usize) -> Result<Vec<u8>, Errno> {
        let limit = usize::try_from(libc::PATH_MAX).expect("PATH_MAX is positive");
        let mut pointer = self.arg(ptr_arg);
        let mut path = Vec::new();
        while path.len() < limit {
            let in_page = usize::try_from(PAGE - pointer % PAGE).expect("a page is small");
            let start = path.len();
            path.resize(limit.min(start + in_page), 0);
            self.read(pointer, &mut path[start..])?;
            if let Some(end) = path[start..].iter().position(|&byte| byte == 0) {
                path.truncate(start + end);
                return Ok(path);
            }
            pointer = pointer.wrapping_add(in_page as u64);
        }
        Err(Errno::ENAMETOOLONG)
    }

    /// Writes an address to where a call wants it, as the kernel does: what has no room is cut
    /// off, and the length is that of the whole. Writes nothing where `accept` wants none.
    ///
    /// # Errors
    ///
    /// As the kernel's: `EINVAL` for a negative length, `EFAULT` for a bad pointer.
    pub(super) fn put_address(
        &mut self,
        ptr_arg: usize,
        lenptr_arg: usize,
        address: SocketAddr,
        is_v6: bool,
    ) -> Result<(), Errno> {
        let (pointer, len_pointer) = (self.arg(ptr_arg), self.arg(lenptr_arg));
        if pointer == 0 && matches!(self.call(), Call::Accept { .. }) {
            return Ok(());
        }
        let bytes = to_sockaddr(address, is_v6);
        let mut len = [0; 4];
        self.read(len_pointer, &mut len)?;
        let room = usize::try_from(i32::from_ne_bytes(len)).map_err(|_| Errno::EINVAL)?;
        self.write(pointer, &bytes[..room.min(bytes.len())])?;
        let len = u32::try_from(bytes.len()).expect("an address is short");
        self.write(len_pointer, &len.to_ne_bytes())
    }

    /// A signal that waits for this call to end.
    pub(super) fn pending_signal(&self) -> Option<Signalled> {
        let tid = self.tid().ok()?;
        let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
        signalled(&status).or_else(|| others_stopped(tid).then_some(Signalled::Surely))
    }

    /// Whether the caller still waits for its answer; if not, it is dead.
    pub(super) fn is_valid(&self) -> bool {
        self.listener.is_valid(self.notification.id)
    }

    /// The call returns this.
    pub(super) fn value(self, value: i64) {
        self.answer(Answer::Value(value));
    }

    /// The call fails.
    pub(super) fn error(self, errno: Errno) {
        self.answer(Answer::Error(errno as i32));
    }

    /// The kernel executes the call. For sockets of [`Kind::Local`] only.
    pub(super) fn cont(self) {
        self.answer(Answer::Continue);
    }

    /// The caller is not to go on: its process is about to be killed.
    pub(super) fn abandon(self) {
        self.answered.set(true);
    }

    /// The caller handles its signal; then it calls again or sees `EINTR`, as the handler says.
    /// Only if a signal is [`Signalled::Surely`].
    pub(super) fn restart(self) {
        self.answer(Answer::Error(ERESTARTSYS));
    }

    /// The call returns a new descriptor of the caller's, a duplicate of this one. To be called
    /// by a thread that blocks signals.
    ///
    /// # Errors
    ///
    /// `ESRCH` if the caller is dead; if it can't have the descriptor (`EMFILE`), its call fails
    /// with the same.
    pub(super) fn hand_in(self, fd: BorrowedFd, cloexec: bool) -> Result<(), Errno> {
        let handed = self.listener.hand_in(self.notification.id, fd, cloexec);
        match handed.map_err(errno) {
            Ok(()) => {
                self.answered.set(true);
                Ok(())
            }
            Err(Errno::ENOENT) => Err(Errno::ESRCH),
            Err(errno) => {
                self.answer(Answer::Error(errno as i32));
                Err(errno)
            }
        }
    }

    fn answer(&self, answer: Answer) {
        // That the caller is dead is all that can go wrong, and then it wants no answer.
        let _ = self.listener.answer(self.notification.id, answer);
        self.answered.set(true);
    }

    fn caller(&self) -> Result<&Caller, Errno> {
        let find = || Caller::find(self.notification.tid);
        self.caller
            .get_or_init(find)
            .as_ref()
            .map_err(|&errno| errno)
    }

    fn alive(&self) -> Result<(), Errno> {
        self.is_valid().then_some(()).ok_or(Errno::ESRCH)
    }

    /// The caller's memory, which is its own for sure, to write to.
    fn memory(&self) -> Result<&File, Errno> {
        let caller = self.caller()?;
        if let Some(memory) = caller.memory.get() {
            return Ok(memory);
        }
        let path = format!("/proc/{}/mem", caller.tid);
        let memory = File::options().write(true).open(path).map_err(errno);
        self.alive()?;
        let memory = memory?;
        Ok(caller.memory.get_or_init(|| memory))
    }

    fn read(&self, pointer: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        let len = bytes.len();
        let base = usize::try_from(pointer).map_err(|_| Errno::EFAULT)?;
        if len == 0 {
            return Ok(());
        }
        let tid = unistd::Pid::from_raw(self.notification.tid.cast_signed());
        let from = [RemoteIoVec { base, len }];
        let read = process_vm_readv(tid, &mut [IoSliceMut::new(bytes)], &from);
        // If the caller is dead, it was another's memory.
        self.alive()?;
        match read {
            Ok(read) if read == len => Ok(()),
            Ok(_) => Err(Errno::EFAULT),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, pointer: u64, bytes: &[u8]) -> Result<(), Errno> {
        match bytes {
            [] => Ok(()),
            bytes => self
                .memory()?
                .write_all_at(bytes, pointer)
                .map_err(|_| Errno::EFAULT),
        }
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        if !self.answered.get() {
            self.answer(Answer::Error(libc::ENOSYS));
        }
    }
}

impl Caller {
    fn find(tid: u32) -> Result<Caller, Errno> {
        let pidfd = match pidfd_open(pid(tid)?, PIDFD_THREAD) {
            Err(rustix::io::Errno::INVAL) => return Caller::of_process(tid),
            pidfd => pidfd.map_err(from_rustix)?,
        };
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()));
        let info = info.map_err(errno)?;
        let tid = field(&info, "Pid").and_then(|tid| tid.parse().ok());
        Ok(Caller {
            pidfd,
            // 0 is of a process that `/proc` does not show, -1 of one that is reaped.
            tid: tid.filter(|&tid| tid != 0).ok_or(Errno::ESRCH)?,
            memory: OnceCell::new(),
        })
    }

    /// Before Linux 6.9: only processes have pidfds, and scenarios no PID namespace.
    fn of_process(tid: u32) -> Result<Caller, Errno> {
        let process = pid(tgid(tid).ok_or(Errno::ESRCH)?)?;
        let pidfd = pidfd_open(process, PidfdFlags::empty()).map_err(from_rustix)?;
        Ok(Caller {
            pidfd,
            tid,
            memory: OnceCell::new(),
        })
    }
}

fn pid(tid: u32) -> Result<Pid, Errno> {
    let pid = i32::try_from(tid).ok().and_then(Pid::from_raw);
    pid.ok_or(Errno::ESRCH)
}

/// By the socket itself rather than by an address, which can change.
///
/// # Errors
///
/// `ENOTSOCK`.
pub(super) fn kind(socket: &OwnedFd) -> Result<Kind, Errno> {
    let family = sockopt::socket_domain(socket).map_err(from_rustix)?;
    if filter::FAMILIES.contains(&i32::from(family.as_raw())) {
        return Ok(Kind::Local);
    }
    let is_stream = sockopt::socket_type(socket).map_err(from_rustix)? == SocketType::STREAM;
    match family {
        AddressFamily::INET | AddressFamily::INET6 if is_stream => Ok(Kind::Inet),
        _ => Ok(Kind::Foreign),
    }
}

/// Whether a socket is one for IPv6 addresses.
pub(super) fn is_v6(socket: &OwnedFd) -> bool {
    sockopt::socket_domain(socket).is_ok_and(|domain| domain == AddressFamily::INET6)
}

/// The kernel takes the lower half of what it declares as an `int`.
fn int(argument: u64) -> i32 {
    argument as i32
}

fn sockaddr(bytes: &[u8]) -> Result<Sockaddr, Errno> {
    let (family, rest) = bytes.split_first_chunk().ok_or(Errno::EINVAL)?;
    let family = u16::from_ne_bytes(*family);
    let be16 = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let ne32 = |at: usize| {
        bytes[at..]
            .first_chunk()
            .map_or(0, |four| u32::from_ne_bytes(*four))
    };
    Ok(match i32::from(family) {
        libc::AF_UNSPEC => Sockaddr::Unspec,
        libc::AF_INET if bytes.len() < V4_LEN => return Err(Errno::EINVAL),
        libc::AF_INET => {
            let ip = Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]);
            Sockaddr::Inet(SocketAddrV4::new(ip, be16(2)).into())
        }
        libc::AF_INET6 if bytes.len() < V6_SHORT_LEN => return Err(Errno::EINVAL),
        libc::AF_INET6 => {
            let ip: [u8; 16] = bytes[8..24].try_into().expect("of 16 bytes");
            let scope = if bytes.len() < V6_LEN { 0 } else { ne32(24) };
            let ip = Ipv6Addr::from(ip);
            Sockaddr::Inet(SocketAddrV6::new(ip, be16(2), ne32(4), scope).into())
        }
        libc::AF_UNIX => {
            let is_abstract = rest.first() == Some(&0);
            let end = rest.iter().position(|&byte| byte == 0 && !is_abstract);
            Sockaddr::Unix(rest[..end.unwrap_or(rest.len())].to_vec())
        }
        _ => Sockaddr::Other(family),
    })
}

/// As a socket of that family shows it.
fn to_sockaddr(address: SocketAddr, is_v6: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(V6_LEN);
    let mut begin = |family: i32| {
        let family = u16::try_from(family).expect("families are small");
        bytes.extend(family.to_ne_bytes());
        bytes.extend(address.port().to_be_bytes());
    };
    match (address, is_v6) {
        (SocketAddr::V4(v4), false) => {
            begin(libc::AF_INET);
            bytes.extend(v4.ip().octets());
            bytes.resize(V4_LEN, 0);
        }
        (SocketAddr::V4(v4), true) => {
            begin(libc::AF_INET6);
            bytes.extend([0; 4]);
            bytes.extend(v4.ip().to_ipv6_mapped().octets());
            bytes.resize(V6_LEN, 0);
        }
        (SocketAddr::V6(v6), _) => {
            begin(libc::AF_INET6);
            bytes.extend(v6.flowinfo().to_ne_bytes());
            bytes.extend(v6.ip().octets());
            bytes.extend(v6.scope_id().to_ne_bytes());
        }
    }
    bytes
}

/// What `/proc/<tid>/status` says of signals that are not handled yet and could be.
fn signalled(status: &str) -> Option<Signalled> {
    let set = |name| u64::from_str_radix(field(status, name)?, 16).ok();
    let blocked = set("SigBlk")?;
    let own = set("SigPnd")? & !blocked;
    let shared = set("ShdPnd")? & !blocked;
    match (own, shared) {
        (0, 0) => None,
        (0, _) if field(status, "Threads") != Some("1") => Some(Signalled::Perhaps),
        _ => Some(Signalled::Surely),
    }
}

/// Whether the other threads of that one's process are stopped. A process is stopped once all its
/// threads are; one that is trapped stops when its call returns, and shows no signal until then.
fn others_stopped(tid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{tid}/task"))
        .into_iter()
        .flatten();
    let mut states = threads.flatten().filter_map(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        field(&status, "State")?.chars().next()
    });
    // Those that are trapped themselves, or have ended, can't tell.
    states.find(|state| !matches!(state, 'D' | 'Z' | 'X')) == Some('T')
}

/// The process of that thread.
fn tgid(tid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    field(&status, "Tgid")?.parse().ok()
}

/// A line's value in a file of `/proc`.
fn field<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let rest = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    file.lines().find_map(rest).map(str::trim)
}

/// An error of the system as a program gets it.
pub(super) fn errno(error: impl Into<io::Error>) -> Errno {
    let error = error.into();
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

fn from_rustix(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

#[cfg(test)]
mod tests;
