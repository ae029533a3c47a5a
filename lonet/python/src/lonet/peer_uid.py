"""Whose process is at the other end of a loopback connection: the kernel is asked.

Owns the two ways to ask, a NETLINK_SOCK_DIAG lookup and ``/proc/net/tcp`` where that is missing.
Decides who is let in; what follows from it is decided elsewhere.

Where our own uid is not mapped into our user namespace, everybody reads as we do (65534). Then a
socket is ours if it is among the descriptors of a process that we may look into: the kernel lets us do
that with processes of our user only, and compares the real uids.
"""

from __future__ import annotations

import enum
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
_ESTABLISHED = 1
_LISTEN = 10
_NOWHERE = ("0.0.0.0", 0)
_ALL_STATES = 0xFFFFFFFF
#: INET_DIAG_NOCOOKIE: the lookup goes by addresses alone.
_NO_COOKIE = b"\xff" * 8
_HEADER = struct.Struct("=IHHII")


class Owner(enum.Enum):
    """Whose a socket is."""

    #: This process's user, or root.
    TRUSTED = 1
    #: Somebody else.
    STRANGER = 2
    #: There is no such socket, it is not open at both ends, or the kernel would not say.
    UNKNOWN = 3


class Found(NamedTuple):
    """What the kernel says of a socket."""

    state: int
    uid: int
    #: 0 while no process has the socket: not yet accepted, or closed.
    inode: int


class Trust:
    """Which uids get in: our own, and root."""

    def __init__(self, me: int, overflow: Optional[int]) -> None:
        self._me = me
        #: What unmapped uids read as, where there are any: it tells nobody from nobody.
        self._overflow = overflow

    @classmethod
    def of_this_process(cls) -> Trust:
        """Uids are those of our user namespace; one that is not mapped into it reads as the
        overflow uid."""
        if _text_of("/proc/self/uid_map").split() == ["0", "0", "4294967295"]:
            return cls(os.geteuid(), None)
        return cls(os.geteuid(), int(_text_of("/proc/sys/kernel/overflowuid") or "65534"))

    @property
    def is_blind(self) -> bool:
        """Whether everybody reads as we do."""
        return self._me == self._overflow

    def includes(self, uid: int) -> bool:
        """Whether a process of this uid may come in."""
        return uid in (self._me, 0) and uid != self._overflow


class PeerCheck:
    """Asks the kernel whose sockets are. Finds out once which way works here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sequence = 0
        self._trust = Trust.of_this_process()
        self._netlink: Optional[socket.socket] = None
        try:
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG)
            self._netlink.setblocking(False)
            self._probe()
        except OSError:
            self.close()

    def allows(self, local: SocketAddr, peer: SocketAddr) -> bool:
        """Whether the socket at ``peer`` that is connected to ``local`` is open and belongs to this
        user or to root. A doubt is a no."""
        return self.owner(local, peer) is Owner.TRUSTED

    def owner(self, local: SocketAddr, peer: SocketAddr) -> Owner:
        """Whose the socket at ``peer`` is that is connected to ``local``."""
        return self._owner_of(peer, local, _ESTABLISHED)

    def listener(self, osladdr: SocketAddr) -> Owner:
        """Whose the socket is that listens at ``osladdr``."""
        return self._owner_of(osladdr, _NOWHERE, _LISTEN)

    def close(self) -> None:
        """Gives the netlink socket back."""
        with self._lock:
            if self._netlink is not None:
                self._netlink.close()
                self._netlink = None

    def forget(self) -> None:
        """Closes what a fork has inherited, whoever holds the lock in the parent."""
        self._lock = threading.Lock()
        self.close()

    def _owner_of(self, local: SocketAddr, remote: SocketAddr, state: int) -> Owner:
        found = self._find(local, remote)
        if found is None or found.state != state or found.inode == 0:
            return Owner.UNKNOWN
        if self._trust.includes(found.uid):
            return Owner.TRUSTED
        if self._trust.is_blind:
            if is_of_our_processes(found.inode):
                return Owner.TRUSTED
            # It may have been closed while the processes were looked through.
            if self._find(local, remote) != found:
                return Owner.UNKNOWN
        return Owner.STRANGER

    def _find(self, local: SocketAddr, remote: SocketAddr) -> Optional[Found]:
        try:
            with self._lock:
                if self._netlink is not None:
                    return self._ask(self._netlink, local, remote)
                return from_proc(local, remote)
        except OSError:
            return None

    def _probe(self) -> None:
        """Looks a listener of our own up: where the kernel lacks the part that answers, it says
        "not found" to everything."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            if self.listener(listener.getsockname()) is Owner.UNKNOWN:
                raise OSError("netlink does not know a socket of our own")

    def _ask(
        self, netlink: socket.socket, local: SocketAddr, remote: SocketAddr
    ) -> Optional[Found]:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        request = (
            struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, _ALL_STATES)
            + struct.pack("!HH", local[1], remote[1])
            + socket.inet_aton(local[0]).ljust(16, b"\0")
            + socket.inet_aton(remote[0]).ljust(16, b"\0")
            + struct.pack("=I", 0)
            + _NO_COOKIE
        )
        header = _HEADER.pack(
            _HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, self._sequence, 0
        )
        netlink.sendto(header + request, (0, 0))
        while True:
            # The kernel has answered by the time the question is sent.
            answer = netlink.recv(4096)
            _, kind, _, sequence, _ = _HEADER.unpack_from(answer)
            if sequence != self._sequence:
                continue  # of an earlier question, whose asker was interrupted
            if kind != _SOCK_DIAG_BY_FAMILY:
                return None  # an error: mostly "not found"
            state = answer[_HEADER.size + 1]
            # struct inet_diag_msg: 4 bytes, the id (48), expires, rqueue, wqueue, uid, inode.
            uid, inode = struct.unpack_from("=II", answer, _HEADER.size + 4 + 48 + 12)
            return Found(state, uid, inode)


def from_proc(local: SocketAddr, remote: SocketAddr) -> Optional[Found]:
    """What ``/proc/net/tcp`` says of a socket. Slow: its length is that of the whole system's."""
    wanted = [_proc_form(local).encode(), _proc_form(remote).encode()]
    with open("/proc/self/net/tcp", "rb") as lines:
        for line in lines:
            fields = line.split()
            if fields[1:3] == wanted:
                return Found(int(fields[3], 16), int(fields[7]), int(fields[9]))
    return None


def is_of_our_processes(inode: int) -> bool:
    """Whether a process that we may look into has this socket. Slow: it looks through all of them."""
    wanted = f"socket:[{inode}]"
    for process in filter(str.isdecimal, os.listdir("/proc")):
        try:
            fds = os.listdir(f"/proc/{process}/fd")
        except OSError:
            continue
        for fd in fds:
            try:
                if os.readlink(f"/proc/{process}/fd/{fd}") == wanted:
                    return True
            except OSError:
                pass
    return False


def _proc_form(addr: SocketAddr) -> str:
    (host,) = struct.unpack("=I", socket.inet_aton(addr[0]))
    return f"{host:08X}:{addr[1]:04X}"


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""
