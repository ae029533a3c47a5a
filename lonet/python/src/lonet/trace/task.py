"""Which task acts, what it has learned since it last reported, and which of that orders its events:
what happens while another operation of the task is pending has no place in its order.

A task is the running asyncio task or, outside of one, the thread. Pure bookkeeping under the lock
of ``lonet.lock``; writes nothing.
"""

from __future__ import annotations

import gc
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
        #: What it read since its last record that has a place in its order: socket → (certain, all).
        self.reads: dict[int, tuple[int, int]] = {}
        #: What it read beside another operation since its last record.
        self.beside: dict[int, tuple[int, int]] = {}
        #: How many of its operations pend now.
        self.pending = 0

    def read(self, s: int, certain: int, all_: int) -> None:
        """The task has read a socket up to ``all_``, of which ``certain`` count. The read itself
        pends no more."""
        self.knowledge += 1
        (self.beside if self.pending else self.reads)[s] = (certain, all_)

    def said(self, record: dict[str, Any], own: int, accepts: bool, has_place: bool) -> None:
        """Adds to a record what it says of its task. So many operations are its own."""
        beside, self.beside = self.beside, {}
        if self.pending > own or not has_place:
            record["u"] = True
            beside = {**beside, **self.reads}
            if accepts:
                self.reads = {}
        elif self.reads:
            record["r"] = _credits(self.reads)
            self.reads = {}
        if beside:
            record["ru"] = _credits(beside)


def _credits(reads: dict[int, tuple[int, int]]) -> list[list[int]]:
    return [[s, certain, all_] for s, (certain, all_) in reads.items()]


class Users:
    """Which tasks have read, written or shut down an end, or accepted at a listener."""

    def __init__(self) -> None:
        self._one: Optional[Task] = None
        self._several = False

    def used_by(self, task: Task) -> None:
        """That task uses it."""
        if self._one is None:
            self._one = task
        self._several |= self._one is not task

    def only(self, task: Task) -> bool:
        """Whether a drop by that task has a place in its order. Of what several have shared, the last
        to let go of it drops it, as time has it."""
        return self._one is task and not self._several


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


_collector = threading.local()


def _collects(phase: str, _: Any) -> None:
    _collector.runs = phase == "start"


gc.callbacks.append(_collects)


def lets_go() -> bool:
    """Whether what is finalised now, on this thread, goes because the running task let go of it: not
    because the garbage collector came by, or the interpreter ends."""
    return not getattr(_collector, "runs", False) and not sys.is_finalizing()


def _asyncio_task() -> Optional[Any]:
    # Whoever has not imported asyncio runs no task of it.
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return None
    return asyncio.current_task()
