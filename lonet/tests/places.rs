//! Where a network is used from: the environment, and several runtimes of one process.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed, whatever the error"
)]

use std::process::Command;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lonet::Cause;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Runs the test below in a process with this environment; what it printed.
fn told(environment: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_another_process", "--ignored", "--nocapture"])
        .env_remove("LONET_NETWORK")
        .env_remove("LONET_HOST")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "is run by the test below, with an environment of its own"]
fn in_another_process() {
    runtime().block_on(async {
        match tokio::join!(lonet::from_env(), lonet::from_env()) {
            (Ok(host), Ok(again)) => {
                let listener = host.listen(":10").await.unwrap();
                assert!(again.listen(":10").await.is_err(), "it is the same host");
                println!("is {} of {}", host.name(), host.network());
                drop(listener);
                host.close().await.unwrap();
                // A closed host is not returned; the name is free for a new one.
                let anew = lonet::from_env().await.unwrap();
                drop(anew.listen(":10").await.unwrap());
                println!("is anew");
            }
            (Err(error), _) | (_, Err(error)) => println!("{error}"),
        }
    });
    // That runtime is gone, as at the end of a `#[tokio::test]`: so is what it served.
    runtime().block_on(async {
        let Ok(host) = lonet::from_env().await else {
            return;
        };
        let listener = host.listen(":10").await.unwrap();
        let dialed = tokio::time::timeout(Duration::from_secs(60), async {
            tokio::try_join!(listener.accept(), host.dial(":10"))
        });
        drop(dialed.await.expect("nobody serves it").unwrap());
        println!("is served");
    });
}

#[test]
fn a_program_finds_its_place_in_the_environment() {
    let unset = "join lonet: invalid name: the environment variable";
    assert!(told(&[("LONET_HOST", "α")]).contains(&format!("{unset} LONET_NETWORK")));
    // Empty is as good as unset: it means no fresh network.
    let empty = told(&[("LONET_NETWORK", ""), ("LONET_HOST", "α")]);
    assert!(empty.contains(&format!("{unset} LONET_NETWORK")), "{empty}");
    assert!(told(&[("LONET_NETWORK", "x")]).contains(&format!("{unset} LONET_HOST")));
    let net = runtime().block_on(lonet::join("")).unwrap();
    let place = [("LONET_NETWORK", net.name()), ("LONET_HOST", "α")];
    // So is this: it means the platform's directory.
    let no_directory = told(&[place[0], place[1], ("TMPDIR", "")]);
    assert!(no_directory.contains("is α of"), "{no_directory}");
    let told = told(&place);
    assert!(
        told.contains(&format!("is α of {}", net.network())),
        "{told}"
    );
    assert!(told.contains("is anew"), "{told}");
    assert!(told.contains("is served"), "{told}");
}

#[test]
fn a_connection_lives_on_the_runtime_that_accepted_it() {
    let (serving, other) = (runtime(), runtime());
    let net = serving.block_on(lonet::join("")).unwrap();
    let beta = serving.block_on(net.new_host("β")).unwrap();
    let alpha = serving.block_on(net.new_host("α")).unwrap();
    let (accepted, dialed) = std::thread::scope(|threads| {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = threads.spawn(|| serving.block_on(stopped));
        let ends = other.block_on(async {
            let listener = alpha.listen(":10").await.unwrap();
            tokio::try_join!(listener.accept(), beta.dial("α:10")).unwrap()
        });
        drop(stop);
        let _ = serving.join().unwrap();
        ends
    });
    // The runtime that joined stands still.
    let (mut accepted, mut dialed) = (accepted, dialed);
    other.block_on(async {
        dialed.write_all(b"x").await.unwrap();
        assert_eq!(accepted.read_u8().await.unwrap(), b'x');
    });
    drop(serving);
}

/// However many others use it, and whatever they have open.
#[test]
fn a_network_closes_with_the_runtime_that_joined() {
    let (joined, other) = (runtime(), runtime());
    let net = joined.block_on(lonet::join("")).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = std::thread::spawn(move || {
        let _ = joined.block_on(stopped);
        joined
    });
    let (alpha, beta, listener, (_accepted, mut dialed)) = other.block_on(async {
        let alpha = net.new_host("α").await.unwrap();
        let beta = net.new_host("β").await.unwrap();
        let listener = alpha.listen(":10").await.unwrap();
        let ends = tokio::try_join!(listener.accept(), beta.dial("α:10")).unwrap();
        (alpha, beta, listener, ends)
    });
    drop(stop);
    let joined = serving.join().unwrap();
    drop(joined);
    other.block_on(async {
        let down = Cause::NetworkDown;
        assert_eq!(net.new_host("γ").await.unwrap_err().cause(), &down);
        assert_eq!(alpha.listen("").await.unwrap_err().cause(), &down);
        assert_eq!(beta.dial("α:10").await.unwrap_err().cause(), &down);
        assert_eq!(listener.accept().await.unwrap_err().cause(), &down);
        let read = dialed.read_u8().await.unwrap_err();
        let read = read.downcast::<lonet::Error>().unwrap();
        assert_eq!(read.cause(), &down);
    });
}

#[test]
fn a_runtime_that_ends_leaves_no_dial_waiting() {
    let (serving, other) = (runtime(), runtime());
    let (net, alpha, listener) = serving.block_on(async {
        let net = lonet::join("").await.unwrap();
        let alpha = net.new_host("α").await.unwrap();
        let listener = alpha.listen(":10").await.unwrap();
        (net, alpha, listener)
    });
    let others = other.block_on(lonet::join(net.name())).unwrap();
    let beta = other.block_on(others.new_host("β")).unwrap();
    drop(serving);
    let dialing = async {
        for addr in ["α:10", "α:11"] {
            let error = beta.dial(addr).await.unwrap_err();
            assert_eq!(error.cause(), &Cause::ConnectionRefused);
        }
        let error = alpha.dial("β:1").await.unwrap_err();
        assert_eq!(error.cause(), &Cause::NetworkDown);
        let error = listener.accept().await.unwrap_err();
        assert_eq!(error.cause(), &Cause::NetworkDown);
        others.new_host("α").await.unwrap();
    };
    other.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), dialing)
            .await
            .expect("a dial hangs");
    });
}

#[test]
fn an_ended_runtime_is_an_error() {
    let ended = runtime().handle().clone();
    let _entered = ended.enter();
    let mut join = std::pin::pin!(lonet::join(""));
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(joined) = join.as_mut().poll(&mut cx) else {
        panic!("nobody will ever wake it");
    };
    assert_eq!(
        joined.unwrap_err().to_string(),
        "join lonet: the tokio runtime is shutting down"
    );
}
