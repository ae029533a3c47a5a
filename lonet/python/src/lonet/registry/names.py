"""Names that nobody else has: for fresh networks, and for what is put aside."""

from __future__ import annotations

import random
import re
import string

_LETTERS = string.digits + string.ascii_lowercase
_NETWORK = re.compile(r"r-[0-9a-z]{12}", re.ASCII)


def word() -> str:
    """A fresh word of twelve small letters and digits."""
    # Of the system, not of `random`: that is the user's to seed.
    return "".join(random.SystemRandom().choices(_LETTERS, k=12))


def network_name() -> str:
    """A fresh name for a network."""
    return "r-" + word()


def is_network_name(name: str) -> bool:
    """Whether a network of this name was made with :func:`network_name`."""
    return _NETWORK.fullmatch(name) is not None
