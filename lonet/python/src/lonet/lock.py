"""The one lock under which this process's part of every network changes.

Owns the lock and what a fork does to it. One for all networks: Python runs one thread at a time
anyway, and a record's number and the port it tells of must change together.

Nothing that can wait for anyone is done under it: no registry, no socket, no trace line.
"""

from __future__ import annotations

import os
import threading

#: Guards hosts, port tables, queues, connection ends, and the numbers of trace records.
STATE = threading.Lock()

# A child must not inherit a lock that another thread of its parent held.
os.register_at_fork(
    before=STATE.acquire, after_in_parent=STATE.release, after_in_child=STATE.release
)
