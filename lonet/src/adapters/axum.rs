//! axum's traits: what `axum::serve` listens on, and how a handler gets its peer's address.
//!
//! Owns the message for a listener that is closed below a server without a graceful shutdown.

use std::fmt::Display;
use std::io;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};

use super::ends::Ends;
use super::incoming::{Incoming, next};
use crate::{Addr, NetListener, Stream};

/// When this listener is closed, lonet prints one line to stderr and `axum::serve` waits forever.
/// [`Incoming::closed`] ends it.
impl Listener for crate::Listener {
    type Io = Stream;
    type Addr = Addr;

    async fn accept(&mut self) -> (Stream, Addr) {
        match next(self).await {
            Ok(stream) => {
                let peer = stream.peer_addr().clone();
                (stream, peer)
            }
            Err(error) => {
                complain(self.addr(), &error);
                std::future::pending().await
            }
        }
    }

    fn local_addr(&self) -> io::Result<Addr> {
        Ok(self.addr().clone())
    }
}

impl<L: NetListener> Listener for Incoming<L> {
    type Io = L::Stream;
    type Addr = String;

    async fn accept(&mut self) -> (L::Stream, String) {
        use crate::NetStream;
        match std::future::poll_fn(|cx| self.poll_accept(cx)).await {
            Some(Ok(stream)) => {
                let peer = stream.peer_addr();
                return (stream, peer);
            }
            Some(Err(error)) if !self.is_watched() => complain(&self.addr(), &error),
            Some(Err(_)) | None => {}
        }
        std::future::pending().await
    }

    fn local_addr(&self) -> io::Result<String> {
        Ok(self.addr())
    }
}

/// axum's trait can't return an error, and a server that stops serving without a message is hard to
/// diagnose.
fn complain(addr: &dyn Display, error: &io::Error) {
    eprintln!(
        "lonet: axum no longer serves {addr}: {error}; axum::serve can't return this error and \
         waits forever: end it with lonet::adapters::Incoming::closed"
    );
}

impl Connected<IncomingStream<'_, crate::Listener>> for Addr {
    fn connect_info(stream: IncomingStream<'_, crate::Listener>) -> Addr {
        stream.io().peer_addr().clone()
    }
}

impl Connected<IncomingStream<'_, Incoming<crate::Listener>>> for Addr {
    fn connect_info(stream: IncomingStream<'_, Incoming<crate::Listener>>) -> Addr {
        stream.io().peer_addr().clone()
    }
}

impl Connected<IncomingStream<'_, crate::Listener>> for Ends {
    fn connect_info(stream: IncomingStream<'_, crate::Listener>) -> Ends {
        Ends::of(stream.io())
    }
}

impl<L: NetListener> Connected<IncomingStream<'_, Incoming<L>>> for Ends {
    fn connect_info(stream: IncomingStream<'_, Incoming<L>>) -> Ends {
        Ends::of(stream.io())
    }
}
