"""The one lock under which this process's part of every network changes, and what a fork does to it
and to every other lock of this package that outlives a network.

One for all networks: Python runs one thread at a time
anyway, and a record's number and the port it tells of must change together.

Nothing that can wait for anyone is done under it: no registry, no socket, no trace line.
"""

from __future__ import annotations

import os
import threading


def lock_of_the_process() -> threading.Lock:
    """A lock that is free in a forked child, whatever another thread of its parent held.

    It is not taken before the fork: that could wait, for ever if a signal handler forks while the
    thread that it interrupts holds the lock. In the child the thread that held it does not exist.
    """
    lock = threading.Lock()
    # As the standard library does with its own. Releasing it would not do: a thread that has just got
    # it, and waits for the interpreter to say so, holds a lock that says it is free.
    os.register_at_fork(after_in_child=lock._at_fork_reinit)  # type: ignore[attr-defined]
    return lock


#: Guards hosts, port tables, queues, connection ends, and the numbers of trace records.
STATE = lock_of_the_process()
