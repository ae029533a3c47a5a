//! Traps of this process's own threads: a filter holds for the thread that installs it, and
//! another thread answers. What kills or signals its caller does so with a process.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{self, Pid};

use super::super::super::stat;
use super::super::handover::{install_and_send, receive_listener};
use super::super::support::is_missing;
use super::*;

/// Runs that in a thread whose calls are trapped, and what follows in this one.
fn trapped<T: Send + 'static>(
    run: impl FnOnce() -> T + Send + 'static,
) -> (JoinHandle<T>, Arc<Listener>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let thread = std::thread::spawn(move || {
        install_and_send(theirs.as_fd()).unwrap();
        drop(theirs);
        run()
    });
    let listener = receive_listener(ours.as_fd()).unwrap().unwrap();
    (thread, Arc::new(listener))
}

/// Waits for the next trapped call; `None` once nothing has the filter any more.
fn next(listener: &Arc<Listener>) -> Option<Trap> {
    loop {
        if let Some(trap) = Trap::receive(listener).unwrap() {
            return Some(trap);
        }
        let mut ready = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        poll(&mut ready, PollTimeout::from(10_000_u16)).unwrap();
        let ready = ready[0].revents().unwrap();
        assert!(!ready.is_empty(), "nothing was called in ten seconds");
        if ready.contains(PollFlags::POLLHUP) && !ready.contains(PollFlags::POLLIN) {
            return None;
        }
    }
}

/// The next call other than `open`; an `open` continues.
fn next_but_open(listener: &Arc<Listener>) -> Trap {
    loop {
        match next(listener).unwrap() {
            trap if trap.call() == Call::Open => trap.cont(),
            trap => return trap,
        }
    }
}

/// The next `open` of that path; others are let go.
fn next_open(listener: &Arc<Listener>, path: &str) -> Trap {
    loop {
        let mut trap = next(listener).unwrap();
        if trap.call() == Call::Open && trap.path(1) == Ok(path.as_bytes().to_vec()) {
            return trap;
        }
        trap.cont();
    }
}

fn let_all_go(listener: &Arc<Listener>) {
    while let Some(trap) = next(listener) {
        trap.cont();
    }
}

/// A process whose calls are trapped. It is started in a thread of its own.
fn process(script: &str) -> (JoinHandle<Child>, Arc<Listener>) {
    let script = script.to_owned();
    trapped(move || {
        Command::new("sh")
            .args(["-c", &script])
            // Nothing is opened for it.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    })
}

fn memory<const N: usize>() -> [AtomicU8; N] {
    [const { AtomicU8::new(0xee) }; N]
}

fn bytes(memory: &[AtomicU8]) -> Vec<u8> {
    memory
        .iter()
        .map(|byte| byte.load(Ordering::SeqCst))
        .collect()
}

fn fill(memory: &[AtomicU8], bytes: &[u8]) {
    for (place, byte) in memory.iter().zip(bytes) {
        place.store(*byte, Ordering::SeqCst);
    }
}

fn pointer(memory: &[AtomicU8]) -> u64 {
    memory.as_ptr() as u64
}

/// A trapped call with other arguments, which point into this process as well.
fn with_arguments(args: [u64; 6], check: impl FnOnce(&mut Trap)) {
    let (thread, listener) = trapped(|| TcpStream::connect("127.0.0.1:1").map(drop));
    let mut trap = next_but_open(&listener);
    trap.notification.args = args;
    check(&mut trap);
    trap.error(Errno::ECONNREFUSED);
    thread.join().unwrap().unwrap_err();
}

#[test]
fn a_connect_is_seen_and_refused() {
    if is_missing() {
        return;
    }
    let (thread, listener) = trapped(|| {
        let failed = TcpStream::connect("127.0.0.1:6379").unwrap_err();
        (failed.kind(), unistd::gettid().as_raw())
    });
    let mut trap = next_but_open(&listener);
    assert_eq!(trap.call(), Call::Connect);
    assert_eq!(
        trap.address(1, 2),
        Ok(Sockaddr::Inet("127.0.0.1:6379".parse().unwrap()))
    );
    let tid = trap.tid().unwrap();
    assert_eq!(trap.pending_signal(), None);
    trap.error(Errno::ECONNREFUSED);
    let (kind, own) = thread.join().unwrap();
    assert_eq!(kind, ErrorKind::ConnectionRefused);
    if stat::is_own() {
        assert_eq!(tid, own.cast_unsigned());
    }
}

#[test]
fn a_duplicate_is_of_the_same_socket() {
    if is_missing() {
        return;
    }
    let (thread, listener) = trapped(|| {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        sockopt::socket_cookie(&socket).unwrap()
    });
    let mut trap = next_but_open(&listener);
    assert_eq!(trap.call(), Call::Bind);
    let socket = trap.socket(0).unwrap();
    assert_eq!(kind(&socket), Ok(Kind::Inet));
    trap.cont();
    let mut trap = next_but_open(&listener);
    assert_eq!((trap.call(), trap.arg(0)), (Call::Listen, trap.arg(0)));
    let again = trap.socket(0).unwrap();
    trap.cont();
    let cookie = thread.join().unwrap();
    assert_eq!(sockopt::socket_cookie(&socket), Ok(cookie));
    assert_eq!(sockopt::socket_cookie(&again), Ok(cookie));
}

#[test]
fn only_internet_sockets_are_the_carriers() {
    let (unix, _other) = UnixStream::pair().unwrap();
    let v6 = rustix::net::socket(AddressFamily::INET6, rustix::net::SocketType::STREAM, None);
    assert_eq!(kind(&OwnedFd::from(unix)), Ok(Kind::Local));
    assert_eq!(kind(&v6.unwrap()), Ok(Kind::Inet));
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(kind(&udp.into()), Ok(Kind::Foreign));
    let file = fs::File::open("/proc/self/status").unwrap();
    assert_eq!(kind(&file.into()), Err(Errno::ENOTSOCK));
}

#[test]
fn a_wrong_descriptor_is_ebadf() {
    if is_missing() {
        return;
    }
    for fd in [9999, u64::from(u32::MAX)] {
        with_arguments([fd, 0, 0, 0, 0, 0], |trap| {
            assert_eq!(trap.socket(0).err(), Some(Errno::EBADF));
        });
    }
}

#[test]
fn a_program_sees_the_address_it_is_given() {
    if is_missing() {
        return;
    }
    for virtual_address in ["10.1.2.3:6379", "[fd00::7]:80"] {
        let address: SocketAddr = virtual_address.parse().unwrap();
        let any = if address.is_ipv6() {
            "[::1]:0"
        } else {
            "127.0.0.1:0"
        };
        if TcpListener::bind(any).is_err() {
            continue;
        }
        let (thread, listener) = trapped(move || {
            let socket = TcpListener::bind(any).unwrap();
            socket.local_addr().unwrap()
        });
        let mut trap = next_but_open(&listener);
        while trap.call() != Call::SockName {
            trap.cont();
            trap = next_but_open(&listener);
        }
        trap.put_address(1, 2, address, address.is_ipv6()).unwrap();
        trap.value(0);
        assert_eq!(thread.join().unwrap(), address);
    }
}

#[test]
fn an_address_without_room_is_cut_and_its_length_is_whole() {
    if is_missing() {
        return;
    }
    let v4 = [2, 0, 0x18, 0xeb, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0];
    for (room, written) in [(16, 16), (28, 16), (6, 6), (0, 0)] {
        let (address, len) = (memory::<32>(), memory::<4>());
        fill(&len, &i32::to_ne_bytes(room));
        with_arguments([0, pointer(&address), pointer(&len), 0, 0, 0], |trap| {
            trap.put_address(1, 2, "10.1.2.3:6379".parse().unwrap(), false)
                .unwrap();
        });
        assert_eq!(bytes(&address)[..written], v4[..written]);
        assert_eq!(bytes(&address)[written..], [0xee; 32][written..]);
        assert_eq!(bytes(&len), 16_u32.to_ne_bytes());
    }
}

#[test]
fn an_ipv6_socket_shows_ipv4_addresses_as_mapped() {
    let v6 = [
        10, 0, 0x18, 0xeb, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3, 0, 0,
        0, 0,
    ];
    assert_eq!(to_sockaddr("10.1.2.3:6379".parse().unwrap(), true), v6);
}

#[test]
fn bad_pointers_are_efault() {
    if is_missing() {
        return;
    }
    let (nowhere, len) = (8, memory::<4>());
    let address = "10.1.2.3:6379".parse().unwrap();
    fill(&len, &16_i32.to_ne_bytes());
    with_arguments([0, nowhere, pointer(&len), 16, 0, 0], |trap| {
        assert_eq!(trap.address(1, 3), Err(Errno::EFAULT));
        assert_eq!(trap.path(1), Err(Errno::EFAULT));
        assert_eq!(trap.put_address(1, 2, address, false), Err(Errno::EFAULT));
        assert_eq!(trap.put_address(2, 1, address, false), Err(Errno::EFAULT));
    });
    with_arguments([0, u64::MAX, u64::MAX, 16, 0, 0], |trap| {
        assert_eq!(trap.address(1, 3), Err(Errno::EFAULT));
        assert_eq!(trap.path(1), Err(Errno::EFAULT));
    });
    fill(&len, &(-1_i32).to_ne_bytes());
    with_arguments([0, pointer(&len), pointer(&len), 0, 0, 0], |trap| {
        assert_eq!(trap.put_address(1, 2, address, false), Err(Errno::EINVAL));
    });
}

#[test]
fn accept_may_want_no_address() {
    if is_missing() {
        return;
    }
    let address = "10.1.2.3:6379".parse().unwrap();
    with_arguments([0; 6], |trap| {
        trap.notification.nr = i32::try_from(libc::SYS_accept4).unwrap();
        assert_eq!(trap.put_address(1, 2, address, false), Ok(()));
    });
    with_arguments([0; 6], |trap| {
        trap.notification.nr = i32::try_from(libc::SYS_getsockname).unwrap();
        assert_eq!(trap.put_address(1, 2, address, false), Err(Errno::EFAULT));
    });
}

#[test]
fn addresses_are_read_as_the_kernel_reads_them() {
    if is_missing() {
        return;
    }
    let mut v6 = vec![10, 0, 0, 80];
    v6.extend([0; 4]);
    v6.extend(Ipv6Addr::LOCALHOST.octets());
    let inet = |text: &str| Ok(Sockaddr::Inet(text.parse().unwrap()));
    let cases: [(&[u8], Result<Sockaddr, Errno>); 11] = [
        (b"", Err(Errno::EINVAL)),
        (b"\x02", Err(Errno::EINVAL)),
        (b"\0\0", Ok(Sockaddr::Unspec)),
        (
            b"\x02\0\0\x50\x0a\0\0\x01\0\0\0\0\0\0\0",
            Err(Errno::EINVAL),
        ),
        (
            b"\x02\0\0\x50\x0a\0\0\x01\0\0\0\0\0\0\0\0",
            inet("10.0.0.1:80"),
        ),
        (&v6, inet("[::1]:80")),
        (&v6[..23], Err(Errno::EINVAL)),
        (
            b"\x01\0/run/x\0junk",
            Ok(Sockaddr::Unix(b"/run/x".to_vec())),
        ),
        (b"\x01\0/run/x", Ok(Sockaddr::Unix(b"/run/x".to_vec()))),
        (b"\x01\0\0a\0b", Ok(Sockaddr::Unix(b"\0a\0b".to_vec()))),
        (b"\x10\0\0\0", Ok(Sockaddr::Other(16))),
    ];
    for (bytes, address) in cases {
        assert_eq!(sockaddr(bytes), address, "{bytes:?}");
    }
    for (len, error) in [
        (u64::MAX, Errno::EINVAL),
        (129, Errno::EINVAL),
        (128, Errno::EFAULT),
    ] {
        with_arguments([0, 8, len, 0, 0, 0], |trap| {
            assert_eq!(trap.address(1, 2), Err(error), "{len}");
        });
    }
}

#[test]
fn a_path_ends_at_its_nul_or_is_too_long() {
    if is_missing() {
        return;
    }
    let mut text = vec![b'a'; 12_000];
    with_arguments([text.as_ptr() as u64, 0, 0, 0, 0, 0], |trap| {
        assert_eq!(trap.path(0), Err(Errno::ENAMETOOLONG));
    });
    text[4095] = 0;
    with_arguments([text.as_ptr() as u64, 0, 0, 0, 0, 0], |trap| {
        assert_eq!(trap.path(0), Ok(vec![b'a'; 4095]));
    });
    // Wherever pages begin.
    text[4095] = b'a';
    text[8000] = 0;
    for length in [0, 1, 2000, 4000, 4095] {
        let start = text.as_ptr() as u64 + 8000 - length;
        with_arguments([start, 0, 0, 0, 0, 0], |trap| {
            assert_eq!(trap.path(0).unwrap().len() as u64, length);
        });
    }
}

#[test]
fn an_open_returns_another_file() {
    if is_missing() {
        return;
    }
    for cloexec in [true, false] {
        let (thread, listener) = trapped(|| {
            let mut file = fs::File::open("/etc/hosts").unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            let flags = rustix::io::fcntl_getfd(&file).unwrap();
            (text, flags.contains(rustix::io::FdFlags::CLOEXEC))
        });
        let trap = next_open(&listener, "/etc/hosts");
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"10.1.2.3 db\n").unwrap();
        drop(ours);
        trap.hand_in(theirs.as_fd(), cloexec).unwrap();
        assert_eq!(
            thread.join().unwrap(),
            ("10.1.2.3 db\n".to_owned(), cloexec)
        );
    }
}

#[test]
fn an_accept_returns_a_connection() {
    if is_missing() {
        return;
    }
    let (thread, listener) = trapped(|| {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut stream, peer) = socket.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        (text, peer)
    });
    let mut trap = next_but_open(&listener);
    while !matches!(trap.call(), Call::Accept { .. }) {
        trap.cont();
        trap = next_but_open(&listener);
    }
    let flags = libc::SOCK_CLOEXEC;
    assert_eq!(trap.call(), Call::Accept { flags });
    let peer = "10.1.2.3:1".parse().unwrap();
    trap.put_address(1, 2, peer, false).unwrap();
    let real = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut dialed = TcpStream::connect(real.local_addr().unwrap()).unwrap();
    dialed.write_all(b"hello").unwrap();
    drop(dialed);
    trap.hand_in(real.accept().unwrap().0.as_fd(), true)
        .unwrap();
    assert_eq!(thread.join().unwrap(), ("hello".to_owned(), peer));
}

#[test]
fn a_call_without_an_answer_fails() {
    if is_missing() {
        return;
    }
    let (thread, listener) = trapped(|| TcpStream::connect("127.0.0.1:1").unwrap_err());
    drop(next_but_open(&listener));
    assert_eq!(thread.join().unwrap().raw_os_error(), Some(libc::ENOSYS));
}

#[test]
fn a_listener_hangs_up_when_nothing_has_its_filter() {
    if is_missing() {
        return;
    }
    let (thread, listener) = trapped(|| ());
    let_all_go(&listener);
    thread.join().unwrap();
    assert!(next(&listener).is_none());
}

#[test]
fn a_killed_caller_has_no_answer_to_take() {
    if is_missing() {
        return;
    }
    let (thread, listener) = process("read x < /dev/null");
    let mut trap = next_open(&listener, "/dev/null");
    let mut child = thread.join().unwrap();
    assert!(trap.is_valid());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    assert!(!trap.is_valid());
    // The flags, which are 0, as a descriptor.
    assert_eq!(trap.socket(2).err(), Some(Errno::ESRCH));
    assert_eq!(trap.path(1), Err(Errno::ESRCH));
    assert_eq!(trap.pending_signal(), None);
    let file = fs::File::open("/proc/self/status").unwrap();
    assert_eq!(trap.hand_in(file.as_fd(), true), Err(Errno::ESRCH));
    assert!(next(&listener).is_none());
}

#[test]
fn a_signal_is_handled_when_its_call_restarts() {
    if is_missing() {
        return;
    }
    let (thread, listener) = process("trap 'echo caught' USR1; read x < /dev/null; echo on");
    let trap = next_open(&listener, "/dev/null");
    let child = thread.join().unwrap();
    assert_eq!(trap.pending_signal(), None);
    let pid = Pid::from_raw(child.id().cast_signed());
    kill(pid, Signal::SIGUSR1).unwrap();
    // The caller can't be interrupted: the signal waits, and the call with it.
    assert_eq!(trap.pending_signal(), Some(Signalled::Surely));
    assert!(trap.is_valid());
    trap.restart();
    let_all_go(&listener);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "caught\non\n");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("512"), "{errors}");
}

#[test]
fn a_signal_is_sure_if_this_thread_must_handle_it() {
    let status = |threads, own, shared, blocked| {
        format!("Threads:\t{threads}\nSigPnd:\t{own}\nShdPnd:\t{shared}\nSigBlk:\t{blocked}\n")
    };
    for (threads, own, shared, blocked, signal) in [
        (1, "0", "0", "0", None),
        (1, "200", "0", "0", Some(Signalled::Surely)),
        (1, "0", "200", "0", Some(Signalled::Surely)),
        (2, "0", "200", "0", Some(Signalled::Perhaps)),
        (2, "200", "200", "0", Some(Signalled::Surely)),
        (12, "200", "0", "0", Some(Signalled::Surely)),
        (1, "200", "0", "200", None),
        (1, "0", "200", "200", None),
        (2, "200", "400", "200", Some(Signalled::Perhaps)),
    ] {
        assert_eq!(signalled(&status(threads, own, shared, blocked)), signal);
    }
}

#[test]
fn an_older_kernel_has_pidfds_of_processes_only() {
    if is_missing() {
        return;
    }
    if !stat::is_own() {
        return;
    }
    let thread = std::thread::spawn(|| {
        let tid = unistd::gettid().as_raw().cast_unsigned();
        let caller = Caller::of_process(tid).unwrap();
        assert_eq!(caller.tid, tid);
        let (one, _other) = UnixStream::pair().unwrap();
        pidfd_getfd(&caller.pidfd, one.as_raw_fd(), PidfdGetfdFlags::empty()).unwrap();
    });
    thread.join().unwrap();
}
