//! A host of a lonet network, loopback or pipenet, as a [`Networker`].
//!
//! Owns the conversion of errors and addresses only.

use std::io;

use super::{NetListener, NetStream, Networker};
use crate::{Host, Listener, Stream};

impl Networker for Host {
    type Stream = Stream;
    type Listener = Listener;

    fn network(&self) -> &str {
        Host::network(self)
    }

    fn name(&self) -> &str {
        Host::name(self)
    }

    async fn listen(&self, addr: &str) -> io::Result<Listener> {
        Host::listen(self, addr).await.map_err(io::Error::from)
    }

    async fn dial(&self, addr: &str) -> io::Result<Stream> {
        Host::dial(self, addr).await.map_err(io::Error::from)
    }

    async fn close(&self) -> io::Result<()> {
        Host::close(self).await.map_err(io::Error::from)
    }
}

impl NetListener for Listener {
    type Stream = Stream;

    fn addr(&self) -> String {
        Listener::addr(self).to_string()
    }

    async fn accept(&self) -> io::Result<Stream> {
        Listener::accept(self).await.map_err(io::Error::from)
    }

    async fn close(&self) -> io::Result<()> {
        Listener::close(self).await.map_err(io::Error::from)
    }
}

impl NetStream for Stream {
    fn local_addr(&self) -> String {
        Stream::local_addr(self).to_string()
    }

    fn peer_addr(&self) -> String {
        Stream::peer_addr(self).to_string()
    }
}
