//! Who gets in: strangers on either side, peers that say nothing, and running out of descriptors.
//!
//! The second table of what goes wrong in `docs/reliability.md`, as far as it is about peers;
//! connections are in `connections.rs`, and lines of all sorts in `lonet/tests/strangers.rs`.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed, whatever the error"
)]

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::task::Poll;
use std::time::{Duration, Instant};

use lonet::{Cause, Host, Stream, SubNetwork};
use lonet_harness::Scenario;
use lonet_tests::child::{self, Child, tell, told};
use lonet_tests::size;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::geteuid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A user that nobody is.
const NOBODY: u32 = 65534;
/// Far longer than anything here takes: what takes longer hangs.
const HANG: Duration = Duration::from_secs(60);

/// Plays a part, in a copy of this binary.
#[test]
fn child() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    match child::part().as_deref() {
        None => {}
        Some("acceptor") => runtime().block_on(acceptor()),
        Some("few-descriptors") => runtime().block_on(few_descriptors()),
        Some("intruder") => intruder(),
        Some("impostor") => impostor(),
        Some("silent") => silent(),
        Some(other) => panic!("no part is called {other}"),
    }
}

async fn within<T>(operation: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, operation)
        .await
        .expect("something hangs")
}

fn registry(net: &SubNetwork) -> rusqlite::Connection {
    let mut path: PathBuf = std::env::temp_dir();
    path.extend(["lonet", net.name(), "registry.db"]);
    rusqlite::Connection::open(path).unwrap()
}

/// Where a host is served.
fn served_at(net: &SubNetwork, host: &str) -> SocketAddrV4 {
    let osladdr: String = registry(net)
        .query_row(
            "SELECT osladdr FROM hosts WHERE hostname = ?",
            [host],
            |row| row.get(0),
        )
        .unwrap();
    osladdr.parse().unwrap()
}

fn reply(net: &SubNetwork) -> String {
    format!("< lonet \"{}\" connected \"α:1\"\n", net.network())
}

/// Is `α` of the network it is told, and accepts on `α:10`. It hangs up on nobody: the end that
/// does keeps the address occupied for a while.
async fn acceptor() {
    let net = lonet::join(&told().unwrap()).await.unwrap();
    let alpha = net.new_host("α").await.unwrap();
    let listener = alpha.listen(":10").await.unwrap();
    tell("listening");
    let mut taken = Vec::new();
    loop {
        taken.push(listener.accept().await.unwrap());
    }
}

#[tokio::test]
async fn a_squatter_on_a_dead_hosts_port_is_refused() {
    // Reads and says nothing; says something else; says what it hears; hangs up; knows all. What
    // it was told.
    type Behaviour = (&'static str, fn(TcpStream, &str) -> Vec<u8>);
    let behaviours: [Behaviour; 5] = [
        ("silent", |mut stream, _| {
            let mut heard = Vec::new();
            let _ = stream.read_to_end(&mut heard);
            heard
        }),
        ("garbage", |mut stream, _| {
            let mut heard = Vec::new();
            let _ = stream.write_all(b"220 smtp.example.org\r\n");
            let _ = stream.read_to_end(&mut heard);
            heard
        }),
        ("echo", |mut stream, _| {
            let mut heard = Vec::new();
            let mut buf = [0; 1024];
            while let Ok(read @ 1..) = stream.read(&mut buf) {
                let _ = stream.write_all(&buf[..read]);
                heard.extend_from_slice(&buf[..read]);
            }
            heard
        }),
        ("hangs up", |stream, _| {
            drop(stream);
            Vec::new()
        }),
        ("answers as the host would", |mut stream, reply| {
            let mut heard = Vec::new();
            let _ = stream.write_all(reply.as_bytes());
            let _ = stream.read_to_end(&mut heard);
            heard
        }),
    ];
    for (what, behave) in behaviours {
        let net = lonet::join("").await.unwrap();
        let beta = net.new_host("β").await.unwrap();
        let mut alpha = Child::start(child::command("acceptor"));
        alpha.say(net.name());
        assert_eq!(alpha.hear(), "listening");
        // It was there once, so that β has no need to ask where.
        drop(within(beta.dial("α:10")).await.unwrap());
        let osladdr = served_at(&net, "α");
        alpha.kill();

        let squatter = TcpListener::bind(osladdr).unwrap();
        let reply = reply(&net);
        let squatting = std::thread::spawn(move || behave(squatter.accept().unwrap().0, &reply));
        let error = within(beta.dial("α:10")).await.unwrap_err();
        assert_eq!(error.cause(), &Cause::ConnectionRefused, "{what}");
        let heard = squatting.join().unwrap();
        assert_eq!(String::from_utf8_lossy(&heard), "", "{what}");
        // Nor by one who does not know it yet.
        let gamma = lonet::join(net.name()).await.unwrap();
        let gamma = gamma.new_host("γ").await.unwrap();
        let _squatter = TcpListener::bind(osladdr);
        let error = within(gamma.dial("α:10")).await.unwrap_err();
        assert_eq!(error.cause(), &Cause::ConnectionRefused, "{what}");
        assert_eq!(beta.listen("").await.unwrap().addr().port(), 1, "{what}");
    }
}

/// A copy that runs as another user; as anybody but root, one can't have that.
fn another_user(part: &str) -> Option<Child> {
    if !geteuid().is_root() {
        println!("not shown: only root can start a process of another user");
        return None;
    }
    let mut command = child::command(part);
    command.uid(NOBODY).gid(NOBODY);
    Some(Child::start(command))
}

/// Sits where it finds a place, answers one request as `α` would, and closes all it has: its
/// listener at once if it is in haste, else once it was asked.
fn impostor() {
    let squatter = TcpListener::bind("127.66.66.66:0").unwrap();
    tell(&squatter.local_addr().unwrap().to_string());
    let (reply, in_haste) = (told().unwrap(), told().unwrap() == "in haste");
    let (mut stream, _) = squatter.accept().unwrap();
    let mut heard = Vec::new();
    if !in_haste {
        let mut byte = [0];
        while let Ok(1) = stream.read(&mut byte) {
            heard.push(byte[0]);
            if byte == *b"\n" {
                break;
            }
        }
    }
    // Once nothing listens any more, the kernel can't tell whose it was.
    drop(squatter);
    let _ = stream.write_all(format!("{reply}\n").as_bytes());
    drop(stream);
    tell(&format!("heard {}", heard.len()));
    told();
}

#[tokio::test]
async fn another_users_process_in_a_hosts_place_is_refused() {
    for manner in ["at ease", "in haste"] {
        for _ in 0..size::of(200) {
            let Some(mut impostor) = another_user("impostor") else {
                return;
            };
            let net = lonet::join("").await.unwrap();
            let beta = net.new_host("β").await.unwrap();
            let osladdr = impostor.hear();
            registry(&net)
                .execute("INSERT INTO hosts VALUES ('α', ?)", [&osladdr])
                .unwrap();
            impostor.say(reply(&net).trim_end());
            impostor.say(manner);
            let error = within(beta.dial("α:10")).await.unwrap_err();
            assert_eq!(error.cause(), &Cause::ConnectionRefused, "{manner}");
            // While its listener tells who it is, it is told nothing itself.
            assert_eq!(impostor.hear(), "heard 0", "{manner}");
        }
    }
}

/// Asks again and again to be let in, and tells how often it got an answer.
fn intruder() {
    let osladdr: SocketAddrV4 = told().unwrap().parse().unwrap();
    let request = told().unwrap();
    let times: usize = told().unwrap().parse().unwrap();
    let mut answered = 0;
    for _ in 0..times {
        let Ok(mut stream) = TcpStream::connect(osladdr) else {
            continue;
        };
        let _ = stream.write_all(format!("{request}\n").as_bytes());
        // Closed with the request unread, it ends in a reset.
        answered += usize::from(matches!(stream.read(&mut [0; 64]), Ok(1..)));
    }
    tell(&format!("answered {answered}"));
    told();
}

#[lonet::test(timeout = "120s")]
async fn another_users_client_does_not_get_in(scenario: Scenario) -> lonet_harness::Result<()> {
    let Some(mut intruder) = another_user("intruder") else {
        return Ok(());
    };
    let alpha = scenario.host("α").await?;
    let listener = alpha.listen(":10").await?;
    let net = lonet::join(scenario.network().trim_start_matches("lonet")).await?;
    intruder.say(&served_at(&net, "α").to_string());
    intruder.say(&format!(
        "> lonet \"{}\" dial \"β:1\" \"α:10\"",
        scenario.network()
    ));
    intruder.say(&size::of(1000).to_string());
    let heard = tokio::task::spawn_blocking(move || intruder.hear());
    let heard = tokio::select! {
        accepted = listener.accept() => panic!("got in: {accepted:?}"),
        heard = heard => heard?,
    };
    assert_eq!(heard, "answered 0");
    listener.close().await?;
    // None of it was an event.
    scenario.assert_trace(
        "α:10 listen
         α:10 close",
    );
    Ok(())
}

/// Becomes another user and connects from an address that is in use towards another destination:
/// the kernel gives it, if nothing is bound by hand and this port is asked for. Python, as an
/// option that no library knows is set without `unsafe`.
const NEIGHBOUR: &str = r#"
import os, socket, struct, sys
os.setgid(65534)
os.setuid(65534)
(source, port), (target, at) = (arg.split(":") for arg in sys.argv[1:3])
port = int(port)
peer = socket.socket()
peer.settimeout(60)
try:
    peer.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    peer.setsockopt(socket.IPPROTO_IP, 51, struct.pack("I", port << 16 | port))  # IP_LOCAL_PORT_RANGE
except OSError as error:
    sys.exit(f"not shown: {error}")
peer.bind((source, 0))
peer.connect((target, int(at)))
assert peer.getsockname() == (source, port)
heard = b""
try:
    peer.sendall(sys.argv[3].encode() + b"\n")
    heard = peer.recv(64)
except (BrokenPipeError, ConnectionResetError):
    pass
print(f"heard {len(heard)}")
"#;

/// Where the only connection comes from that leads there.
fn comes_from(to: SocketAddrV4) -> Option<SocketAddrV4> {
    let listed = |addr: SocketAddrV4| {
        let ip = u32::from_ne_bytes(addr.ip().octets());
        format!("{ip:08X}:{:04X}", addr.port())
    };
    let list = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let line = list.lines().find(|line| {
        let mut columns = line.split_ascii_whitespace().skip(2);
        columns.next() == Some(&listed(to)) && columns.next() == Some("01")
    })?;
    let (ip, port) = line.split_ascii_whitespace().nth(1)?.split_once(':')?;
    let ip = u32::from_str_radix(ip, 16).unwrap().to_ne_bytes();
    let port = u16::from_str_radix(port, 16).unwrap();
    Some(SocketAddrV4::new(ip.into(), port))
}

/// A port is a dialer's towards one destination only. Whoever else has it, is asked who he is.
#[tokio::test]
async fn a_dialer_of_another_user_is_refused() {
    if !geteuid().is_root() {
        println!("not shown: only root can start a process of another user");
        return;
    }
    let alphas = lonet::join("").await.unwrap();
    let betas = lonet::join(alphas.name()).await.unwrap();
    let alpha = alphas.new_host("α").await.unwrap();
    let beta = betas.new_host("β").await.unwrap();
    let _waited_at = alpha.listen(":10").await.unwrap();
    let listener = beta.listen(":20").await.unwrap();
    let mut dial = Box::pin(beta.dial("α:10"));
    let to = served_at(&alphas, "α");
    let source = within(async {
        loop {
            if let Some(source) = comes_from(to) {
                break source;
            }
            let poll = std::future::poll_fn(|cx| Poll::Ready(dial.as_mut().poll(cx))).await;
            assert!(poll.is_pending());
            tokio::task::yield_now().await;
        }
    })
    .await;
    let neighbour = tokio::process::Command::new("python3")
        .args(["-c", NEIGHBOUR])
        .arg(source.to_string())
        .arg(served_at(&betas, "β").to_string())
        .arg(format!(
            "> lonet \"{}\" dial \"γ:1\" \"β:20\"",
            betas.network()
        ))
        .output();
    let neighbour = within(async {
        tokio::select! {
            accepted = listener.accept() => panic!("got in: {accepted:?}"),
            dialed = &mut dial => panic!("nobody accepts: {dialed:?}"),
            neighbour = neighbour => neighbour.unwrap(),
        }
    })
    .await;
    let [said, failed] = [&neighbour.stdout, &neighbour.stderr]
        .map(|text| String::from_utf8_lossy(text).trim().to_owned());
    if failed.starts_with("not shown") {
        println!("{failed}");
        return;
    }
    assert_eq!((&*said, &*failed), ("heard 0", ""));
}

/// Takes as many descriptors as it may have.
fn all_descriptors() -> u64 {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    most
}

/// Connects so often, says nothing, and hangs up on nobody.
fn silent() {
    let osladdr: SocketAddrV4 = told().unwrap().parse().unwrap();
    let wanted: usize = told().unwrap().parse().unwrap();
    let most = usize::try_from(all_descriptors()).unwrap_or(usize::MAX);
    let peers: Vec<TcpStream> = (0..wanted.min(most.saturating_sub(50)))
        .map(|_| TcpStream::connect(osladdr).unwrap())
        .collect();
    tell(&peers.len().to_string());
    told();
}

#[tokio::test]
async fn silent_peers_do_not_slow_honest_dials() {
    let net = lonet::join("").await.unwrap();
    let alpha = net.new_host("α").await.unwrap();
    let listener = alpha.listen(":10").await.unwrap();
    let beta = net.new_host("β").await.unwrap();
    let mut silent = Child::start(child::command("silent"));
    silent.say(&served_at(&net, "α").to_string());
    silent.say(&size::of(10_000).to_string());
    let mut all_there = tokio::task::spawn_blocking(move || (silent.hear(), silent));
    let mut times = Vec::new();
    let mut after = 0;
    let mut peers = None;
    // While they come, and for a while after the last one.
    while after < size::of(1000) {
        let begun = Instant::now();
        let (_accepted, _dialed) =
            within(async { tokio::try_join!(listener.accept(), beta.dial("α:10")).unwrap() }).await;
        times.push(begun.elapsed());
        match &peers {
            Some(_) => after += 1,
            None if all_there.is_finished() => peers = Some((&mut all_there).await.unwrap()),
            None => tokio::task::yield_now().await,
        }
    }
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    let dials = times.len();
    let peers = peers.unwrap().0;
    println!(
        "{peers} silent peers, {dials} dials meanwhile: p50 {:?}, p99 {p99:?}",
        times[dials / 2]
    );
    if size::is_full() {
        assert!(p99 < Duration::from_millis(50), "{p99:?}");
    }
    assert_eq!(alpha.listen("").await.unwrap().addr().port(), 1);
}

/// Is `α`, accepts until it can't, and lets go of all when it is told.
async fn few_descriptors() {
    let net = lonet::join(&told().unwrap()).await.unwrap();
    let alpha = net.new_host("α").await.unwrap();
    let listener = alpha.listen(":10").await.unwrap();
    let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    setrlimit(Resource::RLIMIT_NOFILE, used + 20, used + 20).unwrap();
    tell("listening");
    let mut orders = tokio::task::spawn_blocking(told);
    let mut taken: Vec<Stream> = Vec::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                taken.push(accepted.unwrap());
                tell("accepted");
            }
            order = &mut orders => {
                if order.unwrap().is_none() {
                    return;
                }
                taken.clear();
                orders = tokio::task::spawn_blocking(told);
            }
        }
    }
}

#[tokio::test]
async fn a_network_recovers_from_running_out_of_descriptors() {
    let net = lonet::join("").await.unwrap();
    let beta = net.new_host("β").await.unwrap();
    let mut acceptor = Child::start(child::command("few-descriptors"));
    acceptor.say(net.name());
    assert_eq!(acceptor.hear(), "listening");
    for _ in 0..size::of(50) {
        within(fill_and_drain(&beta, &mut acceptor)).await;
    }
    assert_eq!(beta.listen("").await.unwrap().addr().port(), 1);
}

/// Dials more often than the acceptor has descriptors for: the last ones wait. Whenever it lets
/// go of what it has, some of those get in; in the end, all.
async fn fill_and_drain(beta: &Host, acceptor: &mut Child) {
    let mut dialed = Vec::new();
    let mut dials = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let beta = beta.clone();
        dials.spawn(async move { beta.dial("α:10").await });
    }
    while dialed.len() < 10 {
        dialed.push(dials.join_next().await.unwrap().unwrap().unwrap());
    }
    while !dials.is_empty() {
        acceptor.say("let go");
        // It is told again and again, as it can't know how many still come.
        let pause = Duration::from_millis(20);
        while let Ok(Some(done)) = tokio::time::timeout(pause, dials.join_next()).await {
            dialed.push(done.unwrap().unwrap());
        }
    }
    assert_eq!(dialed.len(), 40);
    acceptor.say("let go");
}

/// A line of exactly so many bytes, its newline included: blanks may stand between words.
fn stretched(line: &str, length: usize) -> Vec<u8> {
    let (first, rest) = line.split_once(' ').unwrap();
    let blanks = " ".repeat(length - line.len() + 1);
    format!("{first}{blanks}{rest}").into_bytes()
}

#[tokio::test]
async fn a_request_has_at_most_1024_bytes() {
    let net = lonet::join("").await.unwrap();
    let alpha = net.new_host("α").await.unwrap();
    let listener = alpha.listen(":10").await.unwrap();
    let osladdr = served_at(&net, "α");
    let request = format!("> lonet \"{}\" dial \"β:7\" \"α:10\"\n", net.network());
    for length in [1023, 1024] {
        let mut peer = tokio::net::TcpStream::connect(osladdr).await.unwrap();
        let line = stretched(&request, length);
        assert_eq!(line.len(), length);
        // What comes glued to it is the user's.
        peer.write_all(&[&line[..], b"data"].concat())
            .await
            .unwrap();
        let mut accepted = within(listener.accept()).await.unwrap();
        assert_eq!(accepted.peer_addr().to_string(), "β:7");
        let mut data = [0; 4];
        within(accepted.read_exact(&mut data)).await.unwrap();
        assert_eq!(&data, b"data");
    }
    let mut peer = tokio::net::TcpStream::connect(osladdr).await.unwrap();
    peer.write_all(&stretched(&request, 1025)).await.unwrap();
    let mut answer = String::new();
    within(peer.read_to_string(&mut answer)).await.unwrap();
    assert!(
        answer.ends_with("E \"protocol error: invalid dial request\"\n"),
        "{answer}"
    );
}

/// Dials a host in whose place this answers, as an original would be found.
async fn dial_into(
    net: &SubNetwork,
    beta: &Host,
    answer: &[u8],
    bytewise: bool,
) -> lonet::Result<Stream> {
    let server = tokio::net::TcpListener::bind("127.77.7.8:0").await.unwrap();
    registry(net)
        .execute(
            "INSERT OR REPLACE INTO hosts VALUES ('α', ?)",
            [server.local_addr().unwrap().to_string()],
        )
        .unwrap();
    let serve = async {
        let (mut stream, _) = server.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        while stream.read_u8().await.unwrap() != b'\n' {}
        if bytewise {
            for byte in answer {
                // A dialer that has had enough hangs up.
                let _ = stream.write_all(&[*byte]).await;
                tokio::task::yield_now().await;
            }
        } else {
            let _ = stream.write_all(answer).await;
        }
    };
    within(async { tokio::join!(beta.dial("α:10"), serve) })
        .await
        .0
}

/// However long the port.
#[tokio::test]
async fn what_follows_a_reply_is_the_users() {
    let net = lonet::join("").await.unwrap();
    let beta = net.new_host("β").await.unwrap();
    for peer in ["α:1", "α:12", "α:345", "α:6789", "α:65535"] {
        for bytewise in [false, true] {
            let answer = reply(&net).replace("α:1", peer) + "welcome";
            let dialed = dial_into(&net, &beta, answer.as_bytes(), bytewise).await;
            let mut dialed = dialed.unwrap();
            assert_eq!(dialed.peer_addr().to_string(), peer);
            let mut text = String::new();
            within(dialed.read_to_string(&mut text)).await.unwrap();
            assert_eq!(text, "welcome", "{peer} {bytewise}");
        }
    }
    // One that could only be read too far is none.
    let answer = reply(&net).replace("α", "a") + "welcome";
    let error = dial_into(&net, &beta, answer.as_bytes(), false).await;
    let error = error.unwrap_err();
    assert!(matches!(error.cause(), Cause::Protocol(_)), "{error}");
    // What turns a dial down may be shorter.
    let refusal = format!("< lonet \"{}\" E \"x\"\n", net.network());
    let error = dial_into(&net, &beta, refusal.as_bytes(), false).await;
    assert_eq!(error.unwrap_err().cause(), &Cause::Protocol("x".into()));
}

#[tokio::test]
async fn a_reply_has_at_most_1024_bytes() {
    let net = lonet::join("").await.unwrap();
    let beta = net.new_host("β").await.unwrap();
    for length in [1023, 1024, 1025] {
        for bytewise in [false, true] {
            let line = [&stretched(&reply(&net), length)[..], b"welcome"].concat();
            let dialed = dial_into(&net, &beta, &line, bytewise).await;
            if length > 1024 {
                let error = dialed.unwrap_err();
                assert!(matches!(error.cause(), Cause::Protocol(_)), "{error}");
                continue;
            }
            let mut text = String::new();
            within(dialed.unwrap().read_to_string(&mut text))
                .await
                .unwrap();
            assert_eq!(text, "welcome", "{length} {bytewise}");
        }
    }
    assert_eq!(beta.listen("").await.unwrap().addr().port(), 1);
}
