//! How a program's filter comes about: the copy of this binary that is about to execute the
//! program installs it, and sends its listener to the carrier.
//!
//! Owns both ends of that. What else the two say on their socket is not looked at here.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lonet_seccomp::Listener;
use nix::libc;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::{filter, support};

/// The byte that a listener is sent with.
const LISTENER: u8 = b'L';

/// Has the carrier answer this thread's system calls from now on, and those of all that it starts
/// or executes. The carrier has the listener as soon as it calls [`receive_listener`].
///
/// # Errors
///
/// The filter can't be installed, or the socket has no other end.
pub(in crate::process) fn install_and_send(socket: BorrowedFd) -> io::Result<()> {
    let listener = lonet_seccomp::install(&filter::program())
        .map_err(|error| io::Error::new(error.kind(), support::not_installed(&error)))?;
    let fds = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fits = ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    debug_assert!(fits, "the space is for one descriptor");
    let message = [IoSlice::new(&[LISTENER])];
    sendmsg(socket, &message, &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for the listener of [`install_and_send`]; `None` if the other end was closed without.
///
/// # Errors
///
/// Something else came, or this process has too many descriptors.
pub(super) fn receive_listener(socket: BorrowedFd) -> io::Result<Option<Listener>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut message = [IoSliceMut::new(&mut byte)];
    let received = loop {
        match recvmsg(
            socket,
            &mut message,
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Err(rustix::io::Errno::INTR) => {}
            received => break received?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    let fds = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let listener: Option<OwnedFd> = fds.flatten().next();
    match listener {
        Some(listener) if byte == [LISTENER] => Ok(Some(listener.into())),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
