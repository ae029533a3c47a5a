"""All SQL there is: the registry's file as a set of operations.

Whoever changes something holds the network's writer lock, so our own processes never meet each
other here; the originals, who know no such lock, are met with patience. Does not know which rows
are stale: callers say who is alive.
"""

from __future__ import annotations

import enum
import os
import re
import sqlite3
import stat
import time
from pathlib import Path
from typing import Callable, Optional, TypeVar, Union

from ..errors import Error, HostExists, RegistryError
from ..lock import lock_of_the_process
from ..peer_uid import SocketAddr
from ..quote import debug
from .opened import OpenDir

_T = TypeVar("_T")

#: The registry. Only SQLite opens it.
REGISTRY = "registry.db"

#: The version of the tables that are shared with the originals.
_SCHEMA_VERSION = "lonet.1"

#: How long others may keep the registry busy before that is an error, in seconds.
_PATIENCE = 10

_OURS = ("hosts", "meta", "lonet_names", "lonet_remember_name")
_OSLADDR = re.compile(
    r"(127\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})):([1-9]\d{0,4})", re.ASCII
)


class Lookup(enum.Enum):
    """What the registry knows of a name that is not served."""

    #: Never announced on this network.
    NEVER = 1
    #: Announced once, and withdrawn since.
    GONE = 2


class Database:
    """An open registry. Not to be used by two threads at once."""

    def __init__(self, directory: OpenDir, exposed: bool, network: str) -> None:
        """Opens the registry of the network of that name in its directory, and makes its tables if
        they are missing. The caller holds the writer lock. ``exposed``: another user may at any
        moment put something else in the directory's place."""
        self._path = path = directory.shown_at(REGISTRY)
        file = directory.at(REGISTRY)
        _check_file(file, path)

        def connect() -> sqlite3.Connection:
            return _connect_exposed(directory) if exposed else _connect(file)

        try:
            try:
                self._connection = connect()
            except sqlite3.OperationalError:
                _permit(file)
                self._connection = connect()
            if _permit(file):
                self._connection.close()
                self._connection = connect()
        except sqlite3.Error as error:
            raise _explained(path, error) from error
        try:
            # Whatever somebody has written there.
            self._connection.text_factory = lambda data: data.decode("utf-8", "replace")
            # Nothing in here is worth an fsync: after a power cut there are no processes to find.
            # The journal mode stays what it is: an original may have chosen WAL, and is connected.
            self._read(lambda c: c.execute("PRAGMA synchronous = OFF").fetchall())
            if not self._read(_is_complete):
                # Only then, so that a registry of another version is not touched.
                self._check_meta(network, complete=False)
                self._change(lambda c: _create(c, network))
            self._check_meta(network, complete=True)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def _check_meta(self, network: str, complete: bool) -> None:
        rows = self._read(_meta)
        for name, ours in (("schemaver", _SCHEMA_VERSION), ("network", network)):
            theirs = rows.get(name, "" if complete else ours)
            if theirs != ours:
                raise _mismatch(self._path, name, theirs, ours)

    def lookup(self, host: str) -> Union[SocketAddr, Lookup]:
        """Where a host is served. Waits while the registry is busy."""
        found = self._read(lambda c: _find(c, host))
        if isinstance(found, Lookup):
            return found
        return self._parse(host, found)

    def try_lookup(self, host: str) -> Union[SocketAddr, Lookup, None]:
        """What is known of a host; ``None`` while the registry is busy."""
        self._connection.execute("PRAGMA busy_timeout = 0").close()
        try:
            found = _find(self._connection, host)
        except sqlite3.Error as error:
            if _is_busy(error):
                return None
            raise _explained(self._path, error) from error
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {_PATIENCE * 1000}").close()
        return found if isinstance(found, Lookup) else self._parse(host, found)

    def announce(
        self, host: str, ours: str, is_alive: Callable[[SocketAddr], bool]
    ) -> Optional[str]:
        """Writes down that ``host`` is served at ``ours``, unless ``is_alive`` says so of the
        address that has it now. The caller holds the writer lock. Says whose rows were removed as
        dead.

        ``is_alive`` is asked while nobody can change the registry, the originals included.
        """

        def announce(c: sqlite3.Connection) -> Optional[str]:
            row = c.execute("SELECT osladdr FROM hosts WHERE hostname = ?", (host,)).fetchone()
            dead = None
            if row is not None:
                holder = self._parse(host, _text(row[0]))
                dead = f"{holder[0]}:{holder[1]}"
                if dead == ours or is_alive(holder):
                    raise HostExists()
                # One address is one process: with it, all its hosts are dead.
                c.execute("DELETE FROM hosts WHERE osladdr = ?", (dead,))
            c.execute("INSERT INTO hosts (hostname, osladdr) VALUES (?, ?)", (host, ours))
            return dead

        return self._change(announce)

    def withdraw(self, hosts: list[str], ours: str) -> None:
        """Removes the rows of hosts that are served at ``ours``. The caller holds the writer
        lock."""
        statement = "DELETE FROM hosts WHERE hostname = ? AND osladdr = ?"
        rows = [(host, ours) for host in hosts]
        self._change(lambda c: c.executemany(statement, rows).close())

    def names(self, osladdr: str) -> bool:
        """Whether a host is served at that address, or was, by a process that is dead now."""
        query = "SELECT 1 FROM hosts WHERE osladdr = ? LIMIT 1"
        return bool(self._read(lambda c: c.execute(query, (osladdr,)).fetchall()))

    def forget(self, osladdr: str) -> None:
        """Removes all rows of an address. The caller holds the writer lock."""
        if self.names(osladdr):
            statement = "DELETE FROM hosts WHERE osladdr = ?"
            self._change(lambda c: c.execute(statement, (osladdr,)).close())

    def _parse(self, host: str, osladdr: str) -> SocketAddr:
        parsed = parse_osladdr(osladdr)
        if parsed is None:
            raise RegistryError(
                f"registry {self._path} has host {debug(host)} at {debug(osladdr)}; legal are "
                "addresses 127.x.y.z:port only, and none for broadcast"
            )
        return parsed

    def _read(self, what: Callable[[sqlite3.Connection], _T]) -> _T:
        return self._patiently(lambda: what(self._connection))

    def _change(self, what: Callable[[sqlite3.Connection], _T]) -> _T:
        """One transaction that has the right to write from its begin; nothing is changed if it
        fails."""

        def attempt() -> _T:
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                value = what(connection)
                connection.execute("COMMIT")
                return value
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

        try:
            return self._patiently(attempt)
        except sqlite3.IntegrityError:
            raise HostExists() from None

    def _patiently(self, attempt: Callable[[], _T]) -> _T:
        """SQLite does not ask its busy handler everywhere: not when the journal mode changes, nor
        when it finds that waiting could be a deadlock. So what was busy is tried again, within
        bounds."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return attempt()
            except sqlite3.IntegrityError:
                raise
            except sqlite3.Error as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise _explained(self._path, error) from error
            time.sleep(200e-6)


def parse_osladdr(text: str) -> Optional[SocketAddr]:
    """``127.x.y.z:port`` in its only spelling; nothing else is ever connected to."""
    match = _OSLADDR.fullmatch(text)
    if match is None:
        return None
    ip, port = match[1], int(match[2])
    legal = port <= 65535 and all(int(part) <= 255 for part in ip.split("."))
    legal = legal and ip not in ("127.0.0.0", "127.255.255.255")  # Broadcast.
    return (ip, port) if legal else None


def _check_file(file: str, path: str) -> None:
    try:
        found = os.lstat(file)
    except OSError:
        return  # What is wrong with it, SQLite finds out.
    if not stat.S_ISREG(found.st_mode):
        raise RegistryError(f"registry {path} is not a regular file; remove it")


def _connect(path: str, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, uri=uri
    )


#: Another thread that opens the same file at that moment would be taken for this one.
_opening = lock_of_the_process()


def _connect_exposed(directory: OpenDir) -> sqlite3.Connection:
    """A registry in a directory that another user may rename at any moment.

    SQLite finds out what path an open directory has, and goes by that path from then on: for the
    registry once, for a journal each time. So here it makes no file: the registry is made before,
    and the journal is kept in memory. A process that is killed in the middle of a change, which is
    a few writes long, then leaves a damaged registry, which is an error that says what to do; a
    file in a directory of another user's choice would be worse.
    """
    try:
        # Only SQLite may open it. If it can't be made, it can't be opened, and SQLite says why.
        os.mknod(REGISTRY, stat.S_IFREG | 0o600, dir_fd=directory.fd)
    except OSError:
        pass
    deadline = time.monotonic() + _PATIENCE
    while True:
        with _opening:
            before = _times_open(directory)
            connection = _connect(f"file:{directory.at(REGISTRY)}?mode=rw", uri=True)
            # The path may have led elsewhere.
            if _times_open(directory) > before:
                break
        connection.close()
        if time.monotonic() > deadline:
            raise sqlite3.OperationalError("unable to open it: its path leads elsewhere")
    try:
        connection.execute("PRAGMA journal_mode = MEMORY").close()
    except sqlite3.Error:
        pass  # An original has the registry in WAL mode.
    return connection


def _times_open(directory: OpenDir) -> int:
    """How often this process has the registry open."""

    def identity(path: str) -> Optional[tuple[int, int]]:
        try:
            found = os.stat(path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    held = identity(directory.at(REGISTRY))
    if held is None:
        return 0
    fds = os.listdir("/proc/self/fd")
    return sum(identity(f"/proc/self/fd/{fd}") == held for fd in fds)


def _permit(path: str) -> bool:
    """SQLite makes the file as the umask has it, which may take rights from the owner. Gives them
    back, and says whether it did; a registry that holds something is as somebody wants it."""
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size or found.st_mode & 0o600 == 0o600:
            return False
        # By its path, as only SQLite may open it; nobody else can put a link there.
        os.chmod(path, 0o600)
    except OSError:
        return False
    return True


def _is_complete(connection: sqlite3.Connection) -> bool:
    """Whether all of our schema is there."""
    query = "SELECT count(*) FROM sqlite_master WHERE name IN (?, ?, ?, ?)"
    return bool(connection.execute(query, _OURS).fetchone()[0] == len(_OURS))


def _meta(connection: sqlite3.Connection) -> dict[str, str]:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'"
    if connection.execute(query).fetchone() is None:
        return {}
    query = "SELECT name, value FROM meta WHERE name IN ('schemaver', 'network')"
    return {_text(name): _text(value) for name, value in connection.execute(query).fetchall()}


def _create(connection: sqlite3.Connection, network: str) -> None:
    # Not `executescript`, which would end the transaction.
    statement = ""
    for line in Path(__file__).with_name("schema.sql").read_text("utf-8").splitlines(True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    insert = "INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)"
    connection.execute(insert, ("schemaver", _SCHEMA_VERSION))
    connection.execute(insert, ("network", network))


def _find(connection: sqlite3.Connection, host: str) -> Union[str, Lookup]:
    row = connection.execute("SELECT osladdr FROM hosts WHERE hostname = ?", (host,)).fetchone()
    if row is not None:
        return _text(row[0])
    query = "SELECT 1 FROM lonet_names WHERE hostname = ?"
    known = connection.execute(query, (host,)).fetchone() is not None
    return Lookup.GONE if known else Lookup.NEVER


def _text(value: object) -> str:
    """A value as text, whatever somebody has written there."""
    return "" if value is None else str(value)


def _is_busy(error: sqlite3.Error) -> bool:
    # The error's code is told from Python 3.11 on only.
    return "is locked" in str(error)


def _explained(path: str, error: sqlite3.Error) -> Error:
    """What is wrong, with which file, and what to do."""
    directory = os.path.dirname(path)
    text = str(error)
    what = "cannot be used"
    advice = f"end the programs of this network and remove {directory}"
    if "not a database" in text or "malformed" in text:
        what = "is damaged, or no registry"
    elif "readonly" in text:
        what, advice = "cannot be written", f"make it and {directory} writable for you"
    elif "unable to open" in text:
        what = "cannot be opened"
        advice = (
            f"see that {directory} is a directory you can write to, and that the process may open "
            "more files"
        )
    elif "full" in text:
        what, advice = "cannot grow", "free space on its disk, or set TMPDIR to another one"
    elif "disk I/O" in text:
        what = "cannot be read or written"
        advice = "see that its disk has space and works, or set TMPDIR to another one"
    elif _is_busy(error):
        what = f"has been busy for {_PATIENCE} s"
        advice = "a program of this network is stopped (SIGSTOP) or hangs; resume or end it"
    return RegistryError(f"registry {path} {what}: {text}; {advice}")


def _mismatch(path: str, row: str, theirs: str, ours: str) -> RegistryError:
    """The registry says something else of itself than we would."""
    if row == "network":
        return RegistryError(
            f"registry {path} is of network {debug(theirs)}, not {debug(ours)}; was its directory "
            "moved?"
        )
    return RegistryError(
        f"registry {path} has schema version {debug(theirs)}, this program speaks {debug(ours)}; "
        "use another network, or the same version everywhere"
    )
