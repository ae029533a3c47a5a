"""What can go wrong: :class:`Error` and a class for each cause.

Owns every text that an operation of the network fails with, and the errno of each. Decides nothing:
who fails, and when, is decided where the operation is.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from .addr import Addr


class Error(OSError):
    """An operation on a network that failed: which, where, between whom, and why.

    Prints as ``dial lonetx β:1->α:10: connection refused``. The class is the cause; ``errno`` and
    ``strerror`` are set as for any :class:`OSError`.
    """

    _errno = errno.EIO
    _text = ""
    _prefix = ""

    #: The operation: ``join``, ``new host``, ``listen``, ``dial``, ``accept``, ``read``, ``write``
    #: or ``close``; empty where a text alone was at fault.
    op: str = ""
    #: The full name of the network, for instance ``lonetx``.
    network: str = ""
    #: Where it came from: the dialing end; for ``read`` the peer, for ``write`` the local end.
    source_addr: Optional[Addr] = None
    #: Where it went: the dialed or listening address; for ``read`` the local end, for ``write`` the
    #: peer.
    addr: Optional[Addr] = None

    def __init__(self, detail: str = "", code: Optional[int] = None) -> None:
        self.cause: str = self._prefix + _printable(detail or self._text)
        super().__init__(self._errno if code is None else code, self.cause)
        self._detail = detail
        self._subject: Optional[str] = None

    def _of(
        self,
        op: str,
        network: str,
        source: Optional[Addr] = None,
        addr: Optional[Addr] = None,
        subject: Optional[str] = None,
    ) -> Error:
        """The same error, told of an operation; the first to tell knows best."""
        if not self.op:
            self.op, self.network = op, network
            self.source_addr, self.addr, self._subject = source, addr, subject
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self._detail, self.errno), self.__dict__)

    def __str__(self) -> str:
        if not self.op:
            return self.cause
        source, addr, subject = self.source_addr, self.addr, self._subject
        about = ""
        if source is not None and (addr is not None or subject is not None):
            about = f" {source}->{addr if addr is not None else subject}"
        elif source is not None or addr is not None:
            about = f" {source if source is not None else addr}"
        elif subject is not None:
            about = f" {subject}"
        return f"{self.op} {self.network}{about}: {self.cause}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"


def _printable(text: str) -> str:
    """The text with U+FFFD for what can't be printed: the surrogates that stand in a path for bytes
    that are not UTF-8."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class NetworkDown(Error):
    """The subnetwork is closed."""

    _errno, _text = errno.ENETDOWN, "network is down"


class HostDown(Error):
    """The host is closed."""

    _errno, _text = errno.ENOTCONN, "host is down"


class SocketDown(Error):
    """The listener or the connection is closed."""

    _errno, _text = errno.ENOTCONN, "socket is down"


class AddrInUse(Error):
    """The requested port is taken."""

    _errno, _text = errno.EADDRINUSE, "address already in use"


class AddrNotAvailable(Error):
    """The requested address belongs to another host."""

    _errno, _text = errno.EADDRNOTAVAIL, "cannot listen on requested address"


class PortsExhausted(Error):
    """All 65535 ports of the host are taken."""

    _errno, _text = errno.EADDRNOTAVAIL, "no free port"


class ConnectionRefused(Error, ConnectionRefusedError):
    """Nothing listens there, or the host is closed or dead."""

    _errno, _text = errno.ECONNREFUSED, "connection refused"


class NoSuchHost(Error):
    """The name was never announced on this network."""

    _errno, _text = errno.ENOENT, "no such host"


# Up to Python 3.9 a socket's timeout is a class of its own.
if socket.timeout is TimeoutError:

    class _Timeout(TimeoutError):
        pass

else:

    class _Timeout(socket.timeout, TimeoutError):  # type: ignore[no-redef,misc]
        pass


class TimedOut(Error, _Timeout):
    """The other side did not answer in time, or the caller's timeout has passed."""

    _errno, _text = errno.ETIMEDOUT, "timed out"


class HostExists(Error):
    """A living host of the network has this name."""

    _errno, _text = errno.EEXIST, "host already registered"


class InvalidName(Error, ValueError):
    """Not a name for a host or a network; says which rule it breaks."""

    _errno, _prefix = errno.EINVAL, "invalid name: "


class InvalidAddr(Error, ValueError):
    """Not an address; says why."""

    _errno, _prefix = errno.EINVAL, "invalid address: "


class BrokenPipe(Error, BrokenPipeError):
    """The other end of the connection is closed."""

    _errno, _text = errno.EPIPE, "broken pipe"


class ConnectionReset(Error, ConnectionResetError):
    """The other end of the connection was torn down with data unread."""

    _errno, _text = errno.ECONNRESET, "connection reset"


class ProtocolError(Error):
    """The other side does not speak lonet's protocol, or for another network."""

    _errno, _prefix = errno.EPROTO, "protocol error: "


class RegistryError(Error):
    """The registry can't be used: what is wrong, and with which file."""

    _errno = errno.EIO


class DirectoryError(Error, PermissionError):
    """The network's directory is not to be trusted: which rule it breaks."""

    _errno = errno.EACCES


class SystemFailure(Error):
    """The operating system failed; ``errno`` and ``strerror`` are its own."""


_BY_ERRNO: dict[int, type[Error]] = {
    errno.EPIPE: BrokenPipe,
    errno.ECONNRESET: ConnectionReset,
    errno.ECONNREFUSED: ConnectionRefused,
    errno.ETIMEDOUT: TimedOut,
}


def of_system(error: OSError, what: str = "") -> Error:
    """The error that one of the operating system stands for; ``what`` it was doing, if that is not
    plain."""
    if isinstance(error, Error):
        return error
    code = error.errno if error.errno is not None else errno.EIO
    known = _BY_ERRNO.get(code)
    if known is not None and not what:
        return known()
    text = error.strerror or (os.strerror(code) if error.errno is not None else str(error))
    return SystemFailure(f"{what}: {text}" if what else text, code)
