"""The connection to a network's ``trace.sock``.

Owns the connection and its first line. When the collector is gone, tracing goes off and every
operation goes on. After a fork the child opens a connection of its own.
"""

from __future__ import annotations

import errno
import json
import os
import random
import socket
import struct
import threading
from typing import Any, Optional

#: The name of the socket in a network's directory.
SOCKET_NAME = "trace.sock"

#: The name of the file in a network's directory that asks for ``send`` and ``recv``.
DATA_NAME = "trace.data"

#: How long a collector is waited for whose queue is full, in seconds. It does nothing but read, so
#: there is room again in microseconds, unless its process is stopped.
_PATIENCE = 2

#: The version of the protocol that ``hello`` names.
PROTOCOL_VERSION = 1


def wants_data(directory: str) -> bool:
    """Whether what is sent and received on the directory's network is to be recorded."""
    return os.path.exists(os.path.join(directory, DATA_NAME))


def encode(line: dict[str, Any]) -> bytes:
    """One line: an object as JSON, and a newline."""
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
    # Text that is no Unicode (a lone surrogate in a mark) must not end tracing.
    return text.encode("utf-8", "replace") + b"\n"


class _Socket(socket.socket):
    """A socket that is closed when nobody has it any more; that this happens is no mistake."""

    def __del__(self) -> None:
        self.close()


class TraceSocket:
    """A connection to a collector."""

    def __init__(self, directory: str, connection: socket.socket) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._connection: Optional[socket.socket] = connection
        self._put(_hello())

    @classmethod
    def connect(cls, directory: str) -> Optional[TraceSocket]:
        """Connects to the directory's socket; ``None`` if the network isn't traced."""
        connection = _dial(directory)
        return None if connection is None else cls(directory, connection)

    @property
    def gone(self) -> bool:
        """Whether the collector is."""
        return self._connection is None

    def write(self, line: bytes) -> None:
        """Writes a line as a whole, or turns tracing off."""
        if self._pid != os.getpid():
            self._reopen()
        with self._lock:
            self._put(line)

    def try_write(self, line: bytes) -> bool:
        """Writes a line unless that means to wait for another thread."""
        if self._pid != os.getpid() or not self._lock.acquire(blocking=False):
            return False
        try:
            self._put(line)
        finally:
            self._lock.release()
        return True

    def _put(self, line: bytes) -> None:
        if self._connection is None:
            return
        rest = memoryview(line)
        try:
            while rest:
                # An interrupt leaves a gap, which is allowed; never half a line sent twice.
                rest = rest[self._connection.send(rest, socket.MSG_NOSIGNAL) :]
        except OSError:
            self._connection.close()
            self._connection = None

    def _reopen(self) -> None:
        """This process is a fork of the one that connected: it is a reporter of its own."""
        self._lock = threading.Lock()
        self._pid = os.getpid()
        if self._connection is not None:
            self._connection.close()
            self._connection = _dial(self._directory)
            self._put(_hello())


def _dial(directory: str) -> Optional[socket.socket]:
    # A socket's address holds 108 bytes; the way through the descriptor is short.
    try:
        held = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    # Its path may lead elsewhere by now, if the directory that it lies in is another user's.
    if os.fstat(held).st_uid != os.geteuid():
        os.close(held)
        raise PermissionError(errno.EACCES, "it is another user's directory by now", directory)
    connection = _Socket(socket.AF_UNIX)
    try:
        # A connect waits for room in the listener's queue, and has no bound but this one.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _PATIENCE, 0))
        connection.connect(f"/proc/self/fd/{held}/{SOCKET_NAME}")
        # None for what is written.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, 0))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except BlockingIOError:
        connection.close()
        raise OSError(
            f"{os.path.join(directory, SOCKET_NAME)} has taken nobody for {_PATIENCE} s; the process"
            " that collects the trace is stopped, or hangs"
        ) from None
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(held)
    return connection


def _hello() -> bytes:
    hello: dict[str, Any] = {
        "version": PROTOCOL_VERSION,
        # Only ever compared; readers of some languages keep 53 bits.
        "nonce": random.SystemRandom().getrandbits(53),
    }
    host = os.environ.get("LONET_HOST")
    if host:
        hello["host"] = host
    return encode({"hello": hello})
