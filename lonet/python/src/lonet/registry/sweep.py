"""Removing networks that nobody uses any more: by the last one out, and, for what a SIGKILL left
behind, by later joins.

Only what carries the mark of a random network goes. What removes a directory holds its presence lock
alone until that is done, and moves it out of the way first: who comes by name meanwhile either finds
nothing or finds it at another place, and starts afresh. The owner of the base directory may rename
what lies in it at any moment, so a name says nothing: all is judged, locked and emptied through the
directory that is open.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import stat
import threading

from ..lock import lock_of_the_process
from . import flock, names
from .opened import OpenDir

#: The file that everybody in the network holds a shared lock of.
PRESENCE = "here"
#: The file that marks a random network: the last one out removes it.
MARK = "random"

#: What is being removed has a name that no network can have.
_GONE = ".gone-"
#: How many directories one sweep removes, and looks at.
_AT_MOST = 8
_LOOKS = 256

_sweeping = lock_of_the_process()


def sweep_aside(base: OpenDir) -> None:
    """Removes a few dead random networks, on a thread of its own, unless this process is at it."""

    def run() -> None:
        if _sweeping.acquire(blocking=False):
            try:
                sweep(base)
            finally:
                _sweeping.release()

    try:
        threading.Thread(target=run, name="lonet-sweep", daemon=True).start()
    except RuntimeError:
        pass  # No thread to be had: the next join sweeps.


def sweep(base: OpenDir) -> None:
    """Removes a few dead random networks. What can't be removed is left to others."""
    try:
        entries = base.names()
    except OSError:
        return
    # Directories that stay must not hide the ones behind them for ever.
    random.SystemRandom().shuffle(entries)
    dead = (name for name in entries[:_LOOKS] if _remove_if_dead(base, name))
    for _ in itertools.islice(dead, _AT_MOST):
        pass


def _remove_if_dead(base: OpenDir, name: str) -> bool:
    try:
        opened = base.open_in(name)
        if opened.stat().st_uid != os.geteuid():
            return False
        if not is_marked(opened):
            # Its maker was killed before it could mark it, or is about to, and starts afresh; or its
            # remover was killed at the end. Only what is empty can go this way.
            if not names.is_network_name(name) and not name.startswith(_GONE):
                return False
            os.rmdir(name, dir_fd=base.fd)
            return True
        if opened.names() == [MARK]:
            # Its maker got no further, or its remover did not.
            presence = flock.open_or_create(opened, PRESENCE)
        else:
            presence = flock.open_existing(opened, PRESENCE)
    except OSError:
        return False
    try:
        return remove_if_alone(base, name, opened, presence)
    finally:
        os.close(presence)


def is_marked(opened: OpenDir) -> bool:
    """Whether the directory carries the mark of a random network."""
    try:
        return stat.S_ISREG(os.lstat(MARK, dir_fd=opened.fd).st_mode)
    except OSError:
        return False


def remove_if_alone(base: OpenDir, name: str, opened: OpenDir, presence: int) -> bool:
    """Removes a random network's directory, which is ``opened``, and in the base directory has that
    name, if nobody else holds its presence lock, which is ``presence``, open. In any case whatever
    lock that held is given up."""
    try:
        if not flock.try_lock(presence, flock.EXCLUSIVE):
            return False
        if not opened.has(presence, PRESENCE) or not base.has(opened.fd, name):
            return False
        gone = _GONE + names.word()
        os.rename(name, gone, src_dir_fd=base.fd, dst_dir_fd=base.fd)
        if not base.has(opened.fd, gone):
            # The base's owner has just put it there in place of ours. A directory, which is what it
            # can be, replaces nothing but an empty one.
            os.rename(gone, name, src_dir_fd=base.fd, dst_dir_fd=base.fd)
            return False
        # From here on nobody finds it. Who has found it before waits for the lock.
        _empty(opened)
        os.rmdir(gone, dir_fd=base.fd)
        return True
    except OSError:
        return False
    finally:
        flock.unlock(presence)


def _empty(opened: OpenDir) -> None:
    """Removes what is in a directory that nobody else can change. What says that it may go goes
    last: if this is killed half way, others finish it."""
    entries = [name for name in opened.names() if name not in (PRESENCE, MARK)]
    for name in [*entries, PRESENCE, MARK]:
        try:
            if stat.S_ISDIR(os.lstat(name, dir_fd=opened.fd).st_mode):
                shutil.rmtree(opened.at(name))
            else:
                os.unlink(name, dir_fd=opened.fd)
        except FileNotFoundError:
            pass
