//! Peers that speak the wire's lines in odd ways, or not at all: on the accepting side, where
//! anybody may connect, and on the dialing side, where another program may sit on a host's port.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed, whatever the error"
)]

use std::path::PathBuf;
use std::time::Duration;

use lonet::{Cause, Result, SubNetwork};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn registry(net: &SubNetwork) -> rusqlite::Connection {
    let path: PathBuf = [
        std::env::temp_dir().to_str().unwrap(),
        "lonet",
        net.name(),
        "registry.db",
    ]
    .iter()
    .collect();
    rusqlite::Connection::open(path).unwrap()
}

/// A plain TCP connection to where a host is served.
async fn knock(net: &SubNetwork, host: &str) -> TcpStream {
    let osladdr: String = registry(net)
        .query_row(
            "SELECT osladdr FROM hosts WHERE hostname = ?",
            [host],
            |row| row.get(0),
        )
        .unwrap();
    TcpStream::connect(osladdr).await.unwrap()
}

/// Asks for a connection with this line, and reads to the end of the answer.
async fn answer_to(net: &SubNetwork, line: &[u8]) -> String {
    let mut stream = knock(net, "α").await;
    stream.write_all(line).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.replace(net.network(), "net")
}

#[tokio::test]
async fn a_request_may_come_in_pieces_or_glued() -> Result<()> {
    let net = lonet::join("").await?;
    let listener = net.new_host("α").await?.listen(":10").await?;
    let request = format!("> lonet \"{}\" dial \"β:7\" \"α:10\"\n", net.network());

    let mut slow = knock(&net, "α").await;
    slow.set_nodelay(true).unwrap();
    for byte in request.as_bytes() {
        slow.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let accepted = listener.accept().await?;
    assert_eq!(accepted.peer_addr().to_string(), "β:7");
    let connected = [
        b"< lonet \"",
        net.network().as_bytes(),
        b"\" connected \"\xce\xb1:1\"\n",
    ]
    .concat();
    let mut reply = vec![0; connected.len()];
    slow.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply, connected);

    let mut glued = knock(&net, "α").await;
    glued
        .write_all(format!("{request}hello").as_bytes())
        .await
        .unwrap();
    let mut accepted = listener.accept().await?;
    let mut hello = [0; 5];
    accepted.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
    Ok(())
}

#[tokio::test]
async fn bad_requests_are_answered() -> Result<()> {
    let net = lonet::join("").await?;
    let _listener = net.new_host("α").await?.listen(":10").await?;
    let full = net.network().to_owned();
    let request = |network: &str, src: &str, dst: &str| {
        format!("> lonet \"{network}\" dial \"{src}\" \"{dst}\"\n").into_bytes()
    };
    for (line, text) in [
        (
            b"GET / HTTP/1.1\r\n".to_vec(),
            "protocol error: invalid dial request",
        ),
        // The first two bytes of a request are part of it, and are not those of a reply.
        (
            request(&full, "β:1", "α:10")[2..].to_vec(),
            "protocol error: invalid dial request",
        ),
        (
            [b"< ", &request(&full, "β:1", "α:10")[2..]].concat(),
            "protocol error: invalid dial request",
        ),
        (vec![b'x'; 1024], "protocol error: invalid dial request"),
        (vec![b'x'; 5000], "protocol error: invalid dial request"),
        (
            request("lonetother", "β:1", "α:10"),
            "protocol error: network mismatch",
        ),
        (
            request(&full, "β", "α:10"),
            "protocol error: src address invalid",
        ),
        (
            request(&full, "β:1", "α"),
            "protocol error: dst address invalid",
        ),
        (request(&full, "β:1", "α:11"), "connection refused"),
        (request(&full, "β:1", "γ:10"), "connection refused"),
    ] {
        assert_eq!(
            answer_to(&net, &line).await,
            format!("< lonet \"net\" E \"{text}\"\n")
        );
    }
    Ok(())
}

#[tokio::test]
async fn silent_peers_block_no_others() -> Result<()> {
    let net = lonet::join("").await?;
    let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
    let listener = alpha.listen(":10").await?;
    let mut silent = vec![knock(&net, "α").await];
    let osladdr = silent[0].peer_addr().unwrap();
    while silent.len() < 300 {
        silent.push(TcpStream::connect(osladdr).await.unwrap());
        if silent.len() % 100 == 0 {
            drop(tokio::try_join!(listener.accept(), beta.dial("α:10"))?);
        }
    }
    // More than 256 are too many: the first ones were hung up on, and are heard no more.
    let _ = silent[0].write_all(&request(&net, "γ:9")).await;
    // The last ones are still waited for.
    let last = silent.last_mut().unwrap();
    last.write_all(&request(&net, "γ:1")).await.unwrap();
    assert_eq!(listener.accept().await?.peer_addr().to_string(), "γ:1");
    assert_eq!(silent[0].read(&mut [0]).await.unwrap_or(0), 0);
    Ok(())
}

fn request(net: &SubNetwork, src: &str) -> Vec<u8> {
    format!("> lonet \"{}\" dial \"{src}\" \"α:10\"\n", net.network()).into_bytes()
}

/// A peer whose request is in the queue of the listener of `α:10`.
async fn queued(net: &SubNetwork, src: &str) -> TcpStream {
    let mut stream = knock(net, "α").await;
    stream.write_all(&request(net, src)).await.unwrap();
    // Who is refused came after it.
    let later = net.host("α").unwrap().dial(":11").await;
    assert_eq!(later.unwrap_err().cause(), &Cause::ConnectionRefused);
    stream
}

#[tokio::test]
async fn disconnected_dialers_are_not_accepted() -> Result<()> {
    let net = lonet::join("").await?;
    let listener = net.new_host("α").await?.listen(":10").await?;
    drop(queued(&net, "β:1").await);
    let reset = queued(&net, "β:2").await;
    reset.set_zero_linger().unwrap();
    drop(reset);
    let _waits = queued(&net, "β:3").await;
    assert_eq!(listener.accept().await?.peer_addr().to_string(), "β:3");
    Ok(())
}

/// Their descriptors are free again though nobody accepts, and nobody else loses a place for it.
#[tokio::test]
async fn disconnected_dialers_leave_a_long_queue() -> Result<()> {
    let net = lonet::join("").await?;
    let listener = net.new_host("α").await?.listen(":10").await?;
    let mut gone = queued(&net, "β:1").await;
    gone.shutdown().await.unwrap();
    let mut waiting = Vec::new();
    for port in 2..=65 {
        waiting.push(queued(&net, &format!("β:{port}")).await);
    }
    let end = tokio::time::timeout(Duration::from_secs(20), gone.read(&mut [0])).await;
    assert_eq!(end.expect("it stays in the queue").unwrap(), 0);
    for port in 2..=65 {
        let accepted = listener.accept().await?;
        assert_eq!(accepted.peer_addr().to_string(), format!("β:{port}"));
    }
    Ok(())
}

#[tokio::test]
async fn a_closed_listener_refuses_waiting_dialers() -> Result<()> {
    let net = lonet::join("").await?;
    let listener = net.new_host("α").await?.listen(":10").await?;
    let mut waits = queued(&net, "β:1").await;
    listener.close().await?;
    let mut answer = String::new();
    waits.read_to_string(&mut answer).await.unwrap();
    let expected = format!("< lonet \"{}\" E \"connection refused\"\n", net.network());
    assert_eq!(answer, expected);
    Ok(())
}

/// At once, not only when its time is up.
#[tokio::test]
async fn closing_the_network_disconnects_silent_peers() -> Result<()> {
    let net = lonet::join("").await?;
    let _alpha = net.new_host("α").await?;
    let mut silent = knock(&net, "α").await;
    let beta = net.new_host("β").await?;
    assert!(beta.dial("α:11").await.is_err());
    net.close().await?;
    let end = tokio::time::timeout(Duration::from_secs(4), silent.read(&mut [0])).await;
    assert_eq!(end.expect("it is still waited for").unwrap_or(0), 0);
    Ok(())
}

#[tokio::test]
async fn a_silent_peer_is_disconnected_after_its_deadline() -> Result<()> {
    let net = lonet::join("").await?;
    let _alpha = net.new_host("α").await?;
    let mut silent = knock(&net, "α").await;
    silent.write_all(b"> lonet \"").await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(60), silent.read(&mut [0])).await;
    assert_eq!(end.expect("5 s are over").unwrap_or(0), 0);
    Ok(())
}

/// What a dial ends with when this answers it in a host's place.
async fn dialed_into(behave: impl AsyncFnOnce(TcpStream, &str)) -> (String, Result<lonet::Stream>) {
    let net = lonet::join("").await.unwrap();
    let beta = net.new_host("β").await.unwrap();
    let squatter = TcpListener::bind("127.77.7.7:0").await.unwrap();
    registry(&net)
        .execute(
            "INSERT INTO hosts VALUES ('α', ?)",
            [squatter.local_addr().unwrap().to_string()],
        )
        .unwrap();
    let network = net.network().to_owned();
    let play = async {
        let (mut stream, _) = squatter.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        // As the originals read it: with two bytes before the word, and one blank between words.
        let (before, behind) = (b"> lonet \"", b"\" dial \"\xce\xb2:1\" \"\xce\xb1:10\"\n");
        assert_eq!(request, [before, network.as_bytes(), behind].concat());
        behave(stream, &network).await;
    };
    let (dialed, ()) = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::join!(beta.dial("α:10"), play)
    })
    .await
    .expect("a dial hangs");
    (network.clone(), dialed)
}

#[tokio::test]
async fn what_answers_in_a_hosts_place() {
    let cause = |(_, dialed): (String, Result<lonet::Stream>)| dialed.unwrap_err().cause().clone();
    let hangs_up = dialed_into(async |stream, _| drop(stream)).await;
    assert_eq!(cause(hangs_up), Cause::ConnectionRefused);
    let resets = dialed_into(async |stream, _| stream.set_zero_linger().unwrap()).await;
    assert_eq!(cause(resets), Cause::ConnectionRefused);
    let garbage = dialed_into(async |mut stream, _| stream.write_all(b"220 hi\r\n").await.unwrap());
    assert!(matches!(cause(garbage.await), Cause::Protocol(_)));
    let invalid = Cause::Protocol("invalid reply".to_owned());
    for begun in ["", "> "] {
        let unmarked = dialed_into(async |mut stream, net| {
            let line = format!("{begun}lonet \"{net}\" connected \"α:1\"\n");
            stream.write_all(line.as_bytes()).await.unwrap();
        });
        assert_eq!(cause(unmarked.await), invalid);
        let unmarked = dialed_into(async |mut stream, net| {
            let line = format!("{begun}lonet \"{net}\" E \"connection refused\"\n");
            stream.write_all(line.as_bytes()).await.unwrap();
        });
        assert_eq!(cause(unmarked.await), invalid);
    }
    for text in [
        "network mismatch",
        "invalid dial request",
        "src address invalid",
        "dst address invalid",
    ] {
        let refused = dialed_into(async |mut stream, net| {
            let line = format!("< lonet \"{net}\" E \"protocol error: {text}\"\n");
            stream.write_all(line.as_bytes()).await.unwrap();
        });
        assert_eq!(cause(refused.await), Cause::Protocol(text.to_owned()));
    }
    let refused = dialed_into(async |mut stream, net| {
        let line = format!("< lonet \"{net}\" E \"connection refused\"\n");
        stream.write_all(line.as_bytes()).await.unwrap();
    });
    assert_eq!(cause(refused.await), Cause::ConnectionRefused);
    let endless = dialed_into(async |mut stream, _| stream.write_all(&[b'x'; 4096]).await.unwrap());
    assert!(matches!(cause(endless.await), Cause::Protocol(_)));
    let original = dialed_into(async |mut stream, net| {
        let line = format!("< lonet \"{net}\" E \"dial: no such host\"\n");
        stream.write_all(line.as_bytes()).await.unwrap();
    });
    assert_eq!(cause(original.await), Cause::ConnectionRefused);
    let another = dialed_into(async |mut stream, net| {
        let line = format!("< lonet \"{net}\" connected \"π:1\"\n");
        stream.write_all(line.as_bytes()).await.unwrap();
    });
    let why = "π:1 answered, but α was dialed";
    assert_eq!(cause(another.await), Cause::Protocol(why.to_owned()));
}

/// An original has no lease, so its row says whether it is there.
#[tokio::test]
async fn a_dial_does_not_wait_for_a_departed_original() {
    let (_, dialed) = dialed_into(async |mut stream, network| {
        let dir = std::env::temp_dir().join("lonet");
        let path = dir
            .join(network.trim_start_matches("lonet"))
            .join("registry.db");
        let registry = rusqlite::Connection::open(path).unwrap();
        registry
            .execute("DELETE FROM hosts WHERE hostname = 'α'", [])
            .unwrap();
        // The dialer hangs up.
        assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    })
    .await;
    assert_eq!(dialed.unwrap_err().cause(), &Cause::ConnectionRefused);
}

#[tokio::test]
async fn a_server_may_speak_first() {
    let (_, dialed) = dialed_into(async |mut stream, net| {
        let glued = format!("< lonet \"{net}\" connected \"α:3\"\nwelcome");
        stream.write_all(glued.as_bytes()).await.unwrap();
    })
    .await;
    let mut dialed = dialed.unwrap();
    assert_eq!(dialed.peer_addr().to_string(), "α:3");
    let mut text = String::new();
    dialed.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "welcome");
}
