"""The ports of one host: always the lowest free one.

Pure bookkeeping. Knows nothing of what a port is used for.
"""

from __future__ import annotations

import heapq
from typing import Optional

from .addr import MAX_PORT


class PortTable:
    """Which ports of a host are taken. Finding the lowest free one takes O(log n)."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        #: Below it, every free port is among those that were freed.
        self._next = 1
        #: Freed ports below ``_next``; may hold some that were taken again by number.
        self._freed: list[int] = []

    def lowest(self) -> Optional[int]:
        """The lowest free port; ``None`` when all are taken."""
        while self._freed:
            if self._freed[0] not in self._taken:
                return self._freed[0]
            heapq.heappop(self._freed)
        while self._next in self._taken:
            self._next += 1
        return self._next if self._next <= MAX_PORT else None

    def take_lowest(self) -> Optional[int]:
        """Takes the lowest free port; ``None`` when all are taken."""
        port = self.lowest()
        if port is not None:
            self._taken.add(port)
        return port

    def take(self, port: int) -> bool:
        """Takes this port, unless it is taken."""
        if port in self._taken:
            return False
        self._taken.add(port)
        return True

    def free(self, port: int) -> None:
        """Gives a taken port back."""
        self._taken.remove(port)
        if port < self._next:
            heapq.heappush(self._freed, port)

    def __len__(self) -> int:
        return len(self._taken)
