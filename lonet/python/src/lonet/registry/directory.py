"""Where a network lies on disk, and who may use it.

Owns the rules that a network's directory must keep to, and the presence lock by which the others
know that somebody is there. What the files in it hold is others' business.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import Iterator, Optional

from ..addr import check_name
from ..errors import DirectoryError, RegistryError
from . import base, flock, names, sweep

#: The file that whoever changes the registry holds an exclusive lock of.
WRITER = "writer"
#: The registry. Only SQLite opens it.
REGISTRY = "registry.db"

#: How long a lock is waited for, in seconds. They are held for microseconds, unless the holder is
#: stopped.
_PATIENCE = 10


class NetworkDir:
    """A network's directory. Until :meth:`close`, nobody removes it.

    When the last one of a random network is closed, in whatever process, the directory goes.
    """

    def __init__(self, name: str, path: str, presence: int) -> None:
        #: The network's name, without the prefix.
        self.name = name
        self.path = path
        self._presence: Optional[int] = presence

    @classmethod
    def open(cls, name: str) -> NetworkDir:
        """Joins or creates the directory of the network of that name; for the empty name, of a
        fresh one with a random unique name."""
        if name:
            check_name(name)
        base_dir = base.prepare(base.tmp())
        sweep.sweep_aside(base_dir)
        while True:
            chosen = name or names.network_name()
            made = _make(os.path.join(base_dir, chosen))
            if made or name:
                # `None`: swept meanwhile.
                entered = cls._enter(os.path.join(base_dir, chosen), chosen, made)
                if entered is not None:
                    return entered

    @classmethod
    def _enter(cls, path: str, name: str, made: bool) -> Optional[NetworkDir]:
        if not _check(path):
            return None
        lock = os.path.join(path, sweep.PRESENCE)
        try:
            presence = flock.open_or_create(lock)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise base.failed("open", lock, error) from error
        try:
            if not flock.lock_within(presence, flock.SHARED, _PATIENCE):
                raise _held(lock)
            # It may have been removed while we waited, and even made anew by somebody else.
            if not flock.is_at(presence, lock):
                os.close(presence)
                return None
            if made and names.is_network_name(name):
                mark = os.path.join(path, sweep.MARK)
                os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except BaseException:
            os.close(presence)
            raise
        return cls(name, path, presence)

    @contextmanager
    def writer(self) -> Iterator[None]:
        """The right to change the registry, held meanwhile."""
        path = os.path.join(self.path, WRITER)
        try:
            fd = flock.open_or_create(path)
        except OSError as error:
            raise base.failed("open", path, error) from error
        try:
            if not flock.lock_within(fd, flock.EXCLUSIVE, _PATIENCE):
                raise _held(path)
            try:
                yield
            finally:
                flock.unlock(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Leaves; the last one out of a random network removes it."""
        presence, self._presence = self._presence, None
        if presence is None:
            return
        if sweep.is_marked(self.path):
            sweep.remove_if_alone(self.path, presence)
        else:
            flock.unlock(presence)
        os.close(presence)

    def forget(self) -> None:
        """Closes what a fork has inherited; the lock stays the parent's."""
        presence, self._presence = self._presence, None
        if presence is not None:
            os.close(presence)


def _make(path: str) -> bool:
    """Makes a network's directory. Says whether it was not there yet."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return False
    except OSError as error:
        raise base.failed("make", path, error) from error
    return True


def _check(path: str) -> bool:
    """Checks that a network's directory is ours alone. Says whether it is there."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise base.failed("look at", path, error) from error
    if stat.S_ISLNK(found.st_mode):
        raise DirectoryError(f"{path} is a symbolic link; a network's directory must be none")
    if not stat.S_ISDIR(found.st_mode):
        raise DirectoryError(f"{path} is no directory")
    if found.st_uid != os.geteuid():
        owner, me = base.user(found.st_uid), base.user(os.geteuid())
        raise DirectoryError(
            f"{path} belongs to {owner}; the directory of a network that {me} joins must be theirs"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise DirectoryError(f"{path} is open to other users (mode {mode:04o}); it must be 0700")
    if mode != 0o700:
        # Made under an umask that takes rights from the owner, or where groups are inherited.
        try:
            os.chmod(path, 0o700)
        except OSError as error:
            raise base.failed("repair the mode of", path, error) from error
    return True


def _held(lock: str) -> RegistryError:
    return RegistryError(
        f"{lock} has been locked for {_PATIENCE} s; a process of this network is stopped (SIGSTOP),"
        " or hangs"
    )
