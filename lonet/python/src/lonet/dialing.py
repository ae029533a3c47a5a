"""One dial, as steps that never wait: what drives them, a thread or an asyncio task, waits between.

Owns the dialing side of the handshake. Whatever goes wrong, also between two steps, the driver
calls :meth:`Dialing.fail`: the port is free again then, and the trace knows how the dial ended.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import Optional, Union

from .acceptor import LineReader, socket_addr_text
from .addr import Addr, resolve
from .errors import (
    ConnectionRefused,
    Error,
    InvalidAddr,
    NoSuchHost,
    ProtocolError,
    TimedOut,
    of_system,
)
from .handshake import Request, error_of_reply, parse_reply
from .lock import STATE
from .loopback import LoopbackNet
from .peer_uid import SocketAddr
from .quote import debug
from .registry import Liveness, Lookup
from .trace.reporter import Record
from .virtnet import End, HostState

#: How long the originals, who carry no lease, may take to answer, in seconds.
UNLEASED_DEADLINE = 60.0

#: While a dial waits, it looks so often whether the other process lives, in seconds.
_LOOK_EVERY = 1.0
#: So many of the process's addresses are tried when one has no port left.
_SOURCES = 16

#: From <linux/in.h>; Python names it from 3.12 on.
_IP_BIND_ADDRESS_NO_PORT = 24


class Dialing:
    """A dial that has begun."""

    def __init__(self, net: LoopbackNet, host: HostState, text: str) -> None:
        """Takes the source port and tells that the dial begins."""
        self._net = net
        self._host = host
        try:
            self._target = resolve(text, host.name)
        except InvalidAddr as why:
            with STATE:
                source = Addr(host.name, host.source_port())
            raise why._of("dial", net.network, source, subject=debug(text)) from None
        self._sock: Optional[socket.socket] = None
        self._reader = LineReader()
        self._osladdr: Optional[SocketAddr] = None
        self._key = ""
        #: The host has said how it ends.
        self._told = False
        #: When to give up, as ``time.monotonic`` counts; ``None``: not before the host dies.
        self._deadline: Optional[float] = None
        #: When to look again whether the other process lives.
        self._look_at = 0.0
        with STATE:
            try:
                port = host.take_port()
            except Error as why:
                source = Addr(host.name, host.source_port())
                raise why._of("dial", net.network, source, self._target) from None
            self._source = Addr(host.name, port)
            host.dials[port] = self
            record = net.number("dial", a=str(self._source), p=str(self._target))
            self._dial = record.n if record is not None else 0
        net.write(record)

    @property
    def target(self) -> Addr:
        """The dialed address."""
        return self._target

    def connect(self, found: Union[SocketAddr, Lookup]) -> socket.socket:
        """Begins to connect to what the registry has found; the socket is writable once that is
        done."""
        self._osladdr = self._living(found)
        self._look_again()
        for _ in range(_SOURCES):
            sock = self._new_socket()
            # The kernel chooses the port when it knows the target, so that TIME_WAIT blocks none.
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((self._net.next_source(), 0))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex(self._osladdr)
            if code in (0, errno.EINPROGRESS):
                return sock
            if code != errno.EADDRNOTAVAIL:
                break
        raise OSError(code, os.strerror(code))

    def _new_socket(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        with STATE:
            former, self._sock = self._sock, sock
            down = self._host.down()
        if former is not None:
            former.close()
        if down is not None:
            raise down
        return sock

    def request(self) -> None:
        """The socket is writable: says what is dialed."""
        sock = self._socket()
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        ours, theirs = sock.getsockname(), sock.getpeername()
        if ours == theirs:
            raise ConnectionRefused()  # TCP connected to itself: nobody has that port.
        reporter = self._net.reporter
        if reporter is not None:
            with STATE:
                self._key = reporter.dialed(socket_addr_text(ours), socket_addr_text(theirs))
                record = self._net.number("link", d=self._dial, c=self._key)
            self._net.write(record)
        line = Request(self._net.network, self._source, self._target).line()
        sock.send(line, socket.MSG_NOSIGNAL)

    def receive(self) -> Optional[tuple[End, socket.socket]]:
        """The socket is readable: the connection, once the reply is there."""
        sock = self._socket()
        try:
            line = self._reader.read(sock)
        except BlockingIOError:
            return None
        except EOFError:
            raise ConnectionRefused() from None
        if not line.endswith(b"\n"):
            raise ProtocolError("the reply has no end")
        if self._net.acceptor.is_stranger(sock.getsockname(), sock.getpeername()):
            raise ConnectionRefused()
        reply = parse_reply(line, self._net.network)
        if isinstance(reply, str):
            raise error_of_reply(reply)
        if reply.host != self.target.host:
            raise ProtocolError(f"{reply} answered, which is not {self.target.host}'s")
        with STATE:
            down = self._host.down()
            if down is not None:
                raise down
            del self._host.dials[self._source.port]
            self._sock = None
            end = End(self._host, self._source, reply)
            record = self._net.number(
                "connect", a=str(self._source), p=str(reply), d=self._dial, s=end.s, c=self._key
            )
        self._net.write(record)
        return end, sock

    def patience(self) -> float:
        """How long to wait until this is to be asked again, in seconds.

        Raises :class:`TimedOut` when the time for the dial is over, and
        :class:`ConnectionRefused` when the other process has died meanwhile.
        """
        now = time.monotonic()
        if now >= self._look_at:
            self._look_again()
            alive = self._net.registry.alive(self._osladdr) if self._osladdr else None
            if alive is Liveness.DEAD:
                raise ConnectionRefused()
            if alive is Liveness.UNLEASED:
                # One of the originals; or it has left, and its port is another's now.
                found = self._net.registry.try_lookup(self._target.host)
                if found is not None and found != self._osladdr:
                    raise ConnectionRefused()
        if self._deadline is not None and now >= self._deadline:
            raise TimedOut()
        due = self._look_at if self._deadline is None else min(self._look_at, self._deadline)
        return max(0.0, due - now)

    def _look_again(self) -> None:
        self._look_at = time.monotonic() + _LOOK_EVERY

    def give_up_after(self, seconds: Optional[float]) -> None:
        """Gives up that long from now, if not sooner."""
        if seconds is not None:
            deadline = time.monotonic() + seconds
            self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)

    def cut(self) -> None:
        """The host closes: wakes the driver, whose next step fails. Call it under the lock."""
        if self._sock is not None:
            try:
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It isn't connected yet, or no more.

    def host_closes(self, why: type[Error]) -> Optional[Record]:
        """The host closes, and says how the dial ends: nothing happens there after. Call it under
        the lock."""
        self._told = True
        return self._net.number(
            "fail",
            by_task=False,
            a=str(self._source),
            p=str(self._target),
            d=self._dial,
            x=why().cause,
        )

    def fail(self, why: BaseException) -> BaseException:
        """The dial has ended without a connection: frees its port. What to raise to the user."""
        error = _error_of(why)
        if error is not None and self._osladdr is not None:
            # Whatever a stranger on a dead host's port says or does.
            if self._net.registry.alive(self._osladdr) is Liveness.DEAD:
                error = ConnectionRefused()
        with STATE:
            if self._host.dials.get(self._source.port) is not self:
                return why  # It had ended before.
            sock, self._sock = self._sock, None
            down = self._host.down()
            # A dial that was cancelled is told as such, whatever else goes on.
            error = down if down is not None and error is not None else error
            del self._host.dials[self._source.port]
            self._host.ports.free(self._source.port)
            record = None
            if not self._told:
                record = self._net.number(
                    "fail",
                    a=str(self._source),
                    p=str(self._target),
                    d=self._dial,
                    x=error.cause if error is not None else "cancelled",
                )
        if sock is not None:
            sock.close()
        self._net.write(record)
        if error is None:
            return why
        return error._of("dial", self._net.network, self._source, self._target)

    def _living(self, found: Union[SocketAddr, Lookup]) -> SocketAddr:
        if found is Lookup.NEVER:
            raise NoSuchHost()
        if isinstance(found, Lookup):
            raise ConnectionRefused()
        alive = self._net.registry.alive(found)
        if alive is Liveness.DEAD:
            raise ConnectionRefused()
        if alive is Liveness.UNLEASED:
            self.give_up_after(UNLEASED_DEADLINE)
        return found

    def _socket(self) -> socket.socket:
        with STATE:
            down = self._host.down()
            if down is not None:
                raise down
            assert self._sock is not None, "only an ended dial has none"
            return self._sock


def _error_of(why: BaseException) -> Optional[Error]:
    """What a dial failed with, as an error of the network; ``None`` when it was cancelled."""
    if not isinstance(why, OSError):
        return None
    # Reset or gone before the reply: the process died meanwhile.
    if isinstance(why, (ConnectionResetError, BrokenPipeError)):
        return ConnectionRefused()
    return of_system(why)
