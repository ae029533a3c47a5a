"""The reporter: numbers what happens, and hands it to the trace socket.

Owns the numbers of one process on one network, and what each open connection has said so far.
Records are numbered under the lock under which the port changes, and written once it is released.
"""

from __future__ import annotations

import time
import weakref
from contextlib import contextmanager
from typing import Any, Iterator, Optional

from ..addr import Addr
from ..lock import STATE, lock_of_the_process
from .task import Task, Tasks, Users
from .wire import TraceSocket, encode, wants_data


#: The kinds of records that operations make while they pend.
_OPERATIONS = ("dial", "link", "accept", "connect", "fail")


class Reporter:
    """Numbers the records of one process on one network."""

    _open: weakref.WeakValueDictionary[str, Reporter] = weakref.WeakValueDictionary()
    _opening = lock_of_the_process()

    def __init__(self, wire: TraceSocket, data: bool = False) -> None:
        self.wire = wire
        #: Whether what is sent and received is recorded, too.
        self.data = data
        self._last = 0
        self._sockets = 0
        self._tasks = Tasks()
        self._dialed: dict[tuple[str, str], int] = {}
        self._accepted: dict[tuple[str, str], int] = {}

    @classmethod
    def of(cls, directory: str) -> Optional[Reporter]:
        """This process's reporter for the network with that directory: one there is, or a new one.
        ``None`` if the network isn't traced."""
        with cls._opening:
            reporter = cls._open.get(directory)
            if reporter is None or reporter.wire.gone:
                wire = TraceSocket.connect(directory)
                if wire is None:
                    return None
                reporter = cls._open[directory] = cls(wire, wants_data(directory))
            return reporter

    # Everything down to `accepted` is called with the lock held.

    def number(
        self, task: Optional[Task], kind: str, has_place: bool = True, **fields: Any
    ) -> Record:
        """Numbers what a task did or, without a task, what lonet itself did. ``has_place``: no other
        task could have done it instead."""
        self._last += 1
        record: dict[str, Any] = {"n": self._last, "t": time.monotonic_ns()}
        if task is not None:
            record["k"] = task.number
            # A dial, an accept and their ends are told by an operation that pends itself.
            own = 1 if kind in _OPERATIONS else 0
            task.said(record, own, kind == "accept", has_place)
            # What others must come after is what the task learned, not that it said so.
            if kind not in ("note", "opaque"):
                task.knowledge += 1
        record["e"] = {kind: {k: v for k, v in fields.items() if v is not None}}
        return Record(self._last, record)

    def current(self) -> Task:
        """The task that runs now."""
        return self._tasks.current()

    def socket(self) -> int:
        """A number for a new listener or connection end."""
        self._sockets += 1
        return self._sockets

    def dialed(self, dialer: str, acceptor: str) -> str:
        """The key of a new connection between these OS addresses, on the dialing side."""
        return _key(self._dialed, dialer, acceptor)

    def accepted(self, dialer: str, acceptor: str) -> str:
        """The same on the accepting side, which may be of this process, too."""
        return _key(self._accepted, dialer, acceptor)

    # From here on it is not.

    def write(self, record: Record) -> None:
        """Writes a numbered record."""
        self.wire.write(encode({"ev": record.fields}))

    def try_write(self, record: Record) -> bool:
        """Writes a numbered record unless that means to wait for another thread."""
        return self.wire.try_write(encode({"ev": record.fields}))

    @contextmanager
    def operation(self) -> Iterator[None]:
        """An operation of the running task that may pend: what the task does beside it has no place
        in its order."""
        with STATE:
            task = self.current()
            task.pending += 1
        try:
            yield
        finally:
            with STATE:
                task.pending -= 1


def _key(uses: dict[tuple[str, str], int], dialer: str, acceptor: str) -> str:
    nth = uses[dialer, acceptor] = uses.get((dialer, acceptor), 0) + 1
    return f"{dialer}>{acceptor}#{nth}"


class Record:
    """A record that has its number and still has to be written."""

    __slots__ = ("n", "fields")

    def __init__(self, n: int, fields: dict[str, Any]) -> None:
        self.n = n
        self.fields = fields


class Tap:
    """What a traced connection end says of its bytes."""

    def __init__(self, reporter: Reporter, s: int, local: Addr, peer: Addr) -> None:
        self.reporter = reporter
        self._between: dict[str, Any] = {"a": str(local), "p": str(peer), "s": s}
        #: The socket's number in its reporter.
        self.s = s
        #: How many bytes this end has written.
        self.written = 0
        self._read = 0
        #: The task that made the latest read, if more came of it than its first byte: the rest
        #: counts once that task comes back.
        self._unsettled: Optional[Task] = None
        #: The task that last noted a write, and how much it knew then.
        self._noted: Optional[tuple[Task, int]] = None
        self._opaque = False
        #: The end is closed: what happens to it from here on is not recorded. Set under the lock.
        self.ended = False
        self.users = Users()
        #: From which byte how many were last said to be sent: those may still have to be written.
        self._told: Optional[tuple[int, int]] = None

    def before_write(self, count: int) -> None:
        """Call before each attempt to write so many bytes: says, when the writing task has learned
        something since it last said so here, that the bytes from here on come after it."""
        if self._opaque:
            return
        attempt = (self.written, count)
        with STATE:
            if self.ended:
                return
            task = self.reporter.current()
            self.users.used_by(task)
            if self.reporter.data and count > 0 and self._told != attempt:
                # It says all that a note does.
                self._told = attempt
                record = self.reporter.number(
                    task, "send", **self._between, w=self.written, b=count
                )
            elif self._noted != (task, task.knowledge):
                record = self.reporter.number(task, "note", s=self.s, w=self.written)
            else:
                return
            self._noted = (task, task.knowledge)
        self.reporter.write(record)

    def wrote(self, count: int) -> None:
        """So many bytes were written."""
        self.written += count

    def before_read(self) -> None:
        """Call before each read: the task comes back for more, so it has had all it read."""
        if self._opaque or self._unsettled is None:
            return
        with STATE:
            task = self.reporter.current()
            if self._unsettled is task:
                self._unsettled = None
                task.read(self.s, self._read, self._read)

    def read(self, count: int, whole: bool = False) -> None:
        """So many bytes were read, none at EOF. ``whole``: the reader would not have gone on with
        fewer, so all of them count at once."""
        if self._opaque:
            return
        with STATE:
            task = self.reporter.current()
            self.users.used_by(task)
            first = self._read + 1
            self._read += count
            # EOF counts as one byte, but is none: `certain` beyond `all` says that it was read.
            certain = self._read if whole and count else first
            task.read(self.s, certain, self._read)
            self._unsettled = task if self._read > certain else None
            if not self.reporter.data or count == 0 or self.ended:
                return
            record = self.reporter.number(task, "recv", **self._between, b=count)
        self.reporter.write(record)

    def opaque(self) -> None:
        """User code has taken the descriptor: from here on its bytes order nothing."""
        with STATE:
            if self._opaque or self.ended:
                return
            self._opaque = True
            record = self.reporter.number(self.reporter.current(), "opaque", s=self.s)
        self.reporter.write(record)
