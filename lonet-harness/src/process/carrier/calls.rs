//! The calls of a carried program: which goes where.
//!
//! Owns the loop that takes them, in which nothing waits, and the calls that need no file of their
//! own: names, and a socket's addresses and end.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use lonet_seccomp::Listener;
use nix::errno::Errno;
use nix::libc;
use rustix::net::{Shutdown, sockopt};

use super::carried::Carried;
use super::names::{NamesFile, in_family, is_of_name_service};
use super::sockets::Socket;
use super::trap::{Call, Kind, Sockaddr, Trap, errno, is_v6, kind};
use super::waiting::watched;

impl Carried {
    /// Serves the program's calls until no process has its filter any more.
    pub(super) async fn serve(self: Rc<Self>, listener: Listener) {
        let listener = Arc::new(listener);
        if let Ok(ready) = watched(listener.clone()) {
            while let Ok(mut guard) = ready.readable().await {
                match Trap::receive(&listener) {
                    Ok(Some(trap)) => {
                        self.handle(trap);
                        // Others are to have their turn.
                        tokio::task::yield_now().await;
                    }
                    Ok(None) if guard.ready().is_read_closed() => break,
                    Ok(None) => guard.clear_ready(),
                    Err(_) => break,
                }
            }
        }
        self.is_now_empty();
    }

    fn handle(self: &Rc<Self>, mut trap: Trap) {
        if trap.call() == Call::Open {
            return self.open(trap);
        }
        let socket = trap
            .socket(0)
            .and_then(|socket| Ok((kind(&socket)?, socket)));
        let socket = match socket {
            Ok((Kind::Inet, socket)) => socket,
            Ok((Kind::Local, _)) => return local(trap),
            // As for one that the program would make.
            Ok((Kind::Foreign, _)) => return trap.error(Errno::EPERM),
            Err(error) => return trap.error(error),
        };
        match trap.call() {
            Call::Connect => drop(tokio::task::spawn_local(self.clone().connect(trap, socket))),
            Call::Accept { flags } => {
                drop(tokio::task::spawn_local(
                    self.clone().accept(trap, socket, flags),
                ));
            }
            Call::Listen => drop(tokio::task::spawn_local(self.clone().listen(trap, socket))),
            Call::Bind => answer(|trap| self.bind(trap, &socket), trap),
            Call::SockName => answer(|trap| self.socket_name(trap, &socket), trap),
            Call::PeerName => answer(|trap| self.peer_name(trap, &socket), trap),
            Call::Shutdown => answer(|trap| self.shutdown(trap, &socket), trap),
            Call::Open => trap.cont(),
        }
    }

    /// `open` and `openat`, of what may be a file of names.
    fn open(self: &Rc<Self>, mut trap: Trap) {
        let file = trap.path(1).ok().and_then(|path| NamesFile::at(&path));
        let Some(file) = file else {
            return trap.cont();
        };
        let own = self.clone();
        tokio::task::spawn_local(async move {
            let hosts = own.all_hosts().await;
            let close_on_exec = trap.arg(2) as i32 & libc::O_CLOEXEC != 0;
            match own.names.file(file, own.name(), &hosts) {
                Ok(file) => drop(trap.hand_in(file.as_fd(), close_on_exec)),
                Err(error) => trap.error(errno(error)),
            }
        });
    }

    /// `getsockname`.
    fn socket_name(&self, trap: &mut Trap, socket: &OwnedFd) -> Result<i64, Errno> {
        let is_v6 = is_v6(socket);
        let local = match self.known(socket)? {
            Some(Socket::Bound(bound) | Socket::Listening(bound, _)) => bound.seen,
            Some(Socket::Connected(link)) => link.local.get(),
            None => rustix::net::getsockname(socket)
                .map_err(errno)?
                .try_into()
                .map_err(|_| Errno::EOPNOTSUPP)?,
        };
        trap.put_address(1, 2, in_family(local, is_v6), is_v6)?;
        Ok(0)
    }

    /// `getpeername`.
    fn peer_name(&self, trap: &mut Trap, socket: &OwnedFd) -> Result<i64, Errno> {
        let is_v6 = is_v6(socket);
        // Whether it is connected, the kernel knows.
        let real = rustix::net::getpeername(socket).map_err(errno)?;
        let peer = match self.known(socket)? {
            Some(Socket::Connected(link)) => link.peer,
            _ => real
                .and_then(|real| real.try_into().ok())
                .ok_or(Errno::ENOTCONN)?,
        };
        trap.put_address(1, 2, in_family(peer, is_v6), is_v6)?;
        Ok(0)
    }

    /// `shutdown`.
    fn shutdown(self: &Rc<Self>, trap: &mut Trap, socket: &OwnedFd) -> Result<i64, Errno> {
        let how = match trap.arg(1) as i32 {
            libc::SHUT_RD => Shutdown::Read,
            libc::SHUT_WR => Shutdown::Write,
            libc::SHUT_RDWR => Shutdown::Both,
            _ => return Err(Errno::EINVAL),
        };
        let known = self.known(socket)?;
        if let Some(Socket::Connected(link)) = &known
            && how != Shutdown::Read
        {
            // Before its end can be seen.
            link.shut.set(true);
        }
        rustix::net::shutdown(socket, how).map_err(errno)?;
        // The end of writing means nothing to a listener.
        if how != Shutdown::Write {
            self.listens_no_more(sockopt::socket_cookie(socket).map_err(errno)?);
        }
        Ok(0)
    }

    fn known(&self, socket: &OwnedFd) -> Result<Option<Socket>, Errno> {
        let cookie = sockopt::socket_cookie(socket).map_err(errno)?;
        Ok(self.sockets.get(cookie))
    }
}

/// A call on a socket that is not on the network.
fn local(mut trap: Trap) {
    if trap.call() == Call::Connect
        && let Ok(Sockaddr::Unix(path)) = trap.address(1, 2)
        && is_of_name_service(&path)
    {
        return trap.error(Errno::ECONNREFUSED);
    }
    trap.cont();
}

fn answer(call: impl FnOnce(&mut Trap) -> Result<i64, Errno>, mut trap: Trap) {
    match call(&mut trap) {
        Ok(value) => trap.value(value),
        Err(error) => trap.error(error),
    }
}
