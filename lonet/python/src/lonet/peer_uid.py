"""Whose process is at the other end of a loopback connection: the kernel is asked.

Owns the two ways to ask, a NETLINK_SOCK_DIAG lookup and ``/proc/net/tcp`` where that is missing.
Decides who is let in; what follows from it is decided elsewhere.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from typing import NamedTuple, Optional

#: An IPv4 address and a port.
SocketAddr = tuple[str, int]

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_ESTABLISHED = 1
_ALL_STATES = 0xFFFFFFFF
#: INET_DIAG_NOCOOKIE: the lookup goes by addresses alone.
_NO_COOKIE = b"\xff" * 8
_HEADER = struct.Struct("=IHHII")


class Owner(NamedTuple):
    """What the kernel knows of a socket."""

    established: bool
    uid: int
    #: 0 while no process has the socket: not yet accepted, or closed.
    inode: int


class PeerCheck:
    """Asks the kernel whose sockets are. Finds out once which way works here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._netlink: Optional[socket.socket] = None
        self._sequence = 0
        self._uids = {0, os.geteuid()}
        try:
            self._netlink = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG
            )
            self._netlink.settimeout(1)
            self._probe()
        except OSError:
            self.close()

    def allows(self, local: SocketAddr, peer: SocketAddr) -> bool:
        """Whether the socket at ``peer`` that is connected to ``local`` is open in a process of this
        user or of root."""
        owner = self.owner(peer, local)
        return (
            owner is not None
            and owner.established
            and owner.inode != 0
            and self.is_trusted(owner.uid)
        )

    def is_trusted(self, uid: int) -> bool:
        """Whether this is our own user, or root."""
        return uid in self._uids

    def owner(self, of: SocketAddr, connected_to: SocketAddr) -> Optional[Owner]:
        """What the kernel knows of the socket at ``of`` that is connected to ``connected_to``."""
        with self._lock:
            if self._netlink is not None:
                return self._ask(of, connected_to)
        return from_proc(of, connected_to)

    def close(self) -> None:
        """Gives the netlink socket back."""
        with self._lock:
            if self._netlink is not None:
                self._netlink.close()
                self._netlink = None

    def _probe(self) -> None:
        """Looks a connection of our own up, and fails unless it is found."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            with socket.create_connection(listener.getsockname()) as ours:
                owner = self._ask(ours.getsockname(), ours.getpeername())
                if owner is None or not owner.established or owner.uid != os.geteuid():
                    raise OSError("netlink does not know a socket of our own")

    def _ask(self, of: SocketAddr, connected_to: SocketAddr) -> Optional[Owner]:
        netlink = self._netlink
        assert netlink is not None, "the caller has checked"
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        request = (
            struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, _ALL_STATES)
            + struct.pack("!HH", of[1], connected_to[1])
            + socket.inet_aton(of[0]).ljust(16, b"\0")
            + socket.inet_aton(connected_to[0]).ljust(16, b"\0")
            + struct.pack("=I", 0)
            + _NO_COOKIE
        )
        header = _HEADER.pack(
            _HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, self._sequence, 0
        )
        netlink.sendto(header + request, (0, 0))
        while True:
            answer = netlink.recv(4096)
            _, kind, _, sequence, _ = _HEADER.unpack_from(answer)
            if sequence != self._sequence:
                continue  # of a question whose answer did not come in time
            if kind == _NLMSG_ERROR:
                (error,) = struct.unpack_from("=i", answer, _HEADER.size)
                if error in (-2, 0):  # ENOENT: there is no such socket
                    return None
                raise OSError(-error, os.strerror(-error))
            state = answer[_HEADER.size + 1]
            # struct inet_diag_msg: 4 bytes, the id (48), expires, rqueue, wqueue, uid, inode.
            uid, inode = struct.unpack_from("=II", answer, _HEADER.size + 4 + 48 + 12)
            return Owner(state == _ESTABLISHED, uid, inode)


def from_proc(of: SocketAddr, connected_to: SocketAddr) -> Optional[Owner]:
    """What ``/proc/net/tcp`` says of a socket. Slow: its length is that of the whole system's."""
    wanted = [_proc_form(of).encode(), _proc_form(connected_to).encode()]
    with open("/proc/net/tcp", "rb") as lines:
        for line in lines:
            fields = line.split()
            if fields[1:3] == wanted:
                return Owner(int(fields[3], 16) == _ESTABLISHED, int(fields[7]), int(fields[9]))
    return None


def _proc_form(addr: SocketAddr) -> str:
    (host,) = struct.unpack("=I", socket.inet_aton(addr[0]))
    return f"{host:08X}:{addr[1]:04X}"
