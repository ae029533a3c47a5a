//! Which port an end gets.

use super::*;

rules! {
    async fn automatic_ports_count_from_one(net: SubNetwork) {
        let (alpha, _) = hosts(&net).await;
        for (laddr, expected) in [("", "α:1"), (":0", "α:2"), ("α:0", "α:3"), (":10", "α:10"), ("", "α:4"), ("α:6", "α:6"), ("", "α:5"), ("", "α:7")] {
            // Leaked on purpose: the port stays taken until the network goes.
            let listener = Box::leak(Box::new(alpha.listen(laddr).await.unwrap()));
            assert_eq!(listener.addr().to_string(), expected, "listen({laddr:?})");
        }
        net.close().await.unwrap();
    }

    async fn the_lowest_free_port_is_taken_first(net: SubNetwork) {
        let (alpha, _) = hosts(&net).await;
        let mut listeners = Vec::new();
        for _ in 0..5 {
            listeners.push(alpha.listen("").await.unwrap());
        }
        drop(listeners.remove(3));
        listeners.remove(1).close().await.unwrap();
        assert_eq!(alpha.listen("").await.unwrap().addr().port(), 2);
        let two = alpha.listen("").await.unwrap();
        let four = alpha.listen("").await.unwrap();
        assert_eq!((two.addr().port(), four.addr().port()), (2, 4));
    }

    async fn both_ends_have_the_lowest_port_of_their_host(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = alpha.listen(":10").await.unwrap();
        let (one, one_peer) = connect(&alpha, &beta, &listener).await;
        let (two, two_peer) = connect(&alpha, &beta, &listener).await;
        let addrs = |s: &Stream| (s.local_addr().to_string(), s.peer_addr().to_string());
        assert_eq!(addrs(&one), ("β:1".into(), "α:1".into()));
        assert_eq!(addrs(&one_peer), ("α:1".into(), "β:1".into()));
        assert_eq!(addrs(&two), ("β:2".into(), "α:2".into()));
        assert_eq!(addrs(&two_peer), ("α:2".into(), "β:2".into()));
        drop((one, one_peer));
        let (again, _) = connect(&alpha, &beta, &listener).await;
        assert_eq!(addrs(&again), ("β:1".into(), "α:1".into()));
    }

    async fn a_host_dials_itself(net: SubNetwork) {
        let (alpha, _) = hosts(&net).await;
        let listener = alpha.listen(":10").await.unwrap();
        let (dialed, accepted) = tokio::join!(alpha.dial(":10"), listener.accept());
        assert_eq!(dialed.unwrap().local_addr().to_string(), "α:1");
        assert_eq!(accepted.unwrap().local_addr().to_string(), "α:2");
    }

    async fn a_taken_port(net: SubNetwork) {
        let (alpha, _) = hosts(&net).await;
        let _listener = alpha.listen(":10").await.unwrap();
        let error = alpha.listen("α:10").await.unwrap_err();
        assert_eq!(error.cause(), &Cause::AddrInUse);
        assert_eq!(error.to_string(), format!("listen {} α:10: address already in use", net.network()));
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    }

    async fn another_hosts_address(net: SubNetwork) {
        let (alpha, _) = hosts(&net).await;
        let error = alpha.listen("β:10").await.unwrap_err();
        assert_eq!(error.cause(), &Cause::AddrNotAvailable);
        assert!(error.to_string().ends_with("β:10: cannot listen on requested address"), "{error}");
    }

    async fn all_ports_taken(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let mut listeners = Vec::new();
        for port in 1..=u16::MAX {
            let listener = alpha.listen("").await.unwrap();
            assert_eq!(listener.addr().port(), port);
            listeners.push(listener);
        }
        assert_eq!(cause(alpha.listen("").await), Cause::PortsExhausted);
        let _to = beta.listen(":1").await.unwrap();
        assert_eq!(cause(alpha.dial("β:1").await), Cause::PortsExhausted);
        drop(listeners.swap_remove(99));
        assert_eq!(alpha.listen("").await.unwrap().addr().port(), 100);
    }

    async fn illegal_addresses(net: SubNetwork) {
        let (alpha, _) = hosts(&net).await;
        for text in ["α", "α:", "α:65536", "α:01", ":-1", "a b:1", "_:1", "α:1:2"] {
            assert!(matches!(cause(alpha.listen(text).await), Cause::InvalidAddr(_)), "listen({text:?})");
            assert!(matches!(cause(alpha.dial(text).await), Cause::InvalidAddr(_)), "dial({text:?})");
        }
    }

    /// The acceptor is told why; the dialer, that nobody takes it.
    async fn no_port_for_the_accepting_end(net: SubNetwork) {
        let (alpha, beta) = hosts(&net).await;
        let listener = alpha.listen("").await.unwrap();
        let mut others = Vec::new();
        while let Ok(other) = alpha.listen("").await {
            others.push(other);
        }
        assert_eq!(others.len(), 65534);
        let (accepted, dialed) = tokio::join!(listener.accept(), beta.dial("α:1"));
        assert_eq!(cause(accepted), Cause::PortsExhausted);
        assert_eq!(cause(dialed), Cause::ConnectionRefused);
        // The next one finds a port.
        drop(others.pop());
        let (dialed, _accepted) = connect(&alpha, &beta, &listener).await;
        assert_eq!(dialed.peer_addr().port(), 65535);
    }
}
