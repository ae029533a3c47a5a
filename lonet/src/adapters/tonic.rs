//! tonic's traits: the stream of connections for a server, and how a method gets its peer's address.
//!
//! Owns nothing else: what the stream holds is in `incoming`; channels dial with `connector`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tonic::transport::server::Connected;

use super::ends::Ends;
use super::incoming::Incoming;
use super::io::NetIo;
use crate::{NetListener, NetStream};

impl<L: NetListener> Stream for Incoming<L> {
    type Item = io::Result<NetIo<L::Stream>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut()
            .poll_accept(cx)
            .map(|accepted| accepted.map(|accepted| accepted.map(NetIo::new)))
    }
}

impl<S: NetStream> Connected for NetIo<S> {
    type ConnectInfo = Ends;

    fn connect_info(&self) -> Ends {
        self.ends()
    }
}

impl Connected for crate::Stream {
    type ConnectInfo = Ends;

    fn connect_info(&self) -> Ends {
        Ends::of(self)
    }
}
