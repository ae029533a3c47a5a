"""A directory that is opened once, and through whose descriptor everything in it is reached.

A sticky directory protects an entry from everybody but the directory's own owner, who may rename it,
or put a symbolic link in its place, between any two uses of its path. So what is judged and what is
used must be one and the same open directory. Judges nothing itself.
"""

from __future__ import annotations

import os

_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class OpenDir:
    """An open directory, until nothing refers to it any more."""

    def __init__(self, fd: int, shown: str) -> None:
        self.fd = fd
        #: What users know it by. Never opened again.
        self.shown = shown

    @classmethod
    def open(cls, path: str) -> OpenDir:
        """Opens the directory at this path, following no link at its end."""
        return cls(os.open(path, _FLAGS), path)

    def open_in(self, name: str) -> OpenDir:
        """Opens a directory in this one."""
        return OpenDir(os.open(name, _FLAGS, dir_fd=self.fd), self.shown_at(name))

    def stat(self) -> os.stat_result:
        """What it is, whatever its path leads to by now."""
        return os.fstat(self.fd)

    @property
    def path(self) -> str:
        """A path to it that nobody can change."""
        return f"/proc/self/fd/{self.fd}"

    def at(self, name: str) -> str:
        """The path of an entry."""
        return f"{self.path}/{name}"

    def shown_at(self, name: str) -> str:
        """Where users find an entry."""
        return os.path.join(self.shown, name)

    def names(self) -> list[str]:
        """The names of its entries, in the system's order."""
        return os.listdir(self.path)

    def has(self, fd: int, name: str) -> bool:
        """Whether its entry of that name is this open file or directory."""
        held = os.fstat(fd)
        try:
            there = os.lstat(name, dir_fd=self.fd)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    def __del__(self) -> None:
        os.close(self.fd)
