//! Operations that race with each other's end, on several threads: nothing hangs, nothing leaks,
//! nothing succeeds on what was closed before it began.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed, whatever the error"
)]

use std::task::Poll;
use std::time::Duration;

use lonet::SubNetwork;
use tokio::task::JoinSet;

async fn on_both<F: Future<Output = ()>>(test: impl Fn(SubNetwork) -> F) {
    for net in [lonet::pipenet::network("x"), lonet::join("").await.unwrap()] {
        // A hang is a failure, not an endless test.
        tokio::time::timeout(Duration::from_secs(60), test(net))
            .await
            .expect("something hangs");
    }
}

/// So often each race is run.
fn times() -> usize {
    let told = std::env::var("LONET_RACES").ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(300)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accept_never_returns_a_dial_dropped_earlier() {
    on_both(async |net| {
        let alpha = net.new_host("α").await.unwrap();
        let beta = net.new_host("β").await.unwrap();
        let gamma = net.new_host("γ").await.unwrap();
        let listener = alpha.listen(":10").await.unwrap();
        for i in 0..times() {
            let mut dial = Box::pin(beta.dial("α:10"));
            for _ in 0..i % 5 {
                let poll = std::future::poll_fn(|cx| Poll::Ready(dial.as_mut().poll(cx))).await;
                assert!(poll.is_pending());
                tokio::task::yield_now().await;
            }
            drop(dial);
            let (accepted, dialed) =
                tokio::try_join!(listener.accept(), gamma.dial("α:10")).unwrap();
            assert_eq!(accepted.peer_addr().to_string(), "γ:1", "a ghost");
            assert_eq!(dialed.peer_addr().to_string(), "α:1");
        }
        // Every dropped dial has freed its port.
        assert_eq!(beta.listen("").await.unwrap().addr().port(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_all_that_is_under_way() {
    on_both(async |net| {
        for i in 0..times() {
            let alpha = net.new_host("α").await.unwrap();
            let beta = net.new_host("β").await.unwrap();
            let listener = alpha.listen(":10").await.unwrap();
            let mut tasks = JoinSet::new();
            let accepting = alpha.clone();
            tasks.spawn(async move {
                while let Ok(conn) = listener.accept().await {
                    drop(conn);
                }
                assert!(accepting.listen("").await.is_err());
            });
            for _ in 0..3 {
                let beta = beta.clone();
                tasks.spawn(async move { while beta.dial("α:10").await.is_ok() {} });
            }
            for _ in 0..i % 7 {
                tokio::task::yield_now().await;
            }
            alpha.close().await.unwrap();
            assert!(alpha.listen("").await.is_err());
            assert!(beta.dial("α:10").await.is_err());
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
            // All dials have ended: β has all its ports.
            assert_eq!(beta.listen("").await.unwrap().addr().port(), 1);
            beta.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_dial_and_accept_at_once() {
    on_both(async |net| {
        let alpha = net.new_host("α").await.unwrap();
        let beta = net.new_host("β").await.unwrap();
        let listener = std::sync::Arc::new(alpha.listen(":60000").await.unwrap());
        let mut accepting = JoinSet::new();
        for _ in 0..4 {
            let listener = listener.clone();
            accepting.spawn(async move { while listener.accept().await.is_ok() {} });
        }
        let mut dialing = JoinSet::new();
        for _ in 0..16 {
            let beta = beta.clone();
            dialing.spawn(async move {
                for _ in 0..times() / 5 {
                    drop(beta.dial("α:60000").await.unwrap());
                }
            });
        }
        while let Some(ended) = dialing.join_next().await {
            ended.unwrap();
        }
        listener.close().await.unwrap();
        accepting.join_all().await;
        assert_eq!(alpha.listen("").await.unwrap().addr().port(), 1);
        assert_eq!(beta.listen("").await.unwrap().addr().port(), 1);
    })
    .await;
}

/// A dial that waits at a host ends with that host, though there is another one of its name by the
/// time its dialer hears of it; one that begins later reaches that one. Whether the dialer knew
/// where the first one was makes no difference.
#[tokio::test]
async fn a_dial_does_not_outlive_the_host_it_waits_at() {
    use lonet::Cause;
    for (known, own) in [(false, false), (true, false), (true, true)] {
        let first = lonet::join("").await.unwrap();
        let second = lonet::join(first.name()).await.unwrap();
        let third = lonet::join(first.name()).await.unwrap();
        let dialers = if own { &first } else { &third };
        let beta = dialers.new_host("β").await.unwrap();
        let alpha = first.new_host("α").await.unwrap();
        let listener = alpha.listen(":10").await.unwrap();
        if known {
            drop(tokio::try_join!(listener.accept(), beta.dial("α:10")).unwrap());
        }
        let mut dial = Box::pin(beta.dial("α:10"));
        for _ in 0..20 {
            let poll = std::future::poll_fn(|cx| Poll::Ready(dial.as_mut().poll(cx))).await;
            assert!(poll.is_pending());
            tokio::task::yield_now().await;
        }
        alpha.close().await.unwrap();
        let alpha = second.new_host("α").await.unwrap();
        let listener = alpha.listen(":10").await.unwrap();
        let accept_and_dial = async {
            tokio::select! {
                accepted = listener.accept() => panic!("{known} {own}: {accepted:?}"),
                dialed = dial => assert_eq!(dialed.unwrap_err().cause(), &Cause::ConnectionRefused),
            }
            drop(tokio::try_join!(listener.accept(), beta.dial("α:10")).unwrap());
            // Known where it is now, it moves once more, and the dialer is the last to hear of it.
            alpha.close().await.unwrap();
            let alpha = first.new_host("α").await.unwrap();
            let listener = alpha.listen(":10").await.unwrap();
            drop(tokio::try_join!(listener.accept(), beta.dial("α:10")).unwrap());
        };
        tokio::time::timeout(Duration::from_secs(60), accept_and_dial)
            .await
            .expect("a dial hangs");
    }
}
