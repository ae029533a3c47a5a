//! Calls of a carried program, without a program: a thread of the test has the filter, and the carrier
//! is in the same process.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::filter;
use super::hosts::Hosts;

/// A network, with programs that are carried and a host of the test.
struct World {
    runtime: tokio::runtime::Runtime,
    network: lonet::SubNetwork,
    hosts: Hosts,
    processes: std::cell::Cell<u64>,
}

impl World {
    fn new() -> World {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let network = runtime.block_on(lonet::join("")).expect("a network");
        World {
            runtime,
            network,
            hosts: Hosts::start().expect("a carrier"),
            processes: Default::default(),
        }
    }

    fn name(&self) -> String {
        let full = self.network.name().to_owned();
        full.strip_prefix("lonet").unwrap_or(&full).to_owned()
    }

    fn host(&self, name: &str) -> lonet::Host {
        self.runtime
            .block_on(self.network.new_host(name))
            .expect("a host")
    }

    /// A thread that is a program of that host.
    fn program<T: Send + 'static>(
        &self,
        host: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let process = self.processes.get() + 1;
        self.processes.set(process);
        let joined = self.hosts.join(process, &self.name(), host, Vec::new());
        joined.expect("it joins");
        let (sender, receiver) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let listener = lonet_seccomp::install(&filter::program());
            sender
                .send(listener.expect("a filter"))
                .expect("it is awaited");
            may_go.recv().expect("it is served");
            work()
        });
        let listener = receiver.recv().expect("a listener");
        self.hosts.serve(process, listener.into());
        go.send(()).expect("it waits");
        thread
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let limited = async { tokio::time::timeout(Duration::from_secs(20), work).await };
        self.runtime.block_on(limited).expect("it ends")
    }
}

async fn dial(host: &lonet::Host, to: &str) -> lonet::Stream {
    // A program's listener comes when it comes.
    loop {
        match host.dial(to).await {
            Ok(stream) => return stream,
            Err(error) => {
                assert_eq!(error.cause(), &lonet::Cause::ConnectionRefused, "{error}");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }
}

fn read_all(mut stream: impl Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it ends");
    text
}

#[test]
fn a_role_dials_a_program() {
    let world = World::new();
    let app = world.host("app");
    let db = world.program("db", || {
        let listener = TcpListener::bind("0.0.0.0:6379").expect("bound");
        assert_eq!(
            listener.local_addr().expect("known").to_string(),
            "0.0.0.0:6379"
        );
        let (mut stream, peer) = listener.accept().expect("accepted");
        assert_eq!(stream.peer_addr().expect("known"), peer);
        assert_eq!(stream.local_addr().expect("known").port(), 6379);
        stream.write_all(b"hello").expect("written");
        stream.shutdown(Shutdown::Write).expect("shut");
        let asked = read_all(&stream);
        (peer, asked)
    });
    let answered = world.run(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = dial(&app, "db:6379").await;
        assert_eq!(stream.peer_addr().to_string(), "db:1");
        let mut answered = String::new();
        stream.read_to_string(&mut answered).await.expect("it ends");
        stream.write_all(b"and you").await.expect("written");
        stream.shutdown().await.expect("shut");
        answered
    });
    let (peer, asked) = db.join().expect("no panic");
    assert_eq!((answered.as_str(), asked.as_str()), ("hello", "and you"));
    assert!(peer.ip().to_string().starts_with("198.18."), "{peer}");
}

#[test]
fn a_program_dials_a_role() {
    let world = World::new();
    let app = world.host("app");
    let listener = world.run(app.listen(":80")).expect("it listens");
    let client = world.program("client", || {
        let hosts = std::fs::read_to_string("/etc/hosts").expect("readable");
        let line = hosts
            .lines()
            .find(|line| line.ends_with(" app"))
            .expect("known");
        let ip = line.split(' ').next().expect("an address").to_owned();
        let mut stream = TcpStream::connect(format!("{ip}:80")).expect("connected");
        assert_eq!(
            stream.peer_addr().expect("known").to_string(),
            format!("{ip}:80")
        );
        assert_eq!(stream.local_addr().expect("known").port(), 1);
        stream.write_all(b"ask").expect("written");
        read_all(stream)
    });
    world.run(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = listener.accept().await.expect("accepted");
        assert_eq!(stream.peer_addr().to_string(), "client:1");
        let mut asked = [0; 3];
        stream.read_exact(&mut asked).await.expect("it comes");
        stream.write_all(&asked).await.expect("written");
    });
    assert_eq!(client.join().expect("no panic"), "ask");
}

#[test]
fn a_program_dials_itself_before_it_accepts() {
    let world = World::new();
    for address in ["127.0.0.1:7000", "[::1]:7000"] {
        let host = format!("h{}", world.processes.get());
        let done = world.program(&host, move || {
            let listener = TcpListener::bind(address).expect("bound");
            let mut ours = TcpStream::connect(address).expect("connected");
            let (theirs, _) = listener.accept().expect("accepted");
            ours.write_all(b"x").expect("written");
            drop(ours);
            read_all(theirs)
        });
        assert_eq!(done.join().expect("no panic"), "x");
    }
}

#[test]
fn what_is_not_on_the_network_is_refused() {
    let world = World::new();
    let done = world.program("h", || {
        let kind = |to: &str| {
            TcpStream::connect(to)
                .map(drop)
                .map_err(|error| error.kind())
        };
        let refused = Err(io::ErrorKind::ConnectionRefused);
        assert_eq!(kind("127.0.0.1:9"), refused);
        assert_eq!(kind("192.0.2.1:80"), refused);
        assert_eq!(kind("198.18.0.77:80"), refused);
        let bound = TcpListener::bind("192.0.2.1:80").map(drop);
        assert_eq!(
            bound.map_err(|error| error.kind()),
            Err(io::ErrorKind::AddrNotAvailable)
        );
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").map(drop);
        assert_eq!(
            udp.map_err(|error| error.kind()),
            Err(io::ErrorKind::PermissionDenied)
        );
    });
    done.join().expect("no panic");
}

#[test]
fn a_socket_is_bound_though_its_connect_was_refused() {
    let world = World::new();
    let done = world.program("h", || {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
            .expect("a socket");
        let own: SocketAddr = "127.0.0.1:5".parse().expect("an address");
        rustix::net::bind(&socket, &own).expect("free");
        let to: SocketAddr = "127.0.0.1:6".parse().expect("an address");
        let refused = rustix::net::connect(&socket, &to);
        assert_eq!(refused, Err(rustix::io::Errno::CONNREFUSED));
        let local = rustix::net::getsockname(&socket).expect("known");
        assert_eq!(SocketAddr::try_from(local).expect("an address"), own);
        // The next try comes from there, too.
        let listener = TcpListener::bind(to).expect("free");
        rustix::net::connect(&socket, &to).expect("connected");
        assert_eq!(listener.accept().expect("accepted").1, own);
    });
    done.join().expect("no panic");
}

#[test]
fn a_port_is_free_once_what_was_bound_there_is_closed() {
    let world = World::new();
    let done = world.program("h", || {
        let bind = |port: u16| {
            let flags = SocketFlags::CLOEXEC;
            let socket =
                rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
                    .expect("a socket");
            rustix::net::bind(&socket, &SocketAddr::from(([0, 0, 0, 0], port))).map(|()| socket)
        };
        // The kernel says later that it is closed.
        for _ in 0..200 {
            drop(bind(5).expect("free"));
        }
        let kept = bind(5).expect("free");
        assert_eq!(bind(5).err(), Some(rustix::io::Errno::ADDRINUSE));
        let again = rustix::net::bind(&kept, &SocketAddr::from(([0, 0, 0, 0], 5)));
        assert_eq!(again, Err(rustix::io::Errno::INVAL));
        drop(kept);
    });
    done.join().expect("no panic");
}

#[test]
fn a_listener_that_is_shut_down_keeps_its_address() {
    use rustix::net::{Shutdown, listen, shutdown};
    let world = World::new();
    let done = world.program("h", || {
        let listener = TcpListener::bind("0.0.0.0:5").expect("bound");
        let address = listener.local_addr().expect("known");
        let is_dialed = || TcpStream::connect("127.0.0.1:5").is_ok();
        shutdown(&listener, Shutdown::Write).expect("it means nothing here");
        assert!(is_dialed());
        shutdown(&listener, Shutdown::Read).expect("shut down");
        assert!(!is_dialed());
        assert_eq!(listener.local_addr().expect("known"), address);
        listen(&listener, 1).expect("it listens again");
        assert!(is_dialed());
        rustix::net::connect_unspec(&listener).expect("disconnected");
        assert!(!is_dialed());
        assert_eq!(listener.local_addr().expect("known"), address);
    });
    done.join().expect("no panic");
}

#[test]
fn a_listener_of_loopback_is_not_reached_from_elsewhere() {
    let world = World::new();
    let app = world.host("app");
    let (ready, is_ready) = mpsc::channel();
    let db = world.program("db", move || {
        let one = TcpListener::bind("127.0.0.1:80").expect("bound");
        ready.send(()).expect("awaited");
        TcpStream::connect("127.0.0.1:80").expect("connected");
        one.accept().expect("accepted");
        thread::park();
    });
    is_ready.recv().expect("it listens");
    let refused = world.run(app.dial("db:80")).map(drop);
    assert!(refused.is_err());
    db.thread().unpark();
    db.join().expect("no panic");
}

fn nonblocking() -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
        .expect("a socket")
}

fn writable_within(socket: &OwnedFd, limit: u16) -> bool {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::from(limit)).expect("poll") > 0
}

#[test]
fn a_program_that_does_not_wait_is_told_later() {
    let world = World::new();
    let app = world.host("app");
    let listener = world.run(app.listen(":80")).expect("it listens");
    let (says, said) = mpsc::channel();
    let client = world.program("client", move || {
        let app: SocketAddr = "198.18.0.2:80".parse().expect("an address");
        // So that the other host has its address.
        let _ = std::fs::read_to_string("/etc/hosts");
        let socket = nonblocking();
        let begun = rustix::net::connect(&socket, &app);
        assert_eq!(begun, Err(rustix::io::Errno::INPROGRESS));
        assert!(!writable_within(&socket, 30));
        says.send(()).expect("awaited");
        assert!(writable_within(&socket, 10_000));
        assert_eq!(sockopt::socket_error(&socket), Ok(Ok(())));
        let mut stream = TcpStream::from(socket);
        stream.set_nonblocking(false).expect("set");
        stream.write_all(b"late").expect("written");
    });
    said.recv().expect("it goes on trying");
    let text = world.run(async {
        use tokio::io::AsyncReadExt;
        let mut stream = listener.accept().await.expect("accepted");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("it ends");
        text
    });
    assert_eq!(text, "late");
    client.join().expect("no panic");
}

#[test]
fn a_program_that_does_not_wait_is_refused_later() {
    let world = World::new();
    let app = world.host("app");
    let listener = world.run(app.listen(":80")).expect("it listens");
    let (says, said) = mpsc::channel();
    let client = world.program("client", move || {
        let _ = std::fs::read_to_string("/etc/hosts");
        let app: SocketAddr = "198.18.0.2:80".parse().expect("an address");
        let socket = nonblocking();
        let begun = rustix::net::connect(&socket, &app);
        assert_eq!(begun, Err(rustix::io::Errno::INPROGRESS));
        assert!(!writable_within(&socket, 30));
        says.send(()).expect("awaited");
        assert!(writable_within(&socket, 10_000));
        assert_eq!(
            sockopt::socket_error(&socket),
            Ok(Err(rustix::io::Errno::CONNREFUSED))
        );
    });
    said.recv().expect("it goes on trying");
    drop(listener);
    client.join().expect("no panic");
}

#[test]
fn a_second_connect_waits_for_the_first() {
    use std::net::ToSocketAddrs;
    let world = World::new();
    let web = world.host("web");
    let listener = world.run(web.listen(":80")).expect("it listens");
    let (says, said) = mpsc::channel();
    let done = world.program("h", move || {
        let to = ("web", 80).to_socket_addrs().expect("a host").next();
        let to = to.expect("an address");
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
        let stream = TcpStream::from(socket.expect("a socket"));
        let connect = || rustix::net::connect(&stream, &to);
        assert_eq!(connect(), Err(rustix::io::Errno::INPROGRESS));
        assert_eq!(connect(), Err(rustix::io::Errno::ALREADY));
        stream.set_nonblocking(false).expect("it waits from now on");
        says.send(()).expect("awaited");
        assert_eq!(connect(), Ok(()));
        assert_eq!(connect(), Err(rustix::io::Errno::ISCONN));
    });
    said.recv().expect("it is connecting");
    let accepted = world.run(listener.accept()).expect("accepted");
    done.join().expect("no panic");
    drop(accepted);
}

#[test]
fn a_dial_in_a_closed_queue_rings_at_another_listener() {
    let world = World::new();
    let app = world.host("app");
    let db = world.program("db", || {
        let listens = || {
            let flags = SocketFlags::CLOEXEC;
            let socket =
                rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
                    .expect("a socket");
            sockopt::set_socket_reuseport(&socket, true).expect("set");
            let any = SocketAddr::from(([0, 0, 0, 0], 80));
            rustix::net::bind(&socket, &any).expect("bound");
            rustix::net::listen(&socket, 8).expect("it listens");
            TcpListener::from(socket)
        };
        let listeners = [listens(), listens()];
        let mut fds = listeners
            .each_ref()
            .map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN));
        poll(&mut fds, PollTimeout::NONE).expect("it is dialed");
        let is_first = fds[0].any().unwrap_or(false);
        let [first, second] = listeners;
        let (rung, left) = match is_first {
            true => (first, second),
            false => (second, first),
        };
        drop(rung);
        left.accept().map(drop).expect("accepted");
    });
    drop(world.run(dial(&app, "db:80")));
    db.join().expect("no panic");
}

#[test]
fn a_signal_ends_no_dial() {
    use std::io::BufRead;
    let world = World::new();
    let web = world.host("web");
    let listener = world.run(web.listen(":80")).expect("it listens");
    let (says, said) = mpsc::channel();
    let done = world.program("h", move || {
        let script = "import signal,socket\n\
            signal.signal(signal.SIGALRM, lambda *_: print('rang', flush=True))\n\
            signal.setitimer(signal.ITIMER_REAL, 0.05)\n\
            print(socket.create_connection(('web',80)).recv(1).decode())\n";
        let child = Command::new("/usr/bin/env")
            .args(["python3", "-c", script])
            .stdout(std::process::Stdio::piped())
            .spawn();
        let mut child = child.expect("it runs");
        let output = child.stdout.take().expect("piped");
        for line in io::BufReader::new(output).lines() {
            says.send(line.expect("text")).expect("awaited");
        }
        child.wait().expect("it ends").code()
    });
    assert_eq!(said.recv().expect("it rang"), "rang");
    world.run(async {
        use tokio::io::AsyncWriteExt;
        let mut accepted = listener.accept().await.expect("accepted");
        accepted.write_all(b"x").await.expect("written");
    });
    assert_eq!(said.recv().expect("it connected"), "x");
    assert_eq!(done.join().expect("no panic"), Some(0));
}

#[test]
fn resets_go_both_ways() {
    let world = World::new();
    let app = world.host("app");
    let db = world.program("db", || {
        let listener = TcpListener::bind("0.0.0.0:80").expect("bound");
        let (first, _) = listener.accept().expect("accepted");
        sockopt::set_socket_linger(&first, Some(Duration::ZERO)).expect("set");
        drop(first);
        let (mut second, _) = listener.accept().expect("accepted");
        second.read(&mut [0]).map_err(|error| error.kind())
    });
    world.run(async {
        use tokio::io::AsyncReadExt;
        let mut first = dial(&app, "db:80").await;
        let error = first.read(&mut [0]).await.expect_err("a reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
        let second = dial(&app, "db:80").await;
        lonet::carried::reset(second);
    });
    let second = db.join().expect("no panic");
    assert_eq!(second, Err(io::ErrorKind::ConnectionReset));
}

#[test]
fn a_listener_that_is_closed_refuses() {
    let world = World::new();
    let app = world.host("app");
    let (says, said) = mpsc::channel();
    let db = world.program("db", move || {
        let listener = TcpListener::bind("0.0.0.0:80").expect("bound");
        drop(listener.accept().expect("accepted"));
        drop(listener);
        says.send(()).expect("awaited");
        thread::park();
    });
    drop(world.run(dial(&app, "db:80")));
    said.recv().expect("closed");
    world.run(async { while app.dial("db:80").await.is_ok() {} });
    db.thread().unpark();
    db.join().expect("no panic");
}

#[test]
fn programs_of_others_use_the_network() {
    let world = World::new();
    let server = world.program("web", || {
        let dir = std::env::temp_dir();
        let script = "import http.server,sys\n\
            class H(http.server.BaseHTTPRequestHandler):\n\
            \x20def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'served')\n\
            s=http.server.HTTPServer(('',80),H)\n\
            s.handle_request()\n";
        let child = Command::new("/usr/bin/env")
            .args(["python3", "-c", script])
            .current_dir(dir)
            .status();
        child.expect("it runs").code()
    });
    let client = world.program("client", || {
        let curl = [
            "-s",
            "--retry",
            "100",
            "--retry-connrefused",
            "--retry-delay",
            "0",
            "http://web/",
        ];
        let output = Command::new("curl").args(curl).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    });
    assert_eq!(client.join().expect("no panic"), "served");
    assert_eq!(server.join().expect("no panic"), Some(0));
}

#[test]
fn a_signal_interrupts_what_waits() {
    let world = World::new();
    let done = world.program("h", || {
        let script = "import signal,socket\n\
            class Rang(Exception): pass\n\
            def rang(*_): raise Rang\n\
            signal.signal(signal.SIGALRM, rang)\n\
            s=socket.create_server(('',80))\n\
            signal.setitimer(signal.ITIMER_REAL, 0.05)\n\
            try: s.accept()\n\
            except Rang: print('rang')\n";
        let output = Command::new("/usr/bin/env")
            .args(["python3", "-c", script])
            .output();
        String::from_utf8_lossy(&output.expect("it runs").stdout).into_owned()
    });
    assert_eq!(done.join().expect("no panic"), "rang\n");
}
