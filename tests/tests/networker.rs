//! One server and one client, written once, on every network that a `Networker` can be.
//!
//! What a lonet network itself promises is shown in the conformance tests.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes the helpers of tests for no tests"
)]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lonet::server_name_of;
use lonet::{AnyNetwork, Cause, Host, NetListener, NetStream, Networker, Tcp, Tls, pipenet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Answers each client with what it said, in capitals, and with where it is; one task a client.
async fn serve<L: NetListener>(listener: Arc<L>) -> io::Result<()> {
    loop {
        let mut conn = listener.accept().await?;
        tokio::spawn(async move {
            let mut text = String::new();
            conn.read_to_string(&mut text).await?;
            let answer = format!("{} from {}", text.to_uppercase(), conn.peer_addr());
            conn.write_all(answer.as_bytes()).await?;
            conn.shutdown().await
        });
    }
}

/// Asks; in the answer, `me` stands for the address of this end.
async fn ask<N: Networker>(net: &N, addr: &str, text: &str) -> io::Result<String> {
    let mut conn = net.dial(addr).await?;
    conn.write_all(text.as_bytes()).await?;
    // Half closed: the answer comes in spite of it.
    conn.shutdown().await?;
    let mut answer = String::new();
    conn.read_to_string(&mut answer).await?;
    Ok(answer.replace(&conn.local_addr(), "me"))
}

/// The whole of it, from one place of a network to another.
async fn check<N: Networker>(server: N, client: N, addr: &str) {
    let listener = Arc::new(server.listen(addr).await.unwrap());
    let addr = listener.addr();
    let serving = tokio::spawn(serve(Arc::clone(&listener)));

    let silent = client.dial(&addr).await.unwrap();
    let host = |addr: &str| addr.rsplit_once(':').unwrap().0.to_owned();
    assert_eq!(host(&silent.peer_addr()), host(&addr));
    let (ping, pong) = tokio::join!(ask(&client, &addr, "ping"), ask(&client, &addr, "pong"));
    assert_eq!(ping.unwrap(), "PING from me");
    assert_eq!(pong.unwrap(), "PONG from me");

    // Half a megabyte, which no buffer on the way holds.
    let large = "x".repeat(1 << 19);
    let answer = ask(&client, &addr, &large).await.unwrap();
    assert_eq!(answer, format!("{} from me", large.to_uppercase()));

    // Whoever waits in `accept` is woken.
    listener.close().await.unwrap();
    let stopped = serving.await.unwrap().unwrap_err();
    assert_eq!(stopped.kind(), io::ErrorKind::NotConnected, "{stopped}");
    let down = listener.accept().await.map(drop).unwrap_err();
    assert_eq!(down.kind(), io::ErrorKind::NotConnected, "{down}");
    let refused = client.dial(&addr).await.map(drop).unwrap_err();
    assert_eq!(
        refused.kind(),
        io::ErrorKind::ConnectionRefused,
        "{refused}"
    );

    drop(silent);
    client.close().await.unwrap();
    server.close().await.unwrap();
}

async fn lonet_hosts() -> (Host, Host) {
    let network = lonet::join("").await.unwrap();
    (
        network.new_host("α").await.unwrap(),
        network.new_host("β").await.unwrap(),
    )
}

async fn pipenet_hosts() -> (Host, Host) {
    let network = pipenet::network("x");
    (
        network.new_host("α").await.unwrap(),
        network.new_host("β").await.unwrap(),
    )
}

/// What makes a network one with TLS, where the only certificate is for that host.
fn tls<N: Networker>(host: &str) -> impl Fn(N) -> Tls<N> + use<N> {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([server_name_of(host)]).unwrap();
    let provider = Arc::new(ring::default_provider());
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (server, client) = (Arc::new(server), Arc::new(client));
    move |net| {
        Tls::new(net)
            .with_server(Arc::clone(&server))
            .with_client(Arc::clone(&client))
    }
}

#[tokio::test]
async fn over_tcp() {
    check(Tcp, Tcp, "127.0.0.1:0").await;
}

#[tokio::test]
async fn tcp_does_not_delay() {
    let listener = Tcp.listen("127.0.0.1:0").await.unwrap();
    let addr = listener.addr();
    let (accepted, dialed) = tokio::join!(listener.accept(), Tcp.dial(&addr));
    for stream in [accepted.unwrap(), dialed.unwrap()] {
        assert!(stream.as_ref().nodelay().unwrap());
    }
}

#[tokio::test]
async fn over_lonet() {
    let (alpha, beta) = lonet_hosts().await;
    check(alpha, beta, ":10").await;
}

#[tokio::test]
async fn over_pipenet() {
    let (alpha, beta) = pipenet_hosts().await;
    check(alpha, beta, ":10").await;
}

#[tokio::test]
async fn over_tls_over_tcp() {
    let tls = tls("127.0.0.1");
    check(tls(Tcp), tls(Tcp), "127.0.0.1:0").await;
}

#[tokio::test]
async fn over_tls_over_lonet() {
    let (alpha, beta) = lonet_hosts().await;
    let tls = tls("α");
    check(tls(alpha), tls(beta), ":10").await;
}

#[tokio::test]
async fn over_tls_over_pipenet() {
    let (alpha, beta) = pipenet_hosts().await;
    let tls = tls("α");
    check(tls(alpha), tls(beta), ":10").await;
}

/// One list of networks of different types, which is what the erased form is for.
#[tokio::test]
async fn over_any_network() {
    let (alpha, beta) = lonet_hosts().await;
    let (gamma, delta) = pipenet_hosts().await;
    let (epsilon, zeta) = lonet_hosts().await;
    let tls = tls("α");
    let networks = [
        (AnyNetwork::new(Tcp), AnyNetwork::new(Tcp), "127.0.0.1:0"),
        (AnyNetwork::new(alpha), AnyNetwork::new(beta), ":10"),
        (AnyNetwork::new(gamma), AnyNetwork::new(delta), ":10"),
        (
            AnyNetwork::new(tls(epsilon)),
            AnyNetwork::new(AnyNetwork::new(tls(zeta))),
            ":10",
        ),
    ];
    for (server, client, addr) in networks.clone() {
        check(server, client, addr).await;
    }
    let names: Vec<_> = networks[1..]
        .iter()
        .map(|(server, client, _)| [server.name(), client.name()])
        .collect();
    assert_eq!(names, [["α", "β"]; 3]);
    assert_eq!(networks[2].0.network(), "pipex");
    assert_eq!(networks[0].0.network(), "tcp");
    assert!(networks[3].0.network().starts_with("tls+lonet"));
}

/// An error of a lonet host is as good through the trait as without it.
#[tokio::test]
async fn errors_stay_what_they_are() {
    async fn dial<N: Networker>(net: N, addr: &str) -> io::Error {
        net.dial(addr).await.map(drop).unwrap_err()
    }
    let (alpha, beta) = pipenet_hosts().await;
    let error = dial(alpha, "γ:1").await;
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert_eq!(
        error.downcast::<lonet::Error>().unwrap().cause(),
        &Cause::NoSuchHost
    );

    let error = dial(AnyNetwork::new(tls("γ")(beta)), "γ:1").await;
    assert_eq!(
        error.downcast::<lonet::Error>().unwrap().cause(),
        &Cause::NoSuchHost
    );
}

/// A peer that says nothing is accepted, and keeps no other one waiting for its handshake.
#[tokio::test]
async fn a_silent_peer_does_not_hold_up_tls() {
    let (alpha, beta) = pipenet_hosts().await;
    let tls = tls("α");
    let server = tls(alpha);
    let listener = Arc::new(server.listen(":10").await.unwrap());
    let serving = tokio::spawn(serve(Arc::clone(&listener)));

    let mut silent = Networker::dial(&beta, "α:10").await.unwrap();
    assert_eq!(
        ask(&tls(beta), "α:10", "ping").await.unwrap(),
        "PING from me"
    );

    // One that speaks something else is told so, in TLS's words, and is rid of.
    silent.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut alert = Vec::new();
    silent.read_to_end(&mut alert).await.unwrap();
    assert_eq!(
        alert.first(),
        Some(&21),
        "{alert:?}: a record of type alert"
    );

    listener.close().await.unwrap();
    serving.await.unwrap().unwrap_err();
}

/// A dial is over once it is accepted, as it is without TLS.
#[tokio::test]
async fn a_tls_dial_waits_for_no_read() {
    let (alpha, beta) = lonet_hosts().await;
    let tls = tls("α");
    let (server, client) = (tls(alpha), tls(beta));
    let listener = server.listen(":10").await.unwrap();
    let connected = async { tokio::try_join!(listener.accept(), client.dial("α:10")) };
    let connected = tokio::time::timeout(Duration::from_secs(60), connected).await;
    let (mut accepted, mut dialed) = connected.expect("the dial waits for a read").unwrap();
    accepted.write_all(b"pong").await.unwrap();
    accepted.shutdown().await.unwrap();
    let mut pong = String::new();
    dialed.read_to_string(&mut pong).await.unwrap();
    assert_eq!(pong, "pong");
}

/// Both halves of what was accepted may wait for the handshake, each in a task of its own.
#[tokio::test]
async fn the_halves_of_a_tls_connection_wake_each_other() {
    let (alpha, beta) = lonet_hosts().await;
    let tls = tls("α");
    let (server, client) = (tls(alpha), tls(beta));
    let listener = server.listen(":10").await.unwrap();
    let talk = async {
        let dialing = tokio::spawn(async move { client.dial("α:10").await });
        let (mut reads, mut writes) = tokio::io::split(listener.accept().await.unwrap());
        let reading = tokio::spawn(async move { reads.read_u8().await.unwrap() });
        let writing = tokio::spawn(async move {
            writes.write_u8(b'1').await.unwrap();
            writes.flush().await.unwrap();
        });
        let mut dialed = dialing.await.unwrap().unwrap();
        assert_eq!(dialed.read_u8().await.unwrap(), b'1');
        writing.await.unwrap();
        dialed.write_u8(b'2').await.unwrap();
        dialed.flush().await.unwrap();
        assert_eq!(reading.await.unwrap(), b'2');
    };
    tokio::time::timeout(Duration::from_secs(60), talk)
        .await
        .expect("a half was not woken");
}

/// The runtime that accepted may end before the handshake is made.
#[test]
fn a_tls_handshake_outlives_the_runtime_that_accepted() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (accepting, dialing) = (runtime(), runtime());
    let (alpha, beta) = dialing.block_on(pipenet_hosts());
    let tls = tls("α");
    let (server, client) = (tls(alpha), tls(beta));
    let listener = dialing.block_on(server.listen(":10")).unwrap();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let dialed = dialing.spawn(async move {
        let plain = Networker::dial(client.inner(), "α:10").await.unwrap();
        gone.await.unwrap();
        drop(plain);
    });
    let accepted = accepting.block_on(listener.accept()).unwrap();
    let (mut reads, mut writes) = tokio::io::split(accepted);
    drop(accepting);
    go.send(()).unwrap();
    dialing.block_on(async {
        let ended = async { tokio::join!(reads.read_u8(), writes.write_u8(1)) };
        let (read, written) = tokio::time::timeout(Duration::from_secs(60), ended)
            .await
            .expect("nobody makes the handshake");
        read.unwrap_err();
        written.unwrap_err();
        dialed.await.unwrap();
    });
}

/// A server may hang up without having said or heard a word.
#[tokio::test]
async fn shutting_down_before_the_handshake_is_a_plain_eof() {
    let (alpha, beta) = pipenet_hosts().await;
    let listener = tls("α")(alpha).listen(":10").await.unwrap();
    let (accepted, dialed) = tokio::join!(listener.accept(), Networker::dial(&beta, "α:10"));
    accepted.unwrap().shutdown().await.unwrap();
    let mut heard = Vec::new();
    dialed.unwrap().read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"");
}

/// TLS checks that the peer is the host that was dialed.
#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let (alpha, beta) = pipenet_hosts().await;
    let tls = tls("δ");
    let listener = tls(alpha).listen(":10").await.unwrap();
    let accepting = tokio::spawn(async move {
        let mut conn = listener.accept().await?;
        conn.read_to_end(&mut Vec::new()).await
    });
    let error = tls(beta).dial("α:10").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("xn--mxa"), "{error}");
    accepting.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn tls_says_which_configuration_is_missing() {
    let (alpha, _beta) = pipenet_hosts().await;
    let net = Tls::new(alpha);
    let cases = [
        (
            net.listen(":10").await.map(drop).unwrap_err(),
            "TLS is not configured to listen: give `Tls::with_server` a configuration",
        ),
        (
            net.dial("β:10").await.map(drop).unwrap_err(),
            "TLS is not configured to dial: give `Tls::with_client` a configuration",
        ),
    ];
    for (error, text) in cases {
        assert_eq!(error.to_string(), text);
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

/// `:10` is a port of this place itself, which has a name for TLS, too.
#[tokio::test]
async fn tls_to_oneself_has_a_name() {
    let (alpha, _beta) = pipenet_hosts().await;
    let tls = tls("α")(alpha);
    let listener = Arc::new(tls.listen(":10").await.unwrap());
    let serving = tokio::spawn(serve(Arc::clone(&listener)));
    assert_eq!(ask(&tls, ":10", "ping").await.unwrap(), "PING from me");
    listener.close().await.unwrap();
    serving.await.unwrap().unwrap_err();
}
