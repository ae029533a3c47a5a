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
        #: From here on no port was ever given out automatically.
        self._next = 1
        #: Freed ports below ``_next``; may hold some that were taken again by number.
        self._freed: list[int] = []

    def take_lowest(self) -> Optional[int]:
        """Takes the lowest free port; ``None`` when all are taken."""
        while self._freed:
            port = heapq.heappop(self._freed)
            if port not in self._taken:
                self._taken.add(port)
                return port
        while self._next <= MAX_PORT:
            port = self._next
            self._next += 1
            if port not in self._taken:
                self._taken.add(port)
                return port
        return None

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
