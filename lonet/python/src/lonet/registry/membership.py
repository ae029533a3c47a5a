"""A subnetwork's place in its network's registry: its hosts' names and its lease.

Owns the order of things: who holds which lock when the registry changes, and which rows are stale.
SQL is ``sqlite``'s, files are ``directory``'s and ``lease``'s. Everything here blocks, for
microseconds as a rule, but for seconds when a process of the network is stopped.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import Optional, Union

from ..errors import Error, NetworkDown
from ..peer_uid import SocketAddr
from . import lease
from .directory import NetworkDir
from .lease import Lease, Liveness
from .sqlite import Database, Lookup, parse_osladdr

#: How long an address without a lease is given to refuse a connection, in seconds. Over loopback
#: that takes microseconds.
_PROBE = 0.25

#: How long it takes at most until what could not be withdrawn is tried again, in seconds.
_RETRY = 0.02

#: What a fork has inherited: closing it would be SQLite's business, and its parent's.
_inherited: list[Database] = []


class Registry:
    """A subnetwork's place in its network's registry, until :meth:`close`.

    Locks are taken in this order: the network's writer lock, then ours.
    """

    def __init__(self, directory: NetworkDir, osladdr: SocketAddr) -> None:
        """Opens the network's registry for the subnetwork that listens at ``osladdr``, and takes
        its lease."""
        self._directory = directory
        self._osladdr = _text(osladdr)
        self._lock = threading.Lock()
        #: Hosts of ours that are closed, and whose rows are still there.
        self._leaving: set[str] = set()
        self._retrying = threading.Lock()
        self._database: Optional[Database]
        self._place = place = directory.opened
        left_behind = lease.some_dead(place)
        # The lease of a dead process may have been left behind at this very address. From the
        # moment it is ours, that process's rows look alive; nobody may judge them until they are
        # gone, so all of this happens under the writer lock.
        with directory.writer():
            database = Database(place, directory.is_exposed, directory.name)
            try:
                self._lease = Lease.take(place, self._osladdr)
                try:
                    database.forget(self._osladdr)
                    # Nobody else would ever remove the lease of who was killed without a host.
                    for dead in filter(parse_osladdr, left_behind):
                        if not database.names(dead):
                            lease.remove_dead(place, dead)
                except BaseException:
                    self._lease.give_up(remove=False)
                    raise
            except BaseException:
                database.close()
                raise
        self._database = database

    def announce(self, host: str) -> None:
        """Makes it known that we serve this host; raises :class:`HostExists` when a living process
        has one of this name."""
        with self._directory.writer():
            with self._lock:
                # It may be the name of one that is closed.
                self._withdraw_leaving()
                dead = self._open().announce(host, self._osladdr, self._is_alive)
            if dead is not None:
                lease.remove_dead(self._place, dead)

    def withdraw(self, host: str) -> None:
        """Makes this host's name free again. If that can't be done now, it is tried again on a
        thread of its own, until it can be, or until :meth:`close`."""
        self._leaving.add(host)
        if self._try_withdraw() or not self._retrying.acquire(blocking=False):
            return
        try:
            retry = threading.Thread(target=self._keep_withdrawing, name="lonet-withdraw")
            retry.daemon = True
            retry.start()
        except RuntimeError:
            self._retrying.release()  # No thread to be had: the next host withdraws it.

    def _keep_withdrawing(self) -> None:
        """Until nothing is left. What keeps it from that (no descriptors, a program that holds the
        registry) may last, and nobody tells when it ends."""
        while not self._try_withdraw():
            time.sleep(_RETRY)
        self._retrying.release()

    def _try_withdraw(self) -> bool:
        try:
            with self._directory.writer(), self._lock:
                self._withdraw_leaving()
        except (Error, OSError):
            return self._database is None
        return True

    def _withdraw_leaving(self) -> None:
        leaving = sorted(self._leaving)
        if leaving and self._database is not None:
            self._database.withdraw(leaving, self._osladdr)
        # Meanwhile others may have come, but none of these: they had to be announced anew.
        self._leaving.difference_update(leaving)

    def lookup(self, host: str) -> Union[SocketAddr, Lookup]:
        """Where a host is served; whether that process lives, :meth:`alive` tells."""
        with self._lock:
            return self._open().lookup(host)

    def try_lookup(self, host: str) -> Union[SocketAddr, Lookup, None]:
        """As :meth:`lookup`, but ``None`` where that would have to wait."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._open().try_lookup(host)
        finally:
            self._lock.release()

    def alive(self, osladdr: SocketAddr) -> Liveness:
        """Whether the subnetwork at this OS address lives. Never waits."""
        return lease.probe(self._place, _text(osladdr))

    def close(self) -> None:
        """Forgets this subnetwork's hosts and gives its lease up. If the registry can't be
        changed, the lease alone says that the hosts are gone."""
        forgotten = False
        try:
            with self._directory.writer(), self._lock:
                if self._database is not None:
                    self._database.forget(self._osladdr)
                    forgotten = True
        except Error:
            pass  # Nobody could do anything about it; the lease tells the others.
        with self._lock:
            database, self._database = self._database, None
        if database is not None:
            database.close()
            # In this order: no row may ever be without its lease.
            self._lease.give_up(remove=forgotten)

    def forget(self) -> None:
        """This process is a fork: what it has inherited is the parent's."""
        if self._database is not None:
            _inherited.append(self._database)
            self._database = None
        self._lock = threading.Lock()
        self._leaving.clear()
        self._lease.forget()

    def _open(self) -> Database:
        if self._database is None:
            raise NetworkDown()
        return self._database

    def _is_alive(self, osladdr: SocketAddr) -> bool:
        alive = self.alive(osladdr)
        return _answers(osladdr) if alive is Liveness.UNLEASED else alive is Liveness.ALIVE


def _answers(osladdr: SocketAddr) -> bool:
    """Whether somebody listens at an address that has no lease: an original has none."""
    try:
        with socket.create_connection(osladdr, timeout=_PROBE) as probe:
            # Connected to itself, as TCP does when the dead port happens to be chosen as source.
            return bool(probe.getsockname() != probe.getpeername())
    except ConnectionRefusedError:
        return False
    except OSError:
        return True


def _text(osladdr: SocketAddr) -> str:
    return f"{osladdr[0]}:{osladdr[1]}"
