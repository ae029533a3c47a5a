//! How a dial ends: taken, refused, cancelled.

use std::io::ErrorKind;

use super::*;

rules! {
    async fn nothing_listens(net: SubNetwork) {
        let (_alpha, beta) = hosts(&net).await;
        let error = beta.dial("α:10").await.unwrap_err();
        assert_eq!(error.cause(), &Cause::ConnectionRefused);
        let text = format!("dial {} β:1->α:10: connection refused", net.network());
        assert_eq!(error.to_string(), text);
        assert_eq!((error.op(), error.network()), ("dial", net.network()));
        assert_eq!(error.source_addr().unwrap().to_string(), "β:1");
        assert_eq!(error.addr().unwrap().to_string(), "α:10");
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::ConnectionRefused);
        // The port is free again.
        assert_eq!(beta.listen("").await.unwrap().addr().port(), 1);
    }

    async fn a_name_never_announced(net: SubNetwork) {
        let (alpha, _) = hosts(&net).await;
        let error = alpha.dial("nobody:1").await.unwrap_err();
        assert_eq!((error.cause(), error.kind()), (&Cause::NoSuchHost, ErrorKind::NotFound));
    }

    async fn a_name_that_was(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let _listener = beta.listen(":10").await.unwrap();
        beta.close().await.unwrap();
        assert_eq!(cause(alpha.dial("β:10").await), Cause::ConnectionRefused);
    }

    async fn a_dial_waits_for_its_accept(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = alpha.listen(":10").await.unwrap();
        let mut dial = Box::pin(beta.dial("α:10"));
        for _ in 0..20 {
            assert_pending!(dial);
            tokio::task::yield_now().await;
        }
        let (dialed, accepted) = tokio::join!(dial, listener.accept());
        assert_eq!(dialed.unwrap().peer_addr(), accepted.unwrap().local_addr());
    }

    async fn a_dropped_dial_frees_its_port_and_is_never_accepted(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = alpha.listen(":10").await.unwrap();
        // Dropped at each of its first awaits.
        for polls in 1..12 {
            let mut dial = Box::pin(beta.dial("α:10"));
            for _ in 0..polls {
                assert_pending!(dial);
                tokio::task::yield_now().await;
            }
            drop(dial);
            assert_eq!(beta.listen("").await.unwrap().addr().port(), 1, "after {polls} polls");
        }
        let mut accept = Box::pin(listener.accept());
        for _ in 0..50 {
            assert_pending!(accept);
            tokio::task::yield_now().await;
        }
        let (dialed, accepted) = tokio::join!(beta.dial("α:10"), accept);
        assert_eq!(dialed.unwrap().local_addr(), accepted.unwrap().peer_addr());
    }

    async fn a_dropped_accept_loses_no_dial(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = alpha.listen(":10").await.unwrap();
        for _ in 0..20 {
            let mut dial = Box::pin(beta.dial("α:10"));
            for _ in 0..3 {
                let mut accept = Box::pin(listener.accept());
                assert_pending!(accept);
                drop(accept);
            }
            assert_pending!(dial);
            let (dialed, accepted) = tokio::join!(dial, listener.accept());
            assert_eq!(dialed.unwrap().local_addr(), accepted.unwrap().peer_addr());
        }
        assert_eq!(alpha.listen("").await.unwrap().addr().port(), 1);
    }

    async fn several_accepts_at_once(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = alpha.listen(":10").await.unwrap();
        let all = async {
            tokio::try_join!(listener.accept(), listener.accept(), listener.accept())
        };
        let dials = async {
            tokio::try_join!(beta.dial("α:10"), beta.dial("α:10"), beta.dial("α:10"))
        };
        let (accepted, dialed) = tokio::join!(all, dials);
        let ((a, b, c), _dialed) = (accepted.unwrap(), dialed.unwrap());
        let mut ports = [&a, &b, &c].map(|s| s.peer_addr().port());
        ports.sort_unstable();
        assert_eq!(ports, [1, 2, 3]);
    }

    async fn many_dials_many_accepts(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = alpha.listen("").await.unwrap();
        let server = tokio::spawn(async move {
            for _ in 0..200 {
                drop(listener.accept().await.unwrap());
            }
        });
        let mut dials = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let beta = beta.clone();
            dials.spawn(async move { beta.dial("α:1").await.unwrap() });
        }
        while let Some(dialed) = dials.join_next().await {
            drop(dialed.unwrap());
        }
        server.await.unwrap();
        assert_eq!(alpha.listen("").await.unwrap().addr().port(), 1);
        assert_eq!(beta.listen("").await.unwrap().addr().port(), 1);
    }
}
