//! Serving a subnetwork: the loop that takes connections and brings dialers to listeners.
//!
//! Owns that a subnetwork ends with the runtime that serves it. What becomes of a connection until
//! its dialer is known is `loopback`'s, the queues of listeners are `virtnet`'s.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Weak};
use std::time::Duration;

use nix::errno::Errno;
use tokio::net::{TcpListener, TcpStream};

use crate::loopback::handshake::Refusal;
use crate::loopback::{Arrival, Loopback, Progress};
use crate::virtnet::Net;
use crate::virtnet::engine::Engine;
use crate::virtnet::io::Knock;

/// Without descriptors, the loop waits so long before it tries again.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(10);

/// That a subnetwork is served. When this is dropped and the subnetwork is open, the runtime that
/// joined has ended: then it closes, as at the end of a process. Else it would look alive to
/// others, and every dial to it would wait for ever.
pub(super) struct Serving {
    net: Weak<Net>,
    /// The runtime that serves.
    runtime: tokio::runtime::Id,
}

impl Serving {
    pub(super) fn on(runtime: tokio::runtime::Id, net: &Arc<Net>) -> Serving {
        let net = Arc::downgrade(net);
        Serving { net, runtime }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(net) = self.net.upgrade() {
            net.end();
        }
    }
}

/// Takes connections for as long as the subnetwork lives.
pub(super) async fn serve(listener: Arc<TcpListener>, serving: Serving) {
    loop {
        let accepted = listener.accept().await;
        // Held for one connection only: a task must not keep the network open.
        let Some(net) = serving.net.upgrade() else {
            return;
        };
        let Engine::Loopback(loopback) = &net.engine else {
            return;
        };
        match accepted {
            Ok((stream, SocketAddr::V4(peer))) => {
                arrived(&net, loopback, stream, peer, serving.runtime);
            }
            Ok((_, SocketAddr::V6(_))) => {}
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                // It was shut: the subnetwork is closed.
                Some(Errno::EINVAL | Errno::EBADF) => return,
                Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => {
                    drop(net);
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
                // The peer was faster; or a signal came.
                _ => {}
            },
        }
    }
}

/// A connection has come in. Usually its request came with it; else it is waited for aside.
fn arrived(
    net: &Arc<Net>,
    loopback: &Loopback,
    stream: TcpStream,
    peer: SocketAddrV4,
    runtime: tokio::runtime::Id,
) {
    let nth = match net.is_traced() {
        true => loopback.count_accepted(peer),
        false => 0,
    };
    let Some(mut arrival) = loopback.let_in(stream, peer, nth, runtime) else {
        return;
    };
    match arrival.advance() {
        Ok(Progress::Blocked) => {
            let weak = Arc::downgrade(net);
            loopback.wait_aside(arrival, move |arrival, progress| {
                if let Some(net) = weak.upgrade()
                    && let Engine::Loopback(loopback) = &net.engine
                {
                    requested(&net, loopback, arrival, progress);
                }
            });
        }
        other => requested(net, loopback, arrival, other),
    }
}

/// The request is there, or will never be.
fn requested(
    net: &Arc<Net>,
    loopback: &Loopback,
    arrival: Arrival,
    progress: io::Result<Progress>,
) {
    let Some((caller, dst)) = loopback.requested(net.network(), arrival, progress) else {
        return;
    };
    let own = net.clone();
    // While nothing may leave this process, no refusal does.
    net.effect(move || {
        if let Err(Knock::Tcp(caller)) = own.knock(&dst, Knock::Tcp(caller)) {
            caller.refuse(Refusal::ConnectionRefused.text());
        }
    });
}
