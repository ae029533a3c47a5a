//! Rules that hold on one engine only: those that need a second process's part of the network, or
//! a descriptor, which pipes do not have.

use super::*;

/// Pipes live in one subnetwork; here two share a network, as two processes would.
#[tokio::test]
async fn two_subnetworks_share_names_and_connections() {
    let one = lonet::join("").await.unwrap();
    let two = lonet::join(one.name()).await.unwrap();
    assert_eq!(one.network(), format!("lonet{}", one.name()));
    assert_eq!(two.network(), one.network());
    let alpha = one.new_host("α").await.unwrap();
    assert_eq!(cause(two.new_host("α").await), Cause::HostExists);
    let beta = two.new_host("β").await.unwrap();
    assert!(one.host("β").is_none());
    let listener = alpha.listen(":10").await.unwrap();
    let (dialed, accepted) = connect(&alpha, &beta, &listener).await;
    assert_eq!(dialed.peer_addr(), accepted.local_addr());
    drop((listener, accepted));
    alpha.close().await.unwrap();
    assert_eq!(cause(beta.dial("α:10").await), Cause::ConnectionRefused);
    // The name is free, for the other one too.
    let _alpha = two.new_host("α").await.unwrap();
}

/// Two calls of `pipenet::network` make two networks.
#[tokio::test]
async fn two_pipenets_are_unrelated() {
    let (one, two) = (lonet::pipenet::network("x"), lonet::pipenet::network("x"));
    assert_eq!((one.network(), one.name()), ("pipex", "x"));
    let _alpha = one.new_host("α").await.unwrap();
    let alpha = two.new_host("α").await.unwrap();
    let beta = two.new_host("β").await.unwrap();
    drop(alpha);
    assert_eq!(cause(beta.dial("γ:1").await), Cause::NoSuchHost);
}

#[tokio::test]
async fn random_networks_differ_and_leave_nothing() {
    let (one, two) = (
        lonet::join("").await.unwrap(),
        lonet::join("").await.unwrap(),
    );
    assert_ne!(one.name(), two.name());
    let dir = std::env::temp_dir().join("lonet").join(one.name());
    assert!(dir.join("registry.db").exists());
    let alpha = one.new_host("α").await.unwrap();
    one.close().await.unwrap();
    // Handles of what is closed keep nothing.
    assert!(!dir.exists());
    drop((one, alpha));

    let dir = std::env::temp_dir().join("lonet").join(two.name());
    let alpha = two.new_host("α").await.unwrap();
    two.auto_close();
    assert!(dir.exists());
    alpha.close().await.unwrap();
    assert!(!dir.exists());
}

#[tokio::test]
async fn illegal_network_names() {
    for name in ["_", ".x", "..", "a/b", "a\0b", "a b", &"x".repeat(65)] {
        let error = lonet::join(name).await.unwrap_err();
        assert!(
            matches!(error.cause(), Cause::InvalidName(_)),
            "{name:?}: {error}"
        );
    }
    // What would move a cursor, or end a line, is shown as a literal.
    for (name, begins) in [
        ("a\0b", r#"join "loneta\0b": "#),
        ("a\nb", r#"join "loneta\nb": "#),
        ("a/b", "join loneta/b: "),
    ] {
        let error = lonet::join(name).await.unwrap_err().to_string();
        assert!(error.starts_with(begins), "{error}");
    }
}

#[tokio::test]
async fn the_socket_is_there_and_has_no_delay() {
    use std::os::fd::{AsFd, AsRawFd};

    use nix::sys::socket::{getsockopt, sockopt};

    let net = lonet::join("").await.unwrap();
    let (alpha, beta) = hosts(&net).await;
    let listener = alpha.listen(":10").await.unwrap();
    let (dialed, accepted) = connect(&alpha, &beta, &listener).await;
    assert!(dialed.socket().unwrap().as_fd().as_raw_fd() > 2);
    for stream in [&dialed, &accepted] {
        let socket = stream.socket().unwrap();
        assert!(getsockopt(&socket, sockopt::TcpNoDelay).unwrap());
    }

    let net = lonet::pipenet::network("x");
    let (alpha, beta) = hosts(&net).await;
    let listener = alpha.listen(":10").await.unwrap();
    let (dialed, _accepted) = connect(&alpha, &beta, &listener).await;
    assert!(dialed.socket().is_none());
}
