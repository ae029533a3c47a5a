//! Which system calls of a carried program the carrier answers, which fail at once and which go
//! their way: a program of classic BPF, which the kernel runs at each call.
//!
//! Owns that decision, as a pure function of the call's number and arguments. It sees no memory of
//! the program: what a pointer points to is looked at by the carrier, which answers the call.
//!
//! The program's own TCP goes nowhere but to the carrier, and nothing else leaves the machine:
//!
//! - what connects a TCP socket or names its addresses is trapped;
//! - no other socket than TCP's, unix, netlink (`getifaddrs`) and the kernel's cryptography can be
//!   made, nor a TCP socket connect by another call (TCP Fast Open, `io_uring`);
//! - an `open` for reading is trapped, since it may be of `/etc/hosts`; others are not, so that
//!   the carrier is not in the way of a program that writes files.
//!
//! Calls of another architecture (32-bit, x32) have other numbers: none of them exists here.

use nix::libc::{self, c_int, c_long, sock_filter};

/// What the kernel calls this architecture; 0 where the numbers of its calls are not known here.
pub(super) const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xC000_003E
} else if cfg!(target_arch = "aarch64") {
    0xC000_00B7
} else {
    0
};

/// `O_LARGEFILE` as the kernel has it; C libraries of 64-bit systems say 0.
const O_LARGEFILE: c_int = if cfg!(target_arch = "aarch64") {
    0o400_000
} else {
    0o100_000
};

/// From here on, numbers of system calls are those of the x32 ABI.
const X32: u32 = 0x4000_0000;

/// The type of a socket, without the flags that can come with it.
const SOCK_TYPE_MASK: u32 = 0xf;

/// Where in `struct seccomp_data` these are. Between the last two is the caller's address.
const OF_NUMBER: u32 = 0;
const OF_ARCHITECTURE: u32 = 4;
const OF_ARGUMENTS: u32 = 16;

/// The system calls that are always trapped.
const TRAPPED: [c_long; 8] = [
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_shutdown,
];

/// Families of sockets that can be made: these, and TCP's.
pub(super) const FAMILIES: [c_int; 3] = [libc::AF_UNIX, libc::AF_NETLINK, libc::AF_ALG];

/// The filter of a carried program.
pub(super) fn program() -> Vec<sock_filter> {
    let mut program = vec![load(OF_ARCHITECTURE)];
    program.extend(unless(ARCHITECTURE, error(libc::ENOSYS)));
    program.push(load(OF_NUMBER));
    if cfg!(target_arch = "x86_64") {
        program.push(jump(libc::BPF_JGE, X32, 0, 1));
        program.push(error(libc::ENOSYS));
    }
    // First what is called most: the kernel knows without running this that `read` is allowed.
    let sending = [
        (libc::SYS_sendto, 3),
        (libc::SYS_sendmsg, 2),
        (libc::SYS_sendmmsg, 3),
    ];
    for (nr, flags) in sending {
        program.extend(of(nr, fast_open(flags)));
    }
    #[cfg(target_arch = "x86_64")]
    program.extend(of(libc::SYS_open, open(1)));
    program.extend(of(libc::SYS_openat, open(2)));
    program.extend(of(libc::SYS_setsockopt, option()));
    program.extend(of(libc::SYS_socket, socket()));
    for nr in TRAPPED {
        program.extend(of(nr, vec![trap()]));
    }
    for nr in [libc::SYS_io_uring_setup, libc::SYS_openat2] {
        program.extend(of(nr, vec![error(libc::ENOSYS)]));
    }
    program.push(allow());
    program
}

/// Sending data with a connection's first packet would connect.
fn fast_open(flags: u32) -> Vec<sock_filter> {
    vec![
        load_argument(flags),
        jump(libc::BPF_JSET, libc::MSG_FASTOPEN.cast_unsigned(), 0, 1),
        error(libc::EOPNOTSUPP),
        allow(),
    ]
}

/// Exactly for reading, and nothing else.
fn open(flags: u32) -> Vec<sock_filter> {
    let ignored = libc::O_CLOEXEC | O_LARGEFILE;
    let mut program = vec![load_argument(flags), and(!ignored.cast_unsigned())];
    program.extend(unless(libc::O_RDONLY.cast_unsigned(), allow()));
    program.push(trap());
    program
}

/// Every option but those by which a TCP socket would connect without `connect`, or be another one:
/// at the first `write`, by decree, by another protocol in its place (SMC).
fn option() -> Vec<sock_filter> {
    let mut program = vec![load_argument(1)];
    program.extend(unless(libc::IPPROTO_TCP.cast_unsigned(), allow()));
    program.push(load_argument(2));
    for option in [libc::TCP_FASTOPEN_CONNECT, libc::TCP_REPAIR, libc::TCP_ULP] {
        program.extend(when(option.cast_unsigned(), error(libc::ENOPROTOOPT)));
    }
    program.push(allow());
    program
}

fn socket() -> Vec<sock_filter> {
    let mut program = vec![load_argument(0)];
    for family in FAMILIES {
        program.extend(when(family.cast_unsigned(), allow()));
    }
    let families = [libc::AF_INET, libc::AF_INET6];
    program.extend(unless_one(families, error(libc::EAFNOSUPPORT)));
    program.push(load_argument(1));
    program.push(and(SOCK_TYPE_MASK));
    program.extend(unless(
        libc::SOCK_STREAM.cast_unsigned(),
        error(libc::EPERM),
    ));
    program.push(load_argument(2));
    program.extend(unless_one(
        [0, libc::IPPROTO_TCP],
        error(libc::EPROTONOSUPPORT),
    ));
    program.push(allow());
    program
}

/// What is done at that call, where its number is loaded. It ends with an answer.
fn of(nr: c_long, then: Vec<sock_filter>) -> Vec<sock_filter> {
    let nr = u32::try_from(nr).expect("numbers of system calls are small");
    let past = u8::try_from(then.len()).expect("each part is short");
    let mut program = vec![jump(libc::BPF_JEQ, nr, 0, past)];
    program.extend(then);
    program
}

/// The answer where that value is loaded.
fn when(value: u32, answer: sock_filter) -> [sock_filter; 2] {
    [jump(libc::BPF_JEQ, value, 0, 1), answer]
}

/// The answer where neither of these values is loaded.
fn unless_one(values: [c_int; 2], answer: sock_filter) -> [sock_filter; 3] {
    let [one, other] = values.map(c_int::cast_unsigned);
    let [or_other, answer] = unless(other, answer);
    [jump(libc::BPF_JEQ, one, 2, 0), or_other, answer]
}

/// The answer where anything but that value is loaded.
fn unless(value: u32, answer: sock_filter) -> [sock_filter; 2] {
    [jump(libc::BPF_JEQ, value, 1, 0), answer]
}

fn trap() -> sock_filter {
    answer(libc::SECCOMP_RET_USER_NOTIF)
}

fn allow() -> sock_filter {
    answer(libc::SECCOMP_RET_ALLOW)
}

fn error(errno: c_int) -> sock_filter {
    answer(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned())
}

fn answer(action: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, action)
}

/// The kernel takes the lower half of what it declares as an `int`; so does this.
fn load_argument(n: u32) -> sock_filter {
    let half = if cfg!(target_endian = "big") { 4 } else { 0 };
    load(OF_ARGUMENTS + 8 * n + half)
}

/// 32 bits of `struct seccomp_data`.
fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn and(mask: u32) -> sock_filter {
    statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask)
}

fn statement(code: u32, k: u32) -> sock_filter {
    instruction(code, k, 0, 0)
}

fn jump(condition: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    instruction(libc::BPF_JMP | condition | libc::BPF_K, k, jt, jf)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    let code = u16::try_from(code).expect("classic BPF's codes are of one byte");
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests;
