"""Removing networks that nobody uses any more: by the last one out, and, for what a SIGKILL left
behind, by later joins.

Only what carries the mark of a random network goes. Whoever removes a directory holds its presence
lock alone, and moves it out of the way first: who comes by path meanwhile either finds nothing or
finds the lock file at another place, and starts afresh.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import stat
import threading

from . import flock, names

#: The file that everybody in the network holds a shared lock of.
PRESENCE = "here"
#: The file that marks a random network: the last one out removes it.
MARK = "random"

#: What is being removed has a name that no network can have.
_GONE = ".gone-"
#: How many directories one sweep removes, and looks at.
_AT_MOST = 8
_LOOKS = 256

_sweeping = threading.Lock()


def sweep_aside(base: str) -> None:
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


def sweep(base: str) -> None:
    """Removes a few dead random networks. What can't be removed is left to others."""
    try:
        entries = os.listdir(base)
    except OSError:
        return
    # Directories that stay must not hide the ones behind them for ever.
    random.SystemRandom().shuffle(entries)
    dead = (name for name in entries[:_LOOKS] if _remove_if_dead(os.path.join(base, name)))
    for _ in itertools.islice(dead, _AT_MOST):
        pass


def _remove_if_dead(path: str) -> bool:
    try:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return False
        if os.path.basename(path).startswith(_GONE):
            # Nobody can be in there: its remover was killed, or is at it, which does no harm.
            shutil.rmtree(path)
            return True
        if not is_marked(path):
            return False
        presence = flock.open_existing(os.path.join(path, PRESENCE))
    except OSError:
        return False
    try:
        return remove_if_alone(path, presence)
    finally:
        os.close(presence)


def is_marked(path: str) -> bool:
    """Whether the directory carries the mark of a random network."""
    try:
        return stat.S_ISREG(os.lstat(os.path.join(path, MARK)).st_mode)
    except OSError:
        return False


def remove_if_alone(path: str, presence: int) -> bool:
    """Removes a random network's directory if nobody else holds its presence lock, which is
    ``presence``, open. In any case whatever lock that held is given up."""
    try:
        if not flock.try_lock(presence, flock.EXCLUSIVE):
            return False
        if not flock.is_at(presence, os.path.join(path, PRESENCE)):
            return False
        gone = os.path.join(os.path.dirname(path), _GONE + names.word())
        os.rename(path, gone)
        # From here on nobody finds it: those who wait for the lock may go on.
        flock.unlock(presence)
        shutil.rmtree(gone)
        return True
    except OSError:
        return False
    finally:
        flock.unlock(presence)
