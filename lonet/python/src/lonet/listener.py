"""What users hold of a listener."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

from .addr import Addr
from .connection import Connection
from .errors import Error, TimedOut
from .lock import STATE
from .trace.reporter import Record
from .virtnet import Caller, End, Keeper, ListenerState

if TYPE_CHECKING:
    import socket


class Listener:
    """Listens on an address of a host. Dropping it closes it."""

    def __init__(self, state: ListenerState, keeper: Keeper) -> None:
        self._state = state
        self._keeper = keeper

    @property
    def addr(self) -> Addr:
        """The address that it listens on, for instance ``α:10``."""
        return self._state.addr

    def accept(self, timeout: Optional[float] = None) -> Connection:
        """Takes the next dialer, at the lowest free port of the host. Waits for one, at most
        ``timeout`` seconds.

        Raises :class:`lonet.SocketDown`, :class:`lonet.HostDown` or :class:`lonet.NetworkDown` when
        closed, :class:`lonet.TimedOut`, :class:`lonet.PortsExhausted`.
        """
        reporter = self._state.host.net.reporter
        try:
            if reporter is None:
                accepted = self._wait(timeout)
            else:
                with reporter.operation():
                    accepted = self._wait(timeout)
        except Error as why:
            raise self._error(why) from None
        return Connection(accepted[0], self._keeper, accepted[1])

    def _wait(self, timeout: Optional[float]) -> tuple[End, socket.socket]:
        deadline = None if timeout is None else time.monotonic() + timeout
        with STATE:
            while True:
                taken = self._state.take()
                if taken is not None:
                    break
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimedOut()
                self._state.changed.wait(left)
        return self._answer(*taken)

    def _answer(self, caller: Caller, end: End, record: Optional[Record]) -> tuple[End, socket.socket]:
        try:
            # Told before the reply: nobody may know of the connection before the trace does.
            self._state.host.net.write(record)
            return end, caller.answer(end.local)
        except BaseException:
            # An interrupt: what nobody will ever hold is closed.
            end.close(by_task=False)
            caller.refuse()
            raise

    def _error(self, why: Error) -> Error:
        return why._of("accept", self._state.host.net.network, addr=self._state.addr)

    def close(self) -> None:
        """Closes it: frees its port, refuses who waits, wakes who accepts. Closing twice is no
        error."""
        self._state.close()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " closed" if self._state.closed is not None else ""
        return f"<lonet.Listener {self._state.addr}{state}>"

    def __del__(self) -> None:
        state = getattr(self, "_state", None)
        if state is not None and state.closed is None:
            state.drop()
