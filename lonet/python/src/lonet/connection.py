"""One end of a connection, used like any ``socket.socket``.

Owns what a read or a write fails with, and what is told of the bytes. Reads and writes go straight
to the kernel's socket: nothing is buffered here, so ``select`` and friends tell the truth.
"""

from __future__ import annotations

import os
import socket
import weakref
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional, TypeVar, cast

from .addr import Addr
from .errors import Error, of_system
from .lock import STATE
from .trace.reporter import Tap
from .virtnet import End, Keeper

_T = TypeVar("_T")

#: What the caller's own choice of timeout or non-blocking mode leads to: passed on as it is.
_OF_THE_MODE = (socket.timeout, BlockingIOError, InterruptedError)


class Connection(socket.socket):
    """One end of an established connection between two hosts.

    A ``socket.socket`` with the network's addresses: ``send``, ``recv``, ``makefile``, timeouts,
    non-blocking mode, ``select`` by ``fileno()``, half-close with ``shutdown`` and the context
    manager all work. ``getsockname`` and ``getpeername`` are those of the OS.

    Raises :class:`lonet.Error` where a socket raises ``OSError``; ``socket.timeout`` and
    ``BlockingIOError`` are the standard ones. ``close`` wakes blocked calls.

    ``fileno()`` is meant for waiting. What is read or written through the bare descriptor is
    missing from the trace's order; ``detach()``, ``dup()`` and wrapping in TLS are noticed, and the
    trace says from then on nothing of the connection's bytes.
    """

    def __init__(self, end: End, keeper: Keeper, sock: socket.socket) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=sock.detach())
        self.settimeout(socket.getdefaulttimeout())
        self._end = end
        self._keeper = keeper
        #: Operations that are inside the kernel now; the descriptor is closed after the last.
        self._busy = 0
        self._close_pending = False
        self._detached = False
        weak = weakref.ref(self)

        def cut() -> None:
            connection = weak()
            if connection is not None:
                connection._shutdown_quietly()

        with STATE:
            end.cutter = cut
            if end.closed is not None:
                cut()

    @property
    def local_addr(self) -> Addr:
        """This end's address on the network, for instance ``β:1``."""
        return self._end.local

    @property
    def peer_addr(self) -> Addr:
        """The other end's address on the network."""
        return self._end.peer

    def __repr__(self) -> str:
        state = " closed" if self._end.closed is not None else ""
        return f"<lonet.Connection {self._end.local}-{self._end.peer} fd={self.fileno()}{state}>"

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receives up to ``bufsize`` bytes; none at EOF."""
        return self._read(lambda: super(Connection, self).recv(bufsize, flags), len, bufsize, flags)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receives into a buffer; how many bytes, 0 at EOF."""
        wanted = nbytes or memoryview(buffer).nbytes
        return self._read(
            lambda: super(Connection, self).recv_into(buffer, nbytes, flags), int, wanted, flags
        )

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """As :meth:`recv`; the address beside it means nothing for TCP."""
        return self._read(
            lambda: super(Connection, self).recvfrom(bufsize, flags),
            lambda got: len(got[0]),
            bufsize,
            flags,
        )

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """As :meth:`recv_into`; the address beside it means nothing for TCP."""
        wanted = nbytes or memoryview(buffer).nbytes
        return self._read(
            lambda: super(Connection, self).recvfrom_into(buffer, nbytes, flags),
            lambda got: got[0],
            wanted,
            flags,
        )

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> Any:
        """As :meth:`recv`, with ancillary data."""
        return self._read(
            lambda: super(Connection, self).recvmsg(bufsize, ancbufsize, flags),
            lambda got: len(got[0]),
            bufsize,
            flags,
        )

    def recvmsg_into(self, buffers: Any, ancbufsize: int = 0, flags: int = 0, /) -> Any:
        """Receives into several buffers, with ancillary data."""
        buffers = list(buffers)
        wanted = sum(memoryview(buffer).nbytes for buffer in buffers)
        return self._read(
            lambda: super(Connection, self).recvmsg_into(buffers, ancbufsize, flags),
            lambda got: int(got[0]),
            wanted,
            flags,
        )

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Sends what the kernel takes at once; how many bytes that was."""
        size = memoryview(data).nbytes
        return self._write(lambda: super(Connection, self).send(data, flags), int, size)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Sends everything."""
        size = memoryview(data).nbytes
        try:
            return self._write(
                lambda: super(Connection, self).sendall(data, flags), lambda _: size, size
            )
        except BaseException:
            # Nobody knows how much was sent.
            self._opaque()
            raise

    def sendmsg(self, buffers: Any, *args: Any) -> int:
        """Sends from several buffers what the kernel takes at once."""
        buffers = list(buffers)
        size = sum(memoryview(buffer).nbytes for buffer in buffers)
        return self._write(lambda: super(Connection, self).sendmsg(buffers, *args), int, size)

    def sendto(self, data: Any, *args: Any) -> int:
        """As :meth:`send`: a connection has one peer."""
        size = memoryview(data).nbytes
        return self._write(lambda: super(Connection, self).sendto(data, *args), int, size)

    def sendfile(self, file: Any, offset: int = 0, count: Optional[int] = None) -> int:
        """Sends a file; how many bytes that was."""
        if self._end.tap is None:
            return super().sendfile(file, offset, count)
        # In chunks, by `send`, so that they are counted.
        return cast(int, super()._sendfile_use_send(file, offset, count))  # type: ignore[misc]

    def shutdown(self, how: int, /) -> None:
        """Ends one direction or both: after ``SHUT_WR`` the peer reads EOF, and can still send."""
        with self._inside("write"):
            if how in (socket.SHUT_WR, socket.SHUT_RDWR):
                self._end.shutdown()
            self._shutdown_now(how)

    def _shutdown_now(self, how: int) -> None:
        try:
            super().shutdown(how)
        except OSError as error:
            raise self._error(error, "write") from error

    def detach(self) -> int:
        """Gives the descriptor away. The port stays taken until the host is closed."""
        self._opaque()
        self._detached = True
        return super().detach()

    def dup(self) -> socket.socket:  # type: ignore[override]
        """A plain socket for the same connection, which the trace knows nothing of."""
        self._opaque()
        plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=os.dup(self.fileno()))
        plain.settimeout(self.gettimeout())
        return plain

    def _real_close(self, *args: Any) -> None:
        # `socket.close` comes here once no file of `makefile` is open any more.
        if not self._detached:
            self._end.close()
            with STATE:
                if self._busy:
                    # The descriptor's number must not be another's while a thread still uses it.
                    self._close_pending = True
                    self._shutdown_quietly()
                    return
        super()._real_close(*args)  # type: ignore[misc]

    def __del__(self) -> None:
        end: Optional[End] = getattr(self, "_end", None)
        if end is None or self._detached:
            return
        fd = super().detach()
        if fd >= 0:
            end.drop(lambda: socket.close(fd))

    def _shutdown_quietly(self) -> None:
        try:
            super().shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # It is closed, or the peer was faster.

    def _opaque(self) -> None:
        tap = self._end.tap
        if tap is not None and not self._end.host.net.forked and self._end.closed is None:
            tap.opaque()

    def _tap(self) -> Optional[Tap]:
        return None if self._end.host.net.forked else self._end.tap

    def _read(
        self, call: Callable[[], _T], count: Callable[[_T], int], wanted: int, flags: int
    ) -> _T:
        with self._inside("read"):
            tap = None if flags & socket.MSG_PEEK else self._tap()
            try:
                if tap is None:
                    got = call()
                else:
                    tap.before_read()
                    with tap.reporter.operation():
                        got = call()
            except _OF_THE_MODE:
                raise
            except OSError as error:
                reset = isinstance(error, ConnectionResetError)
                if tap is not None and reset and self._end.closed is None:
                    tap.read(0)  # A reset ends the stream as EOF does.
                raise self._error(error, "read") from error
            if self._end.closed is not None:
                raise self._end.error(self._end.closed(), "read")
            if tap is not None and wanted > 0:
                tap.read(count(got))
            return got

    def _write(self, call: Callable[[], _T], count: Callable[[_T], int], size: int) -> _T:
        with self._inside("write"):
            tap = self._tap()
            try:
                if tap is None:
                    return call()
                tap.before_write(size)
                with tap.reporter.operation():
                    sent = call()
                tap.wrote(count(sent))
                return sent
            except _OF_THE_MODE:
                raise
            except OSError as error:
                raise self._error(error, "write") from error

    @contextmanager
    def _inside(self, op: str) -> Iterator[None]:
        """Keeps the descriptor open, and fails when the end is closed."""
        with STATE:
            if self._end.closed is not None:
                raise self._end.error(self._end.closed(), op)
            self._busy += 1
        try:
            yield
        finally:
            with STATE:
                self._busy -= 1
                close = self._close_pending and not self._busy
            if close:
                super()._real_close()  # type: ignore[misc]

    def _error(self, error: OSError, op: str) -> Error:
        closed = self._end.closed
        why = closed() if closed is not None else of_system(error)
        return self._end.error(why, op)
