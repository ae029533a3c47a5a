//! One conformance suite over both engines: every rule of the network is one async function of a
//! fresh subnetwork, run over loopback TCP, over in-memory pipes, and as the harness carries programs
//! that know nothing of lonet: a network of several processes, in memory here. A rule that holds on
//! one engine only stands in `loopback_only.rs`, with its reason.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed"
)]

use lonet::{Cause, Error, Host, Listener, Stream, SubNetwork};

/// Defines rules: for each, a module with a test an engine.
macro_rules! rules {
    ($($(#[$meta:meta])* async fn $rule:ident($net:ident: SubNetwork) $body:block)*) => {
        $($(#[$meta])* mod $rule {
            #[allow(unused_imports)]
            use super::*;

            async fn rule($net: SubNetwork) $body

            #[tokio::test]
            async fn loopback() {
                rule(lonet::join("").await.unwrap()).await;
            }

            #[tokio::test]
            async fn pipenet() {
                rule(lonet::pipenet::network("x")).await;
            }

            #[tokio::test]
            async fn carried() {
                let dir = lonet::__private::NetworkDir::random().unwrap();
                rule(lonet::carried::join(dir.name(), 1).await.unwrap()).await;
            }
        })*
    };
}

mod carried;
mod closing;
mod dialing;
mod loopback_only;
mod names;
mod ports;
mod streams;

/// Two hosts of the network, `α` and `β`.
async fn hosts(net: &SubNetwork) -> (Host, Host) {
    (
        net.new_host("α").await.unwrap(),
        net.new_host("β").await.unwrap(),
    )
}

/// A connection: the end dialed from `β`, the end accepted on `α`.
async fn connect(alpha: &Host, beta: &Host, listener: &Listener) -> (Stream, Stream) {
    let _ = alpha;
    let addr = listener.addr().to_string();
    let (dialed, accepted) = tokio::join!(beta.dial(&addr), listener.accept());
    (dialed.unwrap(), accepted.unwrap())
}

/// The cause of the error that this must be.
#[track_caller]
fn cause<T>(result: Result<T, Error>) -> Cause {
    match result {
        Ok(_) => panic!("should have failed"),
        Err(error) => error.cause().clone(),
    }
}

/// The cause of the lonet error inside of this I/O error.
#[track_caller]
fn io_cause<T>(result: std::io::Result<T>) -> Cause {
    match result {
        Ok(_) => panic!("should have failed"),
        Err(error) => {
            let kind = error.kind();
            let error = error
                .downcast::<Error>()
                .expect("an error of a stream is a lonet::Error");
            assert_eq!(error.kind(), kind);
            error.cause().clone()
        }
    }
}

/// Polls a future once; it must not be done.
macro_rules! assert_pending {
    ($future:expr) => {{
        let poll = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::future::Future::poll($future.as_mut(), cx))
        })
        .await;
        assert!(poll.is_pending(), "should not be done yet");
    }};
}
use assert_pending;
