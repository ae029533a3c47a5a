//! The filter, run by a small interpreter of classic BPF over calls written by hand: numbers are
//! those of the kernel's headers rather than libc's names, so that a wrong name is seen.

use nix::libc::sock_filter;

use super::{ARCHITECTURE, program};

const ALLOW: &str = "allow";
const TRAP: &str = "trap";

/// Numbers of system calls: `asm/unistd_64.h`, `asm-generic/unistd.h`.
#[cfg(target_arch = "x86_64")]
mod nr {
    pub(super) const READ: u32 = 0;
    pub(super) const WRITE: u32 = 1;
    pub(super) const CLOSE: u32 = 3;
    pub(super) const SOCKET: u32 = 41;
    pub(super) const CONNECT: u32 = 42;
    pub(super) const ACCEPT: u32 = 43;
    pub(super) const SENDTO: u32 = 44;
    pub(super) const SENDMSG: u32 = 46;
    pub(super) const SHUTDOWN: u32 = 48;
    pub(super) const BIND: u32 = 49;
    pub(super) const LISTEN: u32 = 50;
    pub(super) const GETSOCKNAME: u32 = 51;
    pub(super) const GETPEERNAME: u32 = 52;
    pub(super) const SETSOCKOPT: u32 = 54;
    pub(super) const EXECVE: u32 = 59;
    pub(super) const PTRACE: u32 = 101;
    pub(super) const OPENAT: u32 = 257;
    pub(super) const ACCEPT4: u32 = 288;
    pub(super) const SENDMMSG: u32 = 307;
    pub(super) const PROCESS_VM_WRITEV: u32 = 311;
    pub(super) const LARGEFILE: u64 = 0x8000;
    pub(super) const DIRECTORY: u64 = 0x10000;
}
#[cfg(target_arch = "aarch64")]
mod nr {
    pub(super) const READ: u32 = 63;
    pub(super) const WRITE: u32 = 64;
    pub(super) const CLOSE: u32 = 57;
    pub(super) const SOCKET: u32 = 198;
    pub(super) const CONNECT: u32 = 203;
    pub(super) const ACCEPT: u32 = 202;
    pub(super) const SENDTO: u32 = 206;
    pub(super) const SENDMSG: u32 = 211;
    pub(super) const SHUTDOWN: u32 = 210;
    pub(super) const BIND: u32 = 200;
    pub(super) const LISTEN: u32 = 201;
    pub(super) const GETSOCKNAME: u32 = 204;
    pub(super) const GETPEERNAME: u32 = 205;
    pub(super) const SETSOCKOPT: u32 = 208;
    pub(super) const EXECVE: u32 = 221;
    pub(super) const PTRACE: u32 = 117;
    pub(super) const OPENAT: u32 = 56;
    pub(super) const ACCEPT4: u32 = 242;
    pub(super) const SENDMMSG: u32 = 269;
    pub(super) const PROCESS_VM_WRITEV: u32 = 271;
    pub(super) const LARGEFILE: u64 = 0x20000;
    pub(super) const DIRECTORY: u64 = 0x4000;
}

/// The same everywhere.
const IO_URING_SETUP: u32 = 425;
const OPENAT2: u32 = 437;
const PIDFD_GETFD: u32 = 438;

const EPERM: &str = "errno 1";
const ENOSYS: &str = "errno 38";
const ENOPROTOOPT: &str = "errno 92";
const EPROTONOSUPPORT: &str = "errno 93";
const EOPNOTSUPP: &str = "errno 95";
const EAFNOSUPPORT: &str = "errno 97";

#[test]
fn what_connects_or_names_addresses_is_trapped() {
    use nr::*;
    for nr in [
        CONNECT,
        BIND,
        LISTEN,
        ACCEPT,
        ACCEPT4,
        GETSOCKNAME,
        GETPEERNAME,
        SHUTDOWN,
    ] {
        assert_eq!(of(nr, []), TRAP, "{nr}");
    }
}

#[test]
fn what_only_moves_bytes_is_not() {
    use nr::*;
    for nr in [READ, WRITE, CLOSE, EXECVE] {
        assert_eq!(of(nr, [3, 0, 10]), ALLOW, "{nr}");
    }
}

#[test]
fn a_program_may_look_into_its_own_children() {
    for nr in [nr::PTRACE, nr::PROCESS_VM_WRITEV, PIDFD_GETFD] {
        assert_eq!(of(nr, [3, 0, 10]), ALLOW, "{nr}");
    }
}

#[test]
fn an_open_is_trapped_if_it_is_for_reading_only() {
    const CLOEXEC: u64 = 0x80000;
    let cases = [
        (0, TRAP),
        (CLOEXEC, TRAP),
        (nr::LARGEFILE, TRAP),
        (CLOEXEC | nr::LARGEFILE, TRAP),
        // An `int`: what is above is not looked at.
        (1 << 32, TRAP),
        // Writing, creating, not waiting, a directory.
        (1, ALLOW),
        (2, ALLOW),
        (CLOEXEC | 0o100, ALLOW),
        (0o4000, ALLOW),
        (nr::DIRECTORY, ALLOW),
    ];
    for (flags, then) in cases {
        // The directory, or the path, is not taken for the flags.
        assert_eq!(
            of(nr::OPENAT, [u64::MAX - 99, 0x7001, flags]),
            then,
            "{flags:x}"
        );
        #[cfg(target_arch = "x86_64")]
        assert_eq!(of(2, [0x7001, flags, 0o644]), then, "{flags:x}");
    }
}

#[test]
fn tcp_is_the_only_internet_socket() {
    const NONBLOCK_CLOEXEC: u64 = 0x80800;
    let cases = [
        // TCP, by IPv4 and IPv6.
        ([2, 1, 0], ALLOW),
        ([2, 1, 6], ALLOW),
        ([10, 1, 0], ALLOW),
        ([10, 1 | NONBLOCK_CLOEXEC, 6], ALLOW),
        // Whatever is above an `int`.
        ([2 | 5 << 32, 1 | 5 << 32, 6 | 5 << 32], ALLOW),
        // UDP, raw, SCTP as packets.
        ([2, 2, 0], EPERM),
        ([10, 2 | NONBLOCK_CLOEXEC, 17], EPERM),
        ([2, 3, 255], EPERM),
        ([2, 5, 132], EPERM),
        // MPTCP, SCTP.
        ([2, 1, 262], EPROTONOSUPPORT),
        ([10, 1, 132], EPROTONOSUPPORT),
        // Unix, netlink, the kernel's cryptography.
        ([1, 1, 0], ALLOW),
        ([1, 2, 0], ALLOW),
        ([16, 3, 0], ALLOW),
        ([38, 5, 0], ALLOW),
        // None, packets, Bluetooth, vsock, SMC, XDP.
        ([0, 1, 0], EAFNOSUPPORT),
        ([17, 3, 0], EAFNOSUPPORT),
        ([31, 1, 3], EAFNOSUPPORT),
        ([40, 1, 0], EAFNOSUPPORT),
        ([43, 1, 0], EAFNOSUPPORT),
        ([44, 3, 0], EAFNOSUPPORT),
    ];
    for (arguments, then) in cases {
        assert_eq!(of(nr::SOCKET, arguments), then, "{arguments:?}");
    }
}

#[test]
fn tcp_fast_open_does_not_connect() {
    const FASTOPEN: u64 = 0x2000_0000;
    const NOSIGNAL: u64 = 0x4000;
    for (flags, then) in [
        (0, ALLOW),
        (NOSIGNAL, ALLOW),
        (FASTOPEN, EOPNOTSUPP),
        (FASTOPEN | NOSIGNAL, EOPNOTSUPP),
    ] {
        // Elsewhere it is the length of what is sent, or a pointer.
        assert_eq!(of(nr::SENDTO, [3, FASTOPEN, FASTOPEN, flags]), then);
        assert_eq!(of(nr::SENDMSG, [3, FASTOPEN, flags, FASTOPEN]), then);
        assert_eq!(of(nr::SENDMMSG, [3, FASTOPEN, FASTOPEN, flags]), then);
    }
    // IPPROTO_TCP: TCP_FASTOPEN_CONNECT, TCP_REPAIR, TCP_ULP; TCP_FASTOPEN and TCP_NODELAY; a socket's,
    // IPv6's.
    assert_eq!(of(nr::SETSOCKOPT, [3, 6, 30, 0x7000, 4]), ENOPROTOOPT);
    assert_eq!(of(nr::SETSOCKOPT, [3, 6, 19, 0x7000, 4]), ENOPROTOOPT);
    assert_eq!(of(nr::SETSOCKOPT, [3, 6, 31, 0x7000, 4]), ENOPROTOOPT);
    assert_eq!(of(nr::SETSOCKOPT, [3, 6, 23, 0x7000, 4]), ALLOW);
    assert_eq!(of(nr::SETSOCKOPT, [3, 6, 1, 0x7000, 4]), ALLOW);
    assert_eq!(of(nr::SETSOCKOPT, [3, 1, 30, 0x7000, 4]), ALLOW);
    assert_eq!(of(nr::SETSOCKOPT, [3, 41, 30, 0x7000, 4]), ALLOW);
}

#[test]
fn ways_around_the_traps_do_not_exist() {
    assert_eq!(of(IO_URING_SETUP, [8, 0x7000]), ENOSYS);
    assert_eq!(of(OPENAT2, [3, 0x7000, 0x7100, 24]), ENOSYS);
}

#[test]
fn another_architecture_has_no_calls() {
    // i386, ARM; there, 102 is `socketcall`.
    for architecture in [0x4000_0003, 0x4000_0028] {
        for nr in [nr::READ, nr::CONNECT, 102] {
            assert_eq!(run(architecture, nr, []), ENOSYS);
        }
    }
    #[cfg(target_arch = "x86_64")]
    for nr in [nr::READ, nr::CONNECT, 0x3fff_ffff] {
        assert_eq!(of(0x4000_0000 | nr, []), ENOSYS);
    }
}

/// What becomes of that call here.
fn of<const N: usize>(nr: u32, arguments: [u64; N]) -> String {
    run(ARCHITECTURE, nr, arguments)
}

fn run<const N: usize>(architecture: u32, nr: u32, arguments: [u64; N]) -> String {
    let mut data = [nr.to_ne_bytes(), architecture.to_ne_bytes()].concat();
    // The caller's address, at which no decision looks.
    data.extend(0x5555_5555_5555_u64.to_ne_bytes());
    for n in 0..6 {
        data.extend(arguments.get(n).unwrap_or(&0).to_ne_bytes());
    }
    let action = interpret(&program(), &data);
    match (action & 0xffff_0000, action & 0xffff) {
        (0x7fff_0000, 0) => ALLOW.into(),
        (0x7fc0_0000, 0) => TRAP.into(),
        (0x0005_0000, errno) => format!("errno {errno}"),
        _ => format!("{action:x}"),
    }
}

/// As `bpf(4)` describes it; only the instructions that seccomp takes and the filter has.
fn interpret(program: &[sock_filter], data: &[u8]) -> u32 {
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let branch = |taken: bool| usize::from(if taken { jt } else { jf });
        match code {
            // LD W ABS
            0x20 => {
                let word = &data[k as usize..][..4];
                accumulator = u32::from_ne_bytes(word.try_into().unwrap());
            }
            // ALU AND K
            0x54 => accumulator &= k,
            // JMP JEQ K, JGE K, JSET K
            0x15 => at += branch(accumulator == k),
            0x35 => at += branch(accumulator >= k),
            0x45 => at += branch(accumulator & k != 0),
            // RET K
            0x06 => return k,
            code => panic!("instruction {code:x}"),
        }
    }
}
