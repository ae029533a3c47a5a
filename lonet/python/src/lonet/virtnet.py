"""This process's part of a network: hosts, listeners, connection ends, and what closes what.

Owns the rules: who gets which port, what an operation on something closed fails with, in which
order a close is told. Opens no socket and runs no SQL: sockets are only handed on and cut.

The handles that users hold are elsewhere; they all keep one :class:`Keeper`, and when the last of
them is gone, so is the subnetwork.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol

from .addr import Addr
from .errors import (
    AddrInUse,
    Error,
    HostDown,
    NetworkDown,
    PortsExhausted,
    SocketDown,
)
from .lock import STATE
from .ports import PortTable
from .trace.reporter import Record, Reporter, Tap
from .trace.task import Users, lets_go

if TYPE_CHECKING:
    import socket

    from .dialing import Dialing


class Caller(Protocol):
    """A dialer that waits for an ``accept``."""

    src: Addr
    key: str

    def hung_up(self) -> bool:
        """Whether it has given up meanwhile."""

    def take(self) -> None:
        """It is about to be accepted: nobody else watches it from here on."""

    def answer(self, addr: Addr) -> socket.socket:
        """Tells it that it is connected; the connection's socket."""

    def refuse(self, text: str = ...) -> None:
        """Nobody will accept it."""


class Net:
    """The state of one subnetwork."""

    def __init__(self, name: str, reporter: Optional[Reporter]) -> None:
        self.name = name
        self.network = "lonet" + name
        self.reporter = reporter
        self.hosts: dict[str, HostState] = {}
        self.closed = False
        #: This process is a fork of the one that joined: nothing is told, nothing can be opened.
        self.forked = False

    def number(self, kind: str, by_task: bool = True, **fields: Any) -> Optional[Record]:
        """Numbers a record, if the network is traced. Call it under the lock."""
        if self.reporter is None or self.forked:
            return None
        task = self.reporter.current() if by_task else None
        return self.reporter.number(task, kind, **fields)

    def number_drop(self, users: Users, kind: str, **fields: Any) -> Optional[Record]:
        """The same of what goes since its last handle has gone. That has a place in the running task's
        order only where no other task could have been the last to let go."""
        if self.reporter is None or self.forked:
            return None
        if not lets_go():
            return self.reporter.number(None, kind, **fields)
        task = self.reporter.current()
        return self.reporter.number(task, kind, users.only(task), **fields)

    def write(self, *records: Optional[Record]) -> None:
        """Writes numbered records. Call it without the lock."""
        for record in records:
            if record is not None and self.reporter is not None:
                self.reporter.write(record)

    def later(self, job: Callable[[], None]) -> None:
        """Has the background do it, for callers who may not wait. Takes no lock."""
        raise NotImplementedError

    def socket_number(self) -> int:
        """A number for a new socket. Call it under the lock."""
        return 0 if self.reporter is None else self.reporter.socket()


class Keeper:
    """What all handles of a subnetwork share; when the last is gone, the subnetwork closes."""

    def __init__(self, net: Net, close: Callable[[], None]) -> None:
        self.net = net
        self._close = close

    def __del__(self) -> None:
        if not self.net.closed:
            self.net.later(self._close)


class HostState:
    """The state of one host."""

    def __init__(self, net: Net, name: str) -> None:
        self.net = net
        self.name = name
        self.ports = PortTable()
        self.listeners: dict[int, ListenerState] = {}
        self.ends: dict[int, End] = {}
        self.dials: dict[int, Dialing] = {}
        self.closed = False
        #: The lowest port that was free when the host closed.
        self._free_at_close: Optional[int] = None

    def source_port(self) -> int:
        """The port that a dial names which can't begin: the lowest free one, on a closed host the
        one of when it closed; 0 when all are taken. Call it under the lock."""
        return (self._free_at_close if self.closed else self.ports.lowest()) or 0

    def down(self) -> Optional[Error]:
        """Why nothing can be opened here any more, if so. Call it under the lock."""
        if self.net.closed:
            return NetworkDown()
        return HostDown() if self.closed else None

    def take_port(self) -> int:
        """Takes the lowest free port. Call it under the lock."""
        down = self.down()
        if down is not None:
            raise down
        port = self.ports.take_lowest()
        if port is None:
            raise PortsExhausted()
        return port

    def listen(self, port: int) -> ListenerState:
        """Opens a listener at this port, or at any if it is 0."""
        with STATE:
            down = self.down()
            if down is not None:
                raise down
            auto: dict[str, Any] = {}
            if port == 0:
                port = self.take_port()
                auto = {"auto": True}
            elif not self.ports.take(port):
                raise AddrInUse()
            listener = ListenerState(self, Addr(self.name, port))
            self.listeners[port] = listener
            record = self.net.number("listen", a=str(listener.addr), s=listener.s, **auto)
        self.net.write(record)
        return listener

    def close(self) -> bool:
        """Closes all there is of the host; its name is the caller's business. False if it was
        closed before."""
        with STATE:
            if self.closed:
                return False
            self.closed = True
            self._free_at_close = self.ports.lowest()
            why: type[Error] = NetworkDown if self.net.closed else HostDown
            ends = [end for _, end in sorted(self.ends.items())]
            listeners = [listener for _, listener in sorted(self.listeners.items())]
            closes = [end.end(why, by_task=False) for end in ends]
            callers: list[Caller] = []
            ends_of_listening = []
            for listener in listeners:
                callers += listener.queue
                ends_of_listening.append(listener.end(why, by_task=False))
            fails = []
            for _, dial in sorted(self.dials.items()):
                fails.append(dial.host_closes(why))
                dial.cut()
            down = self.net.number("down", by_task=False, h=self.name)
        self.net.write(*closes)
        with STATE:
            for end in ends:
                end.cut()
        for caller in callers:
            caller.refuse()
        self.net.write(*ends_of_listening, *fails, down)
        return True


class ListenerState:
    """The state of one listener."""

    def __init__(self, host: HostState, addr: Addr) -> None:
        self.host = host
        self.addr = addr
        self.s = host.net.socket_number()
        self.queue: deque[Caller] = deque()
        self.closed: Optional[type[Error]] = None
        self.changed = threading.Condition(STATE)
        self.users = Users()
        #: What wakes asyncio tasks that wait here.
        self.wakers: list[Callable[[], None]] = []

    def wake(self) -> None:
        """Something has changed. Call it under the lock."""
        self.changed.notify_all()
        wakers, self.wakers = self.wakers, []
        for waker in wakers:
            waker()

    def offer(self, caller: Caller) -> None:
        """A dialer asks for this address. Call it under the lock."""
        self.queue.append(caller)
        self.wake()

    def withdraw(self, caller: Caller) -> bool:
        """The dialer has hung up; false if it was taken already. Call it under the lock."""
        try:
            self.queue.remove(caller)
        except ValueError:
            return False
        return True

    def take(self) -> Optional[tuple[Caller, End, Optional[Record]]]:
        """Accepts the next dialer that still waits, if one does. Call it under the lock."""
        if self.closed is not None:
            raise self.closed()
        while self.queue:
            caller = self.queue[0]
            if caller.hung_up():
                self.queue.popleft()
                caller.refuse()
                continue
            self.queue.popleft()
            try:
                port = self.host.take_port()
            except PortsExhausted as why:
                caller.refuse(why.cause)
                raise
            caller.take()
            if self.host.net.reporter is not None:
                self.users.used_by(self.host.net.reporter.current())
            end = End(self.host, Addr(self.host.name, port), caller.src)
            record = self.host.net.number(
                "accept", a=str(end.local), p=str(end.peer), l=self.s, s=end.s, c=caller.key
            )
            return caller, end, record
        return None

    def end(self, why: type[Error], by_task: bool, dropped: bool = False) -> Optional[Record]:
        """It is closed now. Call it under the lock; refuse what was queued after."""
        self.closed = why
        del self.host.listeners[self.addr.port]
        self.host.ports.free(self.addr.port)
        self.queue = deque()
        self.wake()
        fields = {"a": str(self.addr), "s": self.s}
        if dropped:
            return self.host.net.number_drop(self.users, "close", **fields)
        return self.host.net.number("close", by_task, **fields)

    def close(self, by_task: bool = True) -> None:
        """Closes it, if it is open."""
        with STATE:
            if self.closed is not None or self.host.net.forked:
                return
            callers = list(self.queue)
            record = self.end(SocketDown, by_task)
        for caller in callers:
            caller.refuse()
        self.host.net.write(record)


    def drop(self) -> None:
        """Its last handle is gone: closes it.

        Called by the garbage collector, at any point of any thread: waits for no lock.
        """
        net = self.host.net
        if not STATE.acquire(blocking=False):
            net.later(lambda: self.close(by_task=False))
            return
        try:
            if self.closed is not None or net.forked:
                return
            callers = list(self.queue)
            record = self.end(SocketDown, by_task=True, dropped=True)
        finally:
            STATE.release()
        for caller in callers:
            caller.refuse()
        if record is not None and net.reporter is not None and not net.reporter.try_write(record):
            net.later(lambda: net.write(record))


class End:
    """One end of a connection."""

    def __init__(self, host: HostState, local: Addr, peer: Addr) -> None:
        """Made under the lock, with the port taken."""
        self.host = host
        self.local = local
        self.peer = peer
        self.s = host.net.socket_number()
        reporter = host.net.reporter
        self.tap = None if reporter is None else Tap(reporter, self.s, local, peer)
        self.closed: Optional[type[Error]] = None
        self.shut = False
        #: The event loop closed it, because the connection broke: what was received stays readable.
        self.lost = False
        #: How to end it from outside: wakes blocked calls. Called under the lock.
        self.cutter: Callable[[], None] = lambda: None
        host.ends[local.port] = self

    def cut(self) -> None:
        """Shuts the socket down, both ways, whatever uses it. Call it under the lock."""
        self.cutter()

    def end(self, why: type[Error], by_task: bool, dropped: bool = False) -> Optional[Record]:
        """It is closed now, though its socket is not yet. Call it under the lock."""
        self.closed = why
        if self.host.net.forked:
            return None
        del self.host.ends[self.local.port]
        self.host.ports.free(self.local.port)
        fields: dict[str, Any] = {"a": str(self.local), "p": str(self.peer), "s": self.s}
        if self.tap is not None:
            self.tap.ended = True
            fields["w"] = self.tap.written or None
            if dropped:
                return self.host.net.number_drop(self.tap.users, "close", **fields)
        return self.host.net.number("close", by_task, **fields)

    def close(self, by_task: bool = True) -> bool:
        """Tells that it is closed and frees the port; the caller closes the socket after. False if
        it was closed before."""
        with STATE:
            if self.closed is not None:
                return False
            record = self.end(SocketDown, by_task)
        self.host.net.write(record)
        return True

    def shutdown(self) -> None:
        """Tells that it will write no more; the caller shuts the socket down after."""
        with STATE:
            if self.closed is not None or self.shut:
                return
            self.shut = True
            if self.tap is not None and not self.host.net.forked:
                self.tap.users.used_by(self.tap.reporter.current())
            record = self.host.net.number(
                "shutdown",
                a=str(self.local),
                p=str(self.peer),
                s=self.s,
                w=self.tap.written if self.tap is not None else 0,
            )
        self.host.net.write(record)

    def drop(self, dispose: Callable[[], None]) -> None:
        """Its last handle is gone: closes it, then has the socket disposed of.

        Called by the garbage collector, at any point of any thread: waits for no lock.
        """
        net = self.host.net
        if not STATE.acquire(blocking=False):
            net.later(lambda: self._drop_now(dispose))
            return
        try:
            record = None
            if self.closed is None:
                record = self.end(SocketDown, by_task=True, dropped=True)
        finally:
            STATE.release()
        if record is None or net.reporter is None or net.reporter.try_write(record):
            dispose()
        else:
            net.later(lambda: self._tell_and_dispose(record, dispose))

    def _tell_and_dispose(self, record: Record, dispose: Callable[[], None]) -> None:
        self.host.net.write(record)
        dispose()

    def _drop_now(self, dispose: Callable[[], None]) -> None:
        self.close(by_task=False)
        dispose()

    def error(self, why: Error, op: str) -> Error:
        """The error of a read or a write here."""
        reading = op == "read"
        source, addr = (self.peer, self.local) if reading else (self.local, self.peer)
        return why._of(op, self.host.net.network, source, addr)
