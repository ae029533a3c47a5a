"""The asyncio face: readers and writers as ``asyncio.open_connection`` and ``asyncio.start_server``
give them, on a lonet network.

Owns no rule of the network: a dial is the same :class:`Dialing`, an accept the same ``take``. What
is special here: bytes count as read when user code takes them from the reader, not when the event
loop does.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Awaitable, Callable, ContextManager, Iterable, Optional

from .addr import Addr
from .dialing import Dialing
from .errors import Error, HostDown, NetworkDown, of_system
from .listener import Listener
from .lock import STATE
from .trace.reporter import Reporter, Tap
from .virtnet import End, Keeper

if TYPE_CHECKING:
    from .host import Host

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def open_connection(host: Host, addr: str, limit: int) -> _Streams:
    """Dials; see ``Host.open_connection``."""
    with _operation(host._net.reporter):
        end, sock = await _dial(host, addr)
    return await _streams(end, host._keeper, sock, limit)


async def _dial(host: Host, addr: str) -> tuple[End, socket.socket]:
    loop = asyncio.get_running_loop()
    dialing = Dialing(host._net, host._state, addr)
    try:
        registry, name = host._net.registry, dialing.target.host
        found = registry.try_lookup(name)
        if found is None:
            # The registry is busy: not the loop's time is spent on it.
            found = await loop.run_in_executor(None, registry.lookup, name)
        sock = dialing.connect(found)
        await _ready(loop.add_writer, loop.remove_writer, sock, dialing)
        dialing.request()
        while True:
            await _ready(loop.add_reader, loop.remove_reader, sock, dialing)
            connected = dialing.receive()
            if connected is not None:
                return connected
    except BaseException as why:
        # Also when cancelled: the port must be free again, and the peer must not see a ghost.
        error = dialing.fail(why)
        if error is why:
            raise
        raise error from None


async def _ready(
    add: Callable[..., Any], remove: Callable[..., Any], sock: socket.socket, dialing: Dialing
) -> None:
    """Waits until the socket is ready, or the dial cut off or over."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    add(sock, _set, ready)
    try:
        while not ready.done():
            await asyncio.wait([ready], timeout=dialing.patience())
    finally:
        remove(sock)
        ready.cancel()


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _streams(end: End, keeper: Keeper, sock: socket.socket, limit: int) -> _Streams:
    """A reader and a writer for a connection that is open."""
    loop = asyncio.get_running_loop()
    reader = Reader(end, limit, loop)
    protocol = _Protocol(end, reader, loop)
    try:
        transport, _ = await loop.create_connection(lambda: protocol, sock=sock)
    except BaseException:
        end.close(by_task=False)
        sock.close()
        raise

    def cut() -> None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
            loop.call_soon_threadsafe(transport.abort)
        except (OSError, RuntimeError):
            pass  # The socket, or the loop with all it had, is closed.

    with STATE:
        end.cutter = cut
        if end.closed is not None:
            cut()
    return reader, Writer(end, keeper, transport, protocol, reader, loop)


class _Protocol(asyncio.StreamReaderProtocol):
    """Tells the network that the connection is closed, before its socket is."""

    def __init__(self, end: End, reader: Reader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self._lonet_end = end

    def connection_lost(self, exc: Optional[Exception]) -> None:
        if self._lonet_end.close(by_task=False):
            self._lonet_end.lost = True
        super().connection_lost(exc)


class Reader(asyncio.StreamReader):
    """An ``asyncio.StreamReader`` of one end of a connection between two hosts."""

    def __init__(self, end: End, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=limit, loop=loop)
        self._lonet_end = end
        #: One read is under way; those that it makes itself are part of it.
        self._lonet_reading = False

    async def read(self, n: int = -1) -> bytes:
        """Reads up to ``n`` bytes, or all until EOF."""
        if n == 0:
            return await super().read(0)
        return await self._counted(super().read(n), n < 0, lambda data: n < 0 or not data)

    async def readline(self) -> bytes:
        """Reads a line; what there is at EOF."""
        return await self._counted(super().readline(), True, lambda data: data[-1:] != b"\n")

    async def readuntil(self, separator: Any = b"\n") -> bytes:
        """Reads up to and including the separator."""
        return await self._counted(super().readuntil(separator), True, lambda _: False)

    async def readexactly(self, n: int) -> bytes:
        """Reads ``n`` bytes."""
        if n == 0:
            return await super().readexactly(0)
        return await self._counted(super().readexactly(n), True, lambda _: False)

    async def _counted(
        self, read: Awaitable[bytes], whole: bool, saw_eof: Callable[[bytes], bool]
    ) -> bytes:
        """Awaits a read, and tells of its bytes. ``whole``: it would not have returned with
        fewer."""
        if self._lonet_reading:
            return await read
        tap = _tap(self._lonet_end)
        self._lonet_reading = True
        try:
            if tap is not None:
                tap.before_read()
            with _operation(tap.reporter if tap is not None else None):
                data = await read
        except asyncio.IncompleteReadError as short:
            self._check()
            if tap is not None:
                tap.read(len(short.partial), whole=True)
                tap.read(0)
            raise
        except OSError as error:
            if tap is not None and self._why() is None and isinstance(error, ConnectionResetError):
                tap.read(0)  # A reset ends the stream as EOF does.
            raise self._lonet_end.error(self._why() or of_system(error), "read") from error
        except ValueError:
            # The line was too long, and nobody knows how much of it is gone.
            if tap is not None:
                tap.opaque()
            raise
        finally:
            self._lonet_reading = False
        self._check()
        if tap is not None:
            if data:
                tap.read(len(data), whole)
            if saw_eof(data):
                tap.read(0)
        return data

    def _why(self) -> Optional[Error]:
        closed = self._lonet_end.closed
        return closed() if closed is not None else None

    def _check(self) -> None:
        why = self._why()
        # What was received before the peer's reset closed this end may still be read.
        if why is not None and not self._lonet_end.lost:
            raise self._lonet_end.error(why, "read")


class Writer(asyncio.StreamWriter):
    """An ``asyncio.StreamWriter`` of one end of a connection between two hosts."""

    def __init__(self, end: End, keeper: Keeper, *args: Any) -> None:
        super().__init__(*args)
        self._lonet_end = end
        self._lonet_keeper = keeper

    @property
    def local_addr(self) -> Addr:
        """This end's address on the network, for instance ``β:1``."""
        return self._lonet_end.local

    @property
    def peer_addr(self) -> Addr:
        """The other end's address on the network."""
        return self._lonet_end.peer

    def write(self, data: Any) -> None:
        """Writes, or keeps what the kernel does not take at once."""
        self._check()
        tap = _tap(self._lonet_end)
        if tap is not None:
            size = memoryview(data).nbytes
            tap.before_write(size)
            tap.wrote(size)
        super().write(data)

    def writelines(self, data: Iterable[Any]) -> None:
        """Writes several pieces."""
        self.write(b"".join(data))

    def write_eof(self) -> None:
        """Ends this direction once all is written: the peer reads EOF, and can still send."""
        self._check()
        self._lonet_end.shutdown()
        super().write_eof()

    def close(self) -> None:
        """Closes the connection once all is written; its port is free at once."""
        self._lonet_end.close()
        super().close()

    async def start_tls(self, *args: Any, **kwargs: Any) -> None:
        """Speaks TLS from here on; the trace says no more of the connection's bytes."""
        tap = _tap(self._lonet_end)
        if tap is not None:
            tap.opaque()
        await super().start_tls(*args, **kwargs)  # type: ignore[misc,unused-ignore]

    def _check(self) -> None:
        closed = self._lonet_end.closed
        if closed is not None and not self._lonet_end.lost:
            raise self._lonet_end.error(closed(), "write")


class Server:
    """Accepts connections until it is closed, like an ``asyncio.Server``."""

    def __init__(
        self,
        listener: Listener,
        connected: Callable[..., Optional[Awaitable[Any]]],
        limit: int,
    ) -> None:
        self._listener = listener
        self._connected = connected
        self._limit = limit
        self._handlers: set[asyncio.Future[Any]] = set()
        self._serving = asyncio.get_running_loop().create_task(self._serve())

    @property
    def addr(self) -> Addr:
        """The address that it listens on, for instance ``α:10``."""
        return self._listener.addr

    def is_serving(self) -> bool:
        """Whether it still accepts."""
        return not self._serving.done()

    def close(self) -> None:
        """Stops listening. Established connections go on."""
        self._listener.close()

    async def wait_closed(self) -> None:
        """Waits until it accepts no more."""
        await asyncio.wait([self._serving])

    async def serve_forever(self) -> None:
        """Waits until it is closed; closes it when cancelled."""
        try:
            await self.wait_closed()
        finally:
            self.close()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        state = self._listener._state
        while state.closed is None:
            try:
                end, sock = await _accept(self._listener)
                reader, writer = await _streams(end, self._listener._keeper, sock, self._limit)
            except (Error, OSError) as error:
                if state.closed is None:
                    message = f"accept at {self.addr} failed"
                    loop.call_exception_handler({"message": message, "exception": error})
                continue
            handled = self._connected(reader, writer)
            if asyncio.iscoroutine(handled):
                handler = loop.create_task(handled)
                self._handlers.add(handler)
                handler.add_done_callback(partial(self._handled, writer))

    def _handled(self, writer: asyncio.StreamWriter, handler: asyncio.Future[Any]) -> None:
        self._handlers.discard(handler)
        if handler.cancelled():
            writer.close()
            return
        error = handler.exception()
        if isinstance(error, (HostDown, NetworkDown)):
            return  # What it served was closed under it, on purpose.
        if error is not None:
            message = f"unhandled exception of a connection to {self.addr}"
            handler.get_loop().call_exception_handler({"message": message, "exception": error})
            writer.close()


async def _accept(listener: Listener) -> tuple[End, socket.socket]:
    """Takes the next dialer. Between taking it and telling it so, nothing is awaited."""
    loop = asyncio.get_running_loop()
    state = listener._state
    with _operation(state.host.net.reporter):
        while True:
            changed = loop.create_future()

            def wake(changed: asyncio.Future[None] = changed) -> None:
                try:
                    loop.call_soon_threadsafe(_set, changed)
                except RuntimeError:
                    pass  # The loop is closed, and with it who waited.

            try:
                with STATE:
                    taken = state.take()
                    if taken is None:
                        state.wakers.append(wake)
            except Error as why:
                raise listener._error(why) from None
            if taken is not None:
                return listener._answer(*taken)
            await changed


def _operation(reporter: Optional[Reporter]) -> ContextManager[None]:
    return nullcontext() if reporter is None else reporter.operation()


def _tap(end: End) -> Optional[Tap]:
    return None if end.host.net.forked else end.tap
