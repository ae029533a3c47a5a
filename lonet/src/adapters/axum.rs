//! axum's traits: what `axum::serve` listens on, and how a handler knows its peer.
//!
//! Owns what is said when a listener is closed below a server that nobody will end.

use std::fmt::Display;
use std::io;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};

use super::ends::Ends;
use super::incoming::{Incoming, next};
use crate::{Addr, NetListener, Stream};

/// Once this listener is closed, `axum::serve` waits for ever, after one line on stderr;
/// [`Incoming::closed`] is how to end it.
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

/// axum's trait has no place for an error, and a server that silently serves nobody costs its
/// reader an evening.
fn complain(addr: &dyn Display, error: &io::Error) {
    eprintln!(
        "lonet: axum serves {addr} no longer: {error}; axum::serve can't return this, and waits: \
         let it end with lonet::adapters::Incoming::closed"
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
