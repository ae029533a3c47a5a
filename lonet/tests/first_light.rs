//! The network at work on both engines: addresses, ports, bytes, errors, the ends of things.
//!
//! One body a test, run over loopback TCP and in memory. Closing is in `close_matrix.rs`.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use lonet::{Cause, Error, Host, Listener, Result, Stream, SubNetwork};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Runs a test on a fresh network of each engine.
async fn on_both<F: Future<Output = Result<()>>>(test: impl Fn(SubNetwork) -> F) -> Result<()> {
    for net in [lonet::pipenet::network("x"), lonet::join("").await?] {
        // A hang is a failure, not an endless test.
        let test = tokio::time::timeout(Duration::from_secs(60), test(net));
        test.await.expect("something hangs")?;
    }
    Ok(())
}

#[tokio::test]
async fn ping_pong() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        assert_eq!(listener.addr().to_string(), "α:10");
        let server = async {
            let mut conn = listener.accept().await?;
            assert_eq!(conn.local_addr().to_string(), "α:1");
            assert_eq!(conn.peer_addr().to_string(), "β:1");
            let mut buf = [0; 4];
            conn.read_exact(&mut buf).await.unwrap();
            assert_eq!(&buf, b"ping");
            conn.write_all(b"pong").await.unwrap();
            Result::Ok(())
        };
        let client = async {
            let mut conn = beta.dial("α:10").await?;
            assert_eq!(conn.local_addr().to_string(), "β:1");
            assert_eq!(conn.peer_addr().to_string(), "α:1");
            conn.write_all(b"ping").await.unwrap();
            let mut answer = String::new();
            conn.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "pong");
            Result::Ok(())
        };
        tokio::try_join!(server, client)?;
        Ok(())
    })
    .await
}

#[track_caller]
fn fails<T>(result: Result<T>, text: &str) {
    let error = result.err().expect("it should have failed");
    let network = error.network().to_owned();
    assert_eq!(error.to_string().replace(&network, "net"), text);
}

/// Dials and accepts; the accepting end first.
async fn connect(listener: &Listener, from: &Host) -> Result<(Stream, Stream)> {
    let to = listener.addr().to_string();
    tokio::try_join!(listener.accept(), from.dial(&to))
}

#[track_caller]
fn ends(stream: &Stream, expected: &str) {
    let ends = format!("{}-{}", stream.local_addr(), stream.peer_addr());
    assert_eq!(ends, expected);
}

#[tokio::test]
async fn networks_and_hosts_have_names() -> Result<()> {
    let net = lonet::pipenet::network("x");
    assert_eq!((net.network(), net.name()), ("pipex", "x"));
    let net = lonet::join("").await?;
    assert_eq!(net.network(), format!("lonet{}", net.name()));
    let alpha = net.new_host("α").await?;
    assert_eq!((alpha.network(), alpha.name()), (net.network(), "α"));
    assert_eq!(net.host("α").unwrap().name(), "α");
    assert!(net.host("β").is_none());
    for bad in ["../x", "a/b", "a\0", "_", ".x"] {
        let error = lonet::join(bad).await.unwrap_err();
        assert!(matches!(error.cause(), Cause::InvalidName(_)), "{error}");
        let error = net.new_host(bad).await.unwrap_err();
        assert!(matches!(error.cause(), Cause::InvalidName(_)), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn ports_are_the_lowest_free_ones() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let first = alpha.listen("").await?;
        let second = alpha.listen(":0").await?;
        let third = alpha.listen("α:0").await?;
        let tenth = alpha.listen("α:10").await?;
        let ports = [&first, &second, &third, &tenth].map(|l| l.addr().port());
        assert_eq!(ports, [1, 2, 3, 10]);
        second.close().await?;
        let (accepted, dialed) = connect(&tenth, &beta).await?;
        ends(&accepted, "α:2-β:1");
        ends(&dialed, "β:1-α:2");
        let (again, _) = connect(&tenth, &beta).await?;
        ends(&again, "α:4-β:2");
        drop((accepted, dialed));
        let (own, other) = tokio::try_join!(tenth.accept(), alpha.dial(":10"))?;
        // Host α has both ends: the dialing one took its port first.
        ends(&own, "α:5-α:2");
        ends(&other, "α:2-α:5");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn listening_where_one_cannot() -> Result<()> {
    on_both(async |net| {
        let alpha = net.new_host("α").await?;
        let _open = alpha.listen(":10").await?;
        fails(
            alpha.listen("α:10").await,
            "listen net α:10: address already in use",
        );
        fails(
            alpha.listen("β:10").await,
            "listen net β:10: cannot listen on requested address",
        );
        for bad in ["10", "α", ":x", ":010", "α:", ":65536"] {
            let error = alpha.listen(bad).await.unwrap_err();
            assert!(matches!(error.cause(), Cause::InvalidAddr(_)), "{error}");
            let says_which = error.to_string().contains("an illegal port");
            assert_eq!(says_which, bad.contains(':'), "{error}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn dialing_an_unused_address() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        fails(
            beta.dial("α:10").await,
            "dial net β:1->α:10: connection refused",
        );
        fails(beta.dial("γ:10").await, "dial net β:1->γ:10: no such host");
        fails(
            beta.dial("α:0").await,
            "dial net β:1->α:0: connection refused",
        );
        alpha.close().await?;
        fails(
            beta.dial("α:10").await,
            "dial net β:1->α:10: connection refused",
        );
        let error = beta.dial("nonsense").await.unwrap_err();
        assert!(matches!(error.cause(), Cause::InvalidAddr(_)), "{error}");
        assert_eq!(error.source_addr().unwrap().to_string(), "β:1");
        let error: std::io::Error = beta.dial("α:10").await.unwrap_err().into();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(error.downcast::<Error>().is_ok());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_host_name_is_free_again_after_its_close() -> Result<()> {
    on_both(async |net| {
        let alpha = net.new_host("α").await?;
        let other = match net.network().starts_with("lonet") {
            true => lonet::join(net.name()).await?,
            false => net.clone(),
        };
        fails(
            net.new_host("α").await,
            "new host net α: host already registered",
        );
        fails(
            other.new_host("α").await,
            "new host net α: host already registered",
        );
        alpha.close().await?;
        let elsewhere = other.new_host("α").await?;
        // Whoever remembers where α was finds where it is.
        let beta = net.new_host("β").await?;
        let listener = elsewhere.listen(":1").await?;
        drop(connect(&listener, &beta).await?);
        elsewhere.close().await?;
        let alpha = net.new_host("α").await?;
        let listener = alpha.listen(":1").await?;
        drop(connect(&listener, &beta).await?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cancelled_dial_frees_its_port() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        for polls in (0..4).cycle().take(60) {
            let mut dial = Box::pin(beta.dial("α:10"));
            for _ in 0..polls {
                let poll = std::future::poll_fn(|cx| Poll::Ready(dial.as_mut().poll(cx))).await;
                assert!(poll.is_pending());
                tokio::task::yield_now().await;
            }
            drop(dial);
        }
        // Whatever is in the queue now has hung up.
        let (accepted, dialed) = connect(&listener, &beta).await?;
        ends(&accepted, "α:1-β:1");
        ends(&dialed, "β:1-α:1");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn many_may_accept_at_once_and_give_up() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = Arc::new(alpha.listen(":10").await?);
        // One that is polled and dropped must not swallow the wake of a dial.
        let mut dropped = Box::pin(listener.accept());
        std::future::poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await;
        let mut accepting = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let listener = listener.clone();
            accepting.spawn(async move { listener.accept().await });
        }
        tokio::task::yield_now().await;
        let mut dialing = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let beta = beta.clone();
            dialing.spawn(async move { beta.dial("α:10").await });
        }
        while dialing.len() > 4 {
            dialing.join_next().await;
        }
        drop(dropped);
        let mut ports = std::collections::BTreeSet::new();
        for accepted in accepting.join_all().await {
            ports.insert(accepted?.local_addr().port());
        }
        assert_eq!(dialing.join_all().await.len(), 4);
        assert!(ports.iter().all(|port| (1..=8).contains(port)), "{ports:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn half_a_close_leaves_the_other_direction_open() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        let (mut accepted, mut dialed) = connect(&listener, &beta).await?;
        dialed.write_all(b"question").await.unwrap();
        dialed.shutdown().await.unwrap();
        dialed.shutdown().await.unwrap();
        let mut question = String::new();
        accepted.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        assert_eq!(
            dialed.write_u8(1).await.unwrap_err().kind(),
            std::io::ErrorKind::BrokenPipe
        );
        accepted.write_all(b"answer").await.unwrap();
        drop(accepted);
        let mut answer = String::new();
        dialed.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn halves_end_what_they_are_halves_of() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        let (mut accepted, dialed) = connect(&listener, &beta).await?;
        let (mut read, write) = dialed.into_split();
        drop(write);
        assert_eq!(accepted.read(&mut [0; 9]).await.unwrap(), 0);
        accepted.write_all(b"x").await.unwrap();
        assert_eq!(read.read_u8().await.unwrap(), b'x');
        // The port is taken until both are gone.
        ends(&connect(&listener, &beta).await?.1, "β:2-α:2");
        drop(read);
        let (other, dialed) = connect(&listener, &beta).await?;
        ends(&dialed, "β:1-α:2");
        let (read, write) = dialed.into_split();
        let (read2, write2) = other.into_split();
        let lonet::ReuniteError(read, write2) = read.reunite(write2).unwrap_err();
        ends(&read.reunite(write).unwrap(), "β:1-α:2");
        let mut other = write2.reunite(read2).unwrap();
        assert_eq!(other.read(&mut [0; 9]).await.unwrap(), 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn readiness_and_vectors_are_as_with_tokio() -> Result<()> {
    use std::io::{ErrorKind, IoSlice, IoSliceMut};
    use tokio::io::Interest;
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        let (mut accepted, mut dialed) = connect(&listener, &beta).await?;
        assert_eq!(
            accepted.try_read(&mut [0]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        accepted.writable().await.unwrap();
        let bufs = [IoSlice::new(b"one"), IoSlice::new(b"two")];
        assert!(AsyncWrite::is_write_vectored(&dialed));
        assert_eq!(dialed.write_vectored(&bufs).await.unwrap(), 6);
        accepted.readable().await.unwrap();
        let ready = accepted.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_readable() && !ready.is_read_closed());
        let mut buf = [0; 3];
        assert_eq!(accepted.peek(&mut buf).await.unwrap(), 3);
        assert_eq!(&buf, b"one");
        let (mut first, mut second) = ([0; 2], [0; 9]);
        let mut bufs = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(accepted.try_read_vectored(&mut bufs).unwrap(), 6);
        assert_eq!((&first, &second[..4]), (b"on", &b"etwo"[..]));
        let reading = tokio::spawn(async move {
            accepted.readable().await.unwrap();
            accepted.read_u8().await.unwrap()
        });
        dialed.write_all(b"!").await.unwrap();
        assert_eq!(reading.await.unwrap(), b'!');
        assert_eq!(
            dialed.socket().is_some(),
            net.network().starts_with("lonet")
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn much_goes_both_ways_at_once() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        let (mut accepted, dialed) = connect(&listener, &beta).await?;
        let echo = tokio::spawn(async move {
            let (mut read, mut write) = accepted.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap()
        });
        let (mut read, mut write) = dialed.into_split();
        let sent: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        let expected = sent.clone();
        let sending = tokio::spawn(async move {
            write.write_all(&sent).await.unwrap();
        });
        let mut received = Vec::new();
        read.read_to_end(&mut received).await.unwrap();
        assert!(received == expected);
        sending.await.unwrap();
        assert_eq!(echo.await.unwrap(), 3_000_000);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_network() -> Result<()> {
    on_both(async |net| {
        let name = net.name().to_owned();
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        drop((net.clone(), alpha.clone(), alpha));
        let (mut accepted, mut dialed) = connect(&listener, &beta).await?;
        let loopback = net.network().starts_with("lonet");
        let other = match loopback {
            true => Some(lonet::join(&name).await?),
            false => None,
        };
        drop((net, beta, listener));
        // Two streams are left: all is open.
        dialed.write_all(b"x").await.unwrap();
        assert_eq!(accepted.read_u8().await.unwrap(), b'x');
        if let Some(other) = &other {
            fails(
                other.new_host("α").await,
                "new host net α: host already registered",
            );
        }
        drop(accepted);
        assert_eq!(dialed.read(&mut [0; 9]).await.unwrap(), 0);
        drop(dialed);
        if let Some(other) = &other {
            other.new_host("α").await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_subnetwork_may_close_with_its_last_host() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        net.auto_close();
        alpha.close().await?;
        let gamma = net.new_host("γ").await?;
        beta.close().await?;
        gamma.close().await?;
        fails(net.new_host("δ").await, "new host net δ: network is down");
        Ok(())
    })
    .await?;
    on_both(async |net| {
        net.auto_close();
        fails(net.new_host("δ").await, "new host net δ: network is down");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn listeners_and_streams_close_when_dropped() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        let (accepted, mut dialed) = connect(&listener, &beta).await?;
        drop(listener);
        drop(accepted);
        assert_eq!(dialed.read(&mut [0; 9]).await.unwrap(), 0);
        fails(
            beta.dial("α:10").await,
            "dial net β:2->α:10: connection refused",
        );
        assert_eq!(alpha.listen("").await?.addr().port(), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_host_without_ports_says_so() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        let mut all = Vec::new();
        for _ in 1..65535 {
            all.push(alpha.listen("").await?);
        }
        fails(alpha.listen("").await, "listen net α:0: no free port");
        fails(alpha.dial("β:1").await, "dial net α:0->β:1: no free port");
        let (accepted, dialed) = tokio::join!(listener.accept(), beta.dial("α:10"));
        fails(accepted, "accept net α:10: no free port");
        assert!(dialed.is_err());
        all.pop();
        ends(&connect(&listener, &beta).await?.0, "α:65535-β:1");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn poll_accept_takes_dialers_too() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        let accept = std::future::poll_fn(|cx| listener.poll_accept(cx));
        let (accepted, dialed) = tokio::try_join!(accept, beta.dial("α:10"))?;
        assert_eq!(accepted.local_addr(), dialed.peer_addr());
        Ok(())
    })
    .await
}

/// A dialer who is in the queue of `α:10` when this returns.
async fn waiting(from: &Host) -> tokio::task::JoinHandle<Result<Stream>> {
    let dialing = from.clone();
    let dial = tokio::spawn(async move { dialing.dial("α:10").await });
    tokio::task::yield_now().await;
    // Who is refused came after it.
    let later = from.dial("α:11").await;
    let error = later.expect_err("nobody listens there");
    assert_eq!(error.cause(), &Cause::ConnectionRefused);
    dial
}

#[tokio::test]
async fn first_come_is_first_served() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = std::sync::Arc::new(alpha.listen(":10").await?);
        let _dials = [waiting(&beta).await, waiting(&beta).await];
        for expected in ["β:1", "β:2"] {
            assert_eq!(listener.accept().await?.peer_addr().to_string(), expected);
        }
        let mut accepts = Vec::new();
        for _ in 0..2 {
            let listener = listener.clone();
            accepts.push(tokio::spawn(async move { listener.accept().await }));
            tokio::task::yield_now().await;
        }
        let gamma = net.new_host("γ").await?;
        let mut dialed = Vec::new();
        for (port, accept) in (1..).zip(accepts) {
            dialed.push(waiting(&gamma).await);
            let accepted = accept.await.expect("it does not panic")?;
            assert_eq!(accepted.peer_addr().to_string(), format!("γ:{port}"));
        }
        Ok(())
    })
    .await
}

/// Of `poll_accept` the latest waker counts; and who polled it and waits no more costs nobody
/// else a dialer.
#[tokio::test]
async fn a_dropped_poll_loses_no_dialer() -> Result<()> {
    on_both(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = std::sync::Arc::new(alpha.listen(":10").await?);
        let lost = || {
            let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(listener.poll_accept(&mut nobody).is_pending());
        };
        lost();
        let polling = listener.clone();
        let accept =
            tokio::spawn(async move { std::future::poll_fn(|cx| polling.poll_accept(cx)).await });
        tokio::task::yield_now().await;
        let (_dialed, accepted) = tokio::join!(beta.dial("α:10"), accept);
        drop(accepted.expect("it does not panic")?);

        lost();
        let waiting = listener.clone();
        let accept = tokio::spawn(async move { waiting.accept().await });
        tokio::task::yield_now().await;
        let (_dialed, accepted) = tokio::join!(beta.dial("α:10"), accept);
        drop(accepted.expect("it does not panic")?);
        Ok(())
    })
    .await
}
