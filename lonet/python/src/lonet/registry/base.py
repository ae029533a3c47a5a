"""The directory that all networks of the machine lie in: made, checked, repaired.

It is shared by all users, so it is writable for all and sticky, like the directory for temporary
files itself. What lies in it is not looked at here.
"""

from __future__ import annotations

import os
import pwd
import stat

from ..errors import DirectoryError, Error, of_system
from . import names
from .opened import OpenDir

#: What every user reads as who is not mapped into this user namespace; we may be one.
_UNMAPPED = 65534

#: Anybody may make an entry, only its owner remove it.
_MODE = 0o1777


def tmp() -> str:
    """The platform's directory for temporary files, whatever the working directory becomes."""
    # Not `tempfile.gettempdir`, which knows more variables than the other languages do.
    return os.path.abspath(os.environ.get("TMPDIR") or "/tmp")


def prepare(tmp_dir: str) -> OpenDir:
    """The base directory in this directory for temporary files, made if it is not there."""
    path = os.path.join(tmp_dir, "lonet")
    while True:
        try:
            base = OpenDir.open(path)
        except FileNotFoundError:
            _make(tmp_dir, path)
        except OSError as error:
            raise not_opened(path, path, "it must be a directory", error) from error
        else:
            _check(base)
            return base


def is_anothers(base: OpenDir) -> bool:
    """Whether the base directory belongs to somebody else than us and root, who may at any moment
    rename what lies in it, or put something else in its place."""
    owner = base.stat().st_uid
    return owner != 0 and (owner != os.geteuid() or owner == _UNMAPPED)


def not_opened(path: str, shown: str, rule: str, error: OSError) -> Error:
    """Why the directory at ``path``, which users know as ``shown``, could not be opened."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return failed("open", shown, error)
    if stat.S_ISLNK(mode):
        return DirectoryError(f"{shown} is a symbolic link; {rule}")
    if not stat.S_ISDIR(mode):
        return DirectoryError(f"{shown} is not a directory")
    return failed("open", shown, error)


def _check(base: OpenDir) -> None:
    found = base.stat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & _MODE == _MODE:
        return
    if found.st_uid != os.geteuid():
        raise DirectoryError(
            f"{base.shown} belongs to {user(found.st_uid)} and has mode {mode:04o}; its owner must make "
            f"it {_MODE:04o}, so that others can use it too"
        )
    try:
        os.chmod(base.path, _MODE)
    except OSError as error:
        raise failed("repair the mode of", base.shown, error) from error


def _make(tmp_dir: str, base: str) -> None:
    """Makes the base directory aside and moves it to its place once its mode is right, so that
    nobody ever sees it with a wrong one. If somebody else was faster, theirs stays."""
    aside = os.path.join(tmp_dir, f".lonet-{names.word()}")
    try:
        os.mkdir(aside, 0o700)
    except OSError as error:
        raise failed("make", aside, error) from error
    try:
        os.chmod(aside, _MODE)
        # May replace an empty directory: one that nobody uses yet, and ours, because the directory
        # for temporary files is sticky.
        os.rename(aside, base)
    except OSError as error:
        os.rmdir(aside)
        if not os.path.lexists(base):
            raise failed("make", base, error) from error


def user(uid: int) -> str:
    """A user as messages name one: ``bob (uid 1000)``."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def failed(doing: str, path: str, error: OSError) -> Error:
    """The error of an operation of the system on a path that failed."""
    return of_system(error, f"cannot {doing} {path}")
