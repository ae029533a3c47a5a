"""Who is alive: a subnetwork holds the lock of a file named after its OS address for as long as its
process lives, and the kernel gives the lock up however that ends.

A lease file is only ever unlinked by who holds its lock and has seen that its name still leads to
it: otherwise two processes could each hold "the" lease. Knows no hosts.
"""

from __future__ import annotations

import enum
import os
import random
from typing import Optional

from ..errors import RegistryError
from . import base, flock
from .opened import OpenDir

#: How long a lease that is probed by others is tried for, in seconds; a probe takes a microsecond.
_PATIENCE = 1

#: How many leases are looked at for dead ones.
_LOOKS = 8

#: What their files' names begin with.
_PREFIX = "lease-"


class Liveness(enum.Enum):
    """Whether the process that listens at an OS address lives."""

    #: Its lease is held.
    ALIVE = 1
    #: Its lease was left behind.
    DEAD = 2
    #: It has no lease: one of the originals, or long gone.
    UNLEASED = 3


class Lease:
    """The lease of the subnetwork at one OS address."""

    def __init__(self, directory: OpenDir, name: str, fd: int) -> None:
        self._directory = directory
        self._name = name
        self._fd: Optional[int] = fd

    @classmethod
    def take(cls, directory: OpenDir, osladdr: str) -> Lease:
        """Takes the lease of this address, which we listen at."""
        name = _PREFIX + osladdr
        path = directory.shown_at(name)
        while True:
            try:
                fd = flock.open_or_create(directory, name)
            except OSError as error:
                raise base.failed("open", path, error) from error
            if not flock.lock_within(fd, flock.EXCLUSIVE, _PATIENCE):
                os.close(fd)
                raise RegistryError(
                    f"{path} is held by another process, although this one listens at {osladdr}: do"
                    f" they share {directory.shown} but not the kernel's network (containers)?"
                )
            if directory.has(fd, name):
                return cls(directory, name, fd)
            os.close(fd)

    def give_up(self, remove: bool) -> None:
        """Gives it up; ``remove``: nothing in the registry needs its file any more."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        if remove:
            _remove_if_held(self._directory, self._name, fd)
        flock.unlock(fd)
        os.close(fd)

    def forget(self) -> None:
        """Closes what a fork has inherited; the lease stays the parent's."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def probe(directory: OpenDir, osladdr: str) -> Liveness:
    """Whether the subnetwork at this address lives."""
    try:
        fd = flock.open_existing(directory, _PREFIX + osladdr)
    except FileNotFoundError:
        return Liveness.UNLEASED
    except OSError:
        # What can't be told is alive: a living host's name is never given away.
        return Liveness.ALIVE
    try:
        if not flock.try_lock(fd, flock.SHARED):
            return Liveness.ALIVE
        flock.unlock(fd)
        return Liveness.DEAD
    except OSError:
        return Liveness.ALIVE
    finally:
        os.close(fd)


def some_dead(directory: OpenDir) -> list[str]:
    """The addresses of leases that were left behind, of a few that are looked at: others each
    time, as those of the living must not hide the ones behind them for ever."""
    try:
        files = [name for name in directory.names() if name.startswith(_PREFIX)]
    except OSError:
        return []
    looks = random.SystemRandom().sample(files, min(_LOOKS, len(files)))
    leases = [name[len(_PREFIX) :] for name in looks]
    return [osladdr for osladdr in leases if probe(directory, osladdr) is Liveness.DEAD]


def remove_dead(directory: OpenDir, osladdr: str) -> None:
    """Removes the file of a lease that was left behind. Nothing in the registry may need it."""
    name = _PREFIX + osladdr
    try:
        fd = flock.open_existing(directory, name)
    except OSError:
        return
    try:
        if flock.try_lock(fd, flock.EXCLUSIVE):
            _remove_if_held(directory, name, fd)
            flock.unlock(fd)
    except OSError:
        pass  # If it stays, it says "dead", which is true.
    finally:
        os.close(fd)


def _remove_if_held(directory: OpenDir, name: str, fd: int) -> None:
    try:
        if directory.has(fd, name):
            os.unlink(name, dir_fd=directory.fd)
    except OSError:
        pass  # If it stays, it says "dead", which is true.
