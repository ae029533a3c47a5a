"""A subnetwork over kernel TCP: its directory, registry, OS listener and background thread.

Owns joining and leaving: what is opened in which order, and what the end of the process, or a fork
of it, does to it.
"""

from __future__ import annotations

import atexit
import itertools
import os
import threading
import weakref
from typing import Callable

from .acceptor import Acceptor
from .addr import check_name
from .errors import Error, HostExists, NetworkDown, of_system
from .lock import STATE
from .registry import NetworkDir, Registry
from .trace.reporter import Reporter
from .virtnet import HostState, Net

#: Every subnetwork of this process that is open.
_open: weakref.WeakSet[LoopbackNet] = weakref.WeakSet()


class LoopbackNet(Net):
    """The state of one subnetwork on loopback."""

    def __init__(self, directory: NetworkDir) -> None:
        """Joins the network that has this directory; leaves it again if that fails."""
        super().__init__(directory.name, Reporter.of(directory.path))
        self._directory = directory
        self.auto_close = False
        self.acceptor = Acceptor()
        # Sources rotate through the listener's own 127.x.y.0/24, so that TIME_WAIT blocks none.
        prefix = self.acceptor.address[0].rpartition(".")[0]
        self._sources = itertools.cycle([f"{prefix}.{last}" for last in range(1, 255)])
        try:
            self.registry = Registry(directory, self.acceptor.address)
        except BaseException:
            self.acceptor.stop()
            raise
        self._left = threading.Event()
        self.acceptor.start(self)
        _open.add(self)

    @classmethod
    def join(cls, name: str) -> LoopbackNet:
        """Joins or creates the network of that name; a fresh one for the empty name."""
        try:
            directory = NetworkDir.open(name)
            try:
                return cls(directory)
            except BaseException:
                directory.close()
                raise
        except Error as why:
            raise why._of("join", "lonet" + str(name)) from why.__cause__
        except OSError as error:
            raise of_system(error)._of("join", "lonet" + str(name)) from error

    def next_source(self) -> str:
        """The IP address to dial from."""
        return next(self._sources)

    def later(self, job: Callable[[], None]) -> None:
        self.acceptor.later(job)

    def add_host(self, name: str) -> HostState:
        """Brings up a host of that name."""
        try:
            check_name(name)
            if self.closed:
                raise NetworkDown()
            self.registry.announce(name)
            with STATE:
                down = NetworkDown() if self.closed else None
                if down is None and name in self.hosts:
                    down = HostExists()
                if down is None:
                    host = self.hosts[name] = HostState(self, name)
                    record = self.number("up", h=name)
            if down is not None:
                self.registry.withdraw(name)
                raise down
        except Error as why:
            why = NetworkDown() if self.closed else why
            raise why._of("new host", self.network, subject=str(name)) from None
        except OSError as error:
            raise of_system(error)._of("new host", self.network, subject=str(name)) from error
        self.write(record)
        return host

    def close_host(self, host: HostState) -> None:
        """Closes a host and gives its name back; the subnetwork with its last, if it is to."""
        if self.forked or not host.close():
            return
        with STATE:
            self.hosts.pop(host.name, None)
            last = self.auto_close and not self.hosts
        if last:
            self.close()
            return
        self.registry.withdraw(host.name)

    def set_auto_close(self) -> None:
        """Closes when the last host does; at once if there is none."""
        with STATE:
            self.auto_close = True
            none = not self.hosts
        if none:
            self.close()

    def close(self) -> None:
        """Closes every host and leaves the network; returns when that is done."""
        with STATE:
            first = not self.closed and not self.forked
            self.closed = True
            hosts = [host for _, host in sorted(self.hosts.items())]
            self.hosts.clear()
        if not first:
            if not self.forked and not self.acceptor.is_current():
                self._left.wait()
            return
        try:
            for host in hosts:
                host.close()
            self.acceptor.stop()
            self.registry.close()
            self._directory.close()
        finally:
            self._left.set()
            _open.discard(self)

    def forget(self) -> None:
        """This process is a fork: the network is its parent's. Established connections go on, and
        so do marks; nothing else does, and nothing of it is told."""
        self.closed = self.forked = True
        self.acceptor.forget()
        self.registry.forget()
        self._directory.forget()
        self._left = threading.Event()
        self._left.set()


def _close_all() -> None:
    for net in sorted(_open, key=lambda net: net.network):
        net.close()


def _forget_all() -> None:
    for net in list(_open):
        net.forget()
        _forked.append(net)
    _open.clear()


#: What a fork has inherited is kept, so that no finaliser touches what is its parent's.
_forked: list[LoopbackNet] = []

# As a program ends, its names become free and its random networks go.
atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)

