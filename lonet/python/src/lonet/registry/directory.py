"""Where a network lies on disk, and who may use it.

Owns the rules that a network's directory must keep to, and the presence lock by which the others
know that somebody is there. What the files in it hold is others' business.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import contextmanager
from typing import Iterator, Optional

from ..addr import check_name
from ..errors import DirectoryError, RegistryError
from . import base, flock, names, sweep
from .opened import OpenDir

#: The file whose exclusive lock a process holds while it changes the registry.
WRITER = "writer"

#: How long a lock is waited for, in seconds. They are held for microseconds, unless the holder is
#: stopped.
_PATIENCE = 10


class NetworkDir:
    """A network's directory. Until :meth:`close`, nobody removes it.

    When the last one of a random network is closed, in whatever process, the directory goes.
    """

    def __init__(self, name: str, base_dir: OpenDir, opened: OpenDir, presence: int) -> None:
        #: The network's name, without the prefix.
        self.name = name
        self._base = base_dir
        #: The directory itself, whatever its path leads to.
        self.opened = opened
        #: Whether another user may rename it, or put something else in its place, at any moment.
        self.is_exposed = base.is_anothers(base_dir)
        self._presence: Optional[int] = presence

    @classmethod
    def open(cls, name: str) -> NetworkDir:
        """Joins or creates the directory of the network of that name; for the empty name, of a
        fresh one with a random unique name."""
        if name:
            check_name(name)
        deadline = time.monotonic() + _PATIENCE
        while True:
            base_dir = base.prepare(base.tmp())
            chosen = name or names.network_name()
            if _make(base_dir, chosen) or name:
                # `None`: swept meanwhile.
                entered = cls._enter(base_dir, chosen)
                if entered is not None:
                    sweep.sweep_aside(base_dir)
                    return entered
            if time.monotonic() > deadline:
                raise DirectoryError(
                    f"{base_dir.shown_at(chosen)} was replaced again and again for {_PATIENCE} s; "
                    "end what does that, or set TMPDIR to another directory"
                )

    @classmethod
    def _enter(cls, base_dir: OpenDir, name: str) -> Optional[NetworkDir]:
        opened = _open_ours(base_dir, name)
        if opened is None:
            return None
        lock = opened.shown_at(sweep.PRESENCE)
        try:
            # First of all: what a SIGKILL leaves without the mark, nobody may remove. But only where
            # there is nothing yet: it may be another network that was put in the place of ours.
            if names.is_network_name(name) and not opened.names():
                flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
                os.close(os.open(sweep.MARK, flags, 0o600, dir_fd=opened.fd))
            presence = flock.open_or_create(opened, sweep.PRESENCE)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise base.failed("open", lock, error) from error
        try:
            if not flock.lock_within(presence, flock.SHARED, _PATIENCE):
                raise _held(lock)
            # It may have been removed while we waited, and even made anew by somebody else.
            if not opened.has(presence, sweep.PRESENCE) or not base_dir.has(opened.fd, name):
                os.close(presence)
                return None
        except BaseException:
            os.close(presence)
            raise
        return cls(name, base_dir, opened, presence)

    @property
    def path(self) -> str:
        """The directory."""
        return self.opened.shown

    @contextmanager
    def writer(self) -> Iterator[None]:
        """The right to change the registry, held meanwhile."""
        path = self.opened.shown_at(WRITER)
        try:
            fd = flock.open_or_create(self.opened, WRITER)
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
        if sweep.is_marked(self.opened):
            sweep.remove_if_alone(self._base, self.name, self.opened, presence)
        else:
            flock.unlock(presence)
        os.close(presence)

    def forget(self) -> None:
        """Closes what a fork has inherited; the lock stays the parent's."""
        presence, self._presence = self._presence, None
        if presence is not None:
            os.close(presence)


def _make(base_dir: OpenDir, name: str) -> bool:
    """Makes a network's directory. Says whether it was not there yet."""
    try:
        os.mkdir(name, 0o700, dir_fd=base_dir.fd)
    except (FileExistsError, FileNotFoundError):
        # It is there; or the base, which was empty, was replaced by another's.
        return False
    except OSError as error:
        raise base.failed("make", base_dir.shown_at(name), error) from error
    return True


def _open_ours(base_dir: OpenDir, name: str) -> Optional[OpenDir]:
    """Opens a network's directory if it is ours alone. ``None``: it is not there."""
    shown = base_dir.shown_at(name)
    try:
        opened = base_dir.open_in(name)
    except FileNotFoundError:
        return None
    except OSError as error:
        rule = "a network's directory must be none"
        raise base.not_opened(base_dir.at(name), shown, rule, error) from error
    found = opened.stat()
    if found.st_uid != os.geteuid():
        owner, me = base.user(found.st_uid), base.user(os.geteuid())
        raise DirectoryError(
            f"{shown} belongs to {owner}; the directory of a network that {me} joins must be theirs"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise DirectoryError(f"{shown} is open to other users (mode {mode:04o}); it must be 0700")
    if mode != 0o700:
        # Made under an umask that takes rights from the owner, or where groups are inherited.
        try:
            os.chmod(opened.path, 0o700)
        except OSError as error:
            raise base.failed("repair the mode of", shown, error) from error
    return opened


def _held(lock: str) -> RegistryError:
    return RegistryError(
        f"{lock} has been locked for {_PATIENCE} s; a process of this network is stopped (SIGSTOP),"
        " or hangs"
    )
