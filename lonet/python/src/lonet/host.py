"""What users hold of a host."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Optional

from .addr import resolve_listen
from .connection import Connection
from .dialing import Dialing
from .errors import AddrNotAvailable, Error
from .listener import Listener
from .lock import STATE
from .loopback import LoopbackNet
from .quote import debug
from .virtnet import End, HostState, Keeper

if TYPE_CHECKING:
    import asyncio

    from .streams import Server


class Host:
    """A named access point of a network, with ports 1 to 65535.

    A cheap handle. Dropping one closes nothing while another handle of its subnetwork lives.
    """

    def __init__(self, net: LoopbackNet, state: HostState, keeper: Keeper) -> None:
        self._net = net
        self._state = state
        self._keeper = keeper

    @property
    def network(self) -> str:
        """The network's full name, for instance ``lonetx``."""
        return self._net.network

    @property
    def name(self) -> str:
        """The host's name."""
        return self._state.name

    def listen(self, laddr: str = "") -> Listener:
        """Listens on an address of this host: ``"α:10"``, or ``":10"`` on α. With port 0, or
        ``""``, on the lowest free port.

        Raises :class:`lonet.AddrInUse` if the port is taken, :class:`lonet.AddrNotAvailable` if the
        address is another host's, :class:`lonet.PortsExhausted`, :class:`lonet.InvalidAddr`,
        :class:`lonet.HostDown`, :class:`lonet.NetworkDown`.
        """
        network = self._net.network
        try:
            addr = resolve_listen(laddr, self._state.name)
        except Error as why:
            raise why._of("listen", network, subject=debug(laddr)) from None
        try:
            with STATE:
                down = self._state.down()
            if down is not None:
                raise down
            if addr.host != self._state.name:
                raise AddrNotAvailable()
            return Listener(self._state.listen(addr.port), self._keeper)
        except Error as why:
            raise why._of("listen", network, addr=addr) from None

    def dial(self, addr: str, timeout: Optional[float] = None) -> Connection:
        """Connects to ``addr``, from the lowest free port. Done when the other side accepts; waits
        for that as long as the other host lives, or for ``timeout`` seconds.

        Raises :class:`lonet.ConnectionRefused` when nothing listens there or the host is gone,
        :class:`lonet.NoSuchHost` when there never was one, :class:`lonet.TimedOut`,
        :class:`lonet.PortsExhausted`, :class:`lonet.InvalidAddr`, :class:`lonet.HostDown`,
        :class:`lonet.NetworkDown`, :class:`lonet.ProtocolError`.
        """
        reporter = self._net.reporter
        if reporter is None:
            end, sock = self._dial(addr, timeout)
        else:
            with reporter.operation():
                end, sock = self._dial(addr, timeout)
        return Connection(end, self._keeper, sock)

    def _dial(self, addr: str, timeout: Optional[float]) -> tuple[End, socket.socket]:
        dialing = Dialing(self._net, self._state, addr)
        try:
            dialing.give_up_after(timeout)
            sock = dialing.connect(self._net.registry.lookup(dialing.target.host))
            _wait(sock, select.POLLOUT, dialing)
            dialing.request()
            while True:
                _wait(sock, select.POLLIN, dialing)
                connected = dialing.receive()
                if connected is not None:
                    return connected
        except BaseException as why:
            # Also for an interrupt: the port must be free again, and the peer must not see a ghost.
            error = dialing.fail(why)
            if error is why:
                raise
            raise error from None

    async def open_connection(
        self, addr: str, *, limit: int = 2**16
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As :meth:`dial`, in asyncio: a reader and a writer, as from ``asyncio.open_connection``.

        Cancelling it frees the port, and leaves no connection behind.
        """
        from . import streams

        return await streams.open_connection(self, addr, limit)

    async def start_server(
        self,
        client_connected_cb: Callable[
            [asyncio.StreamReader, asyncio.StreamWriter], Optional[Awaitable[Any]]
        ],
        laddr: str = "",
        *,
        limit: int = 2**16,
    ) -> Server:
        """As :meth:`listen`, in asyncio: calls ``client_connected_cb(reader, writer)`` for every
        connection, in a task of its own if it is a coroutine function, as
        ``asyncio.start_server`` does."""
        from . import streams

        return streams.Server(self.listen(laddr), client_connected_cb, limit)

    def mark(self, text: object) -> None:
        """Emits an event of the user's: ``α mark leader term=3`` for
        ``host.mark("leader term=3")``. White space is folded. Without a trace, or once the host is
        closed, it does nothing."""
        reporter = self._net.reporter
        if reporter is None:
            return
        words = " ".join(str(text).split())
        with STATE:
            if self._state.closed:
                return
            record = reporter.number(reporter.current(), "mark", h=self._state.name, x=words)
        reporter.write(record)

    def close(self) -> None:
        """Closes the host and all its listeners and connections, and frees its name. Closing it
        again does nothing."""
        self._net.close_host(self._state)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " closed" if self._state.closed else ""
        return f"<lonet.Host {self.network} {self.name}{state}>"


def _wait(sock: socket.socket, event: int, dialing: Dialing) -> None:
    """Waits until the socket is ready, or the dial cut off or over."""
    poll = select.poll()
    poll.register(sock, event)
    while True:
        # Rounded up, so that time is over when it returns for that reason.
        if poll.poll(dialing.patience() * 1000 + 1):
            return
