//! Names of hosts and networks.

use super::*;

rules! {
    async fn legal_names(net: SubNetwork) {
        for name in ["α", "db-1", "a_b.c", "東京", "_x", "٣", &"x".repeat(64)] {
            let host = net.new_host(name).await.unwrap();
            assert_eq!((host.name(), host.network()), (name, net.network()));
            assert_eq!(net.host(name).unwrap().name(), name);
        }
        assert!(net.host("nobody").is_none());
    }

    async fn illegal_names(net: SubNetwork) {
        for name in ["", "_", ".x", "..", "a/b", "a:b", "a b", "a\0", "\"", "½", &"x".repeat(65), &"東".repeat(43)] {
            let error = net.new_host(name).await.unwrap_err();
            assert!(matches!(error.cause(), Cause::InvalidName(_)), "{name:?}: {error}");
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            // As other texts that are no names or addresses, it is shown as a literal.
            let begins = format!("new host {} {name:?}: invalid name: ", net.network());
            assert!(error.to_string().starts_with(&begins), "{error}");
        }
    }

    async fn a_name_is_unique(net: SubNetwork) {
        let _alpha = net.new_host("γ").await.unwrap();
        let error = net.new_host("γ").await.unwrap_err();
        assert_eq!(error.cause(), &Cause::HostExists);
        let text = format!("new host {} γ: host already registered", net.network());
        assert_eq!(error.to_string(), text);
    }

    async fn a_closed_hosts_name_is_free(net: SubNetwork) {
        for _ in 0..3 {
            let alpha = net.new_host("α").await.unwrap();
            assert_eq!(alpha.listen("").await.unwrap().addr().port(), 1);
            alpha.close().await.unwrap();
            assert!(net.host("α").is_none());
        }
    }

    async fn no_host_on_a_closed_network(net: SubNetwork) {
        net.close().await.unwrap();
        let error = net.new_host("α").await.unwrap_err();
        assert_eq!(error.cause(), &Cause::NetworkDown);
        assert_eq!(error.kind(), std::io::ErrorKind::NetworkDown);
    }

    /// Nobody has the host, so nobody could close it.
    async fn a_dropped_new_host_leaves_its_name_free(net: SubNetwork) {
        let mut opening = Box::pin(net.new_host("α"));
        let opened = std::future::poll_fn(|cx| std::task::Poll::Ready(opening.as_mut().poll(cx)));
        if opened.await.is_ready() {
            return;
        }
        drop(opening);
        let free = async {
            while let Err(error) = net.new_host("α").await {
                assert_eq!(error.cause(), &Cause::HostExists);
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), free).await.unwrap();
    }
}
