"""Advisory locks on files, held by an open descriptor: taken within bounds, and re-checked
against their name, because a file may be unlinked while one waits for it.

Does not know what is locked, nor why.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from .opened import OpenDir

SHARED = fcntl.LOCK_SH
EXCLUSIVE = fcntl.LOCK_EX

# Whatever somebody may have put there: no link is followed, no FIFO waited for.
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


#: What the owner must be allowed, whatever the umask of who makes a file.
_MODE = 0o600


def open_or_create(directory: OpenDir, name: str) -> int:
    """Opens a file of this directory that is only there to be locked, or makes it."""
    fd = _open(directory, name, _FLAGS | os.O_CREAT)
    if os.fstat(fd).st_mode & _MODE != _MODE:
        os.fchmod(fd, _MODE)
    return fd


def open_existing(directory: OpenDir, name: str) -> int:
    """Opens a file that is only there to be locked."""
    return _open(directory, name, _FLAGS)


def _open(directory: OpenDir, name: str, flags: int) -> int:
    try:
        return os.open(name, flags, _MODE, dir_fd=directory.fd)
    except PermissionError:
        # Its maker has not put the mode right yet, or was killed before.
        path = directory.at(name)
        found = os.lstat(path)
        # By its name, which is safe: nobody else can put a link into the network's directory.
        if stat.S_ISREG(found.st_mode) and found.st_mode & _MODE != _MODE:
            os.chmod(path, _MODE)
        return os.open(name, flags, _MODE, dir_fd=directory.fd)


def try_lock(fd: int, kind: int) -> bool:
    """Locks the file unless that means waiting. Converts a lock of the other kind; when that
    fails, the former lock is gone."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_within(fd: int, kind: int, patience: float) -> bool:
    """Locks the file, waiting at most that many seconds: a holder may be a process that is
    stopped."""
    # The kernel knows no flock with a deadline, so this asks again: soon at first, as locks are
    # held for some 100 µs, then after half of what it has waited and at most 4 ms, as many who
    # ask often take the processors from the one that has the lock.
    pause = 20e-6
    deadline = time.monotonic() + patience
    while not try_lock(fd, kind):
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 4e-3)
    return True


def unlock(fd: int) -> None:
    """Gives the lock up. Not left to the closing: a forked child may hold the same open file."""
    fcntl.flock(fd, fcntl.LOCK_UN)
