"""Which task acts, what it has learned since it last reported, and whether it still orders its
events.

A task is the running asyncio task or, outside of one, the thread. Pure bookkeeping under the lock
of ``lonet.lock``; writes nothing.
"""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any, Optional


class Task:
    """What a reporter knows of one task."""

    def __init__(self, number: int) -> None:
        #: The number by which records name the task.
        self.number = number
        #: Grows with each thing the task learns: an event of its own, or a read.
        self.knowledge = 0
        #: What it read since its last record: socket → (certain, all).
        self.reads: dict[int, tuple[int, int]] = {}
        #: How many of its operations pend now.
        self.pending = 0
        #: Two pended at once before: the task orders its events no longer.
        self.unordered = False

    def read(self, s: int, certain: int, all_: int) -> None:
        """The task has read a socket up to ``all_``, of which ``certain`` count."""
        self.knowledge += 1
        self.reads[s] = (certain, all_)


class Tasks:
    """All tasks of a reporter; those that have ended are forgotten."""

    def __init__(self) -> None:
        self._last = 0
        self._thread = threading.local()
        self._asyncio: weakref.WeakKeyDictionary[Any, Task] = weakref.WeakKeyDictionary()

    def current(self) -> Task:
        """The task that runs now. Call it under the lock."""
        running = _asyncio_task()
        if running is not None:
            task = self._asyncio.get(running)
            if task is None:
                task = self._asyncio[running] = self._new()
            return task
        mine: Optional[Task] = getattr(self._thread, "task", None)
        if mine is None:
            mine = self._thread.task = self._new()
        return mine

    def _new(self) -> Task:
        self._last += 1
        return Task(self._last)


def _asyncio_task() -> Optional[Any]:
    # Whoever has not imported asyncio runs no task of it.
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return None
    return asyncio.current_task()
