"""Addresses and names: what is legal, how they are parsed and printed.

Owns the rules for host names, network names and ports. Knows nothing of networks that exist:
whether an address leads anywhere is decided elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple, Optional

from .errors import InvalidAddr, InvalidName
from .quote import debug, debug_char

#: The most characters a host or network name may have.
MAX_NAME_CHARS = 64
#: The most bytes of UTF-8 a host or network name may have.
MAX_NAME_BYTES = 128
#: The highest port there is.
MAX_PORT = 65535

_PORT = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)


class Addr(NamedTuple):
    """The address of one end of a lonet connection, or of a listener: a host's name and a port.

    Printed and parsed as ``host:port``, for instance ``α:10``. Orders by host name, then by port.
    Port 0 is only seen in errors, where no port had been chosen yet.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Addr:
        """The address that the text names. Raises :class:`InvalidAddr`, which says why not."""
        return _parse(text, None)


def resolve(text: str, own_host: str) -> Addr:
    """An address as operations of a host take it: ``:10`` is a port of that host."""
    return _parse(text, own_host)


def resolve_listen(text: str, own_host: str) -> Addr:
    """Where to listen: as :func:`resolve`; the empty text asks for any port."""
    return Addr(own_host, 0) if text == "" else _parse(text, own_host)


def _parse(text: str, own_host: Optional[str]) -> Addr:
    def invalid(why: str) -> InvalidAddr:
        return InvalidAddr(f"{debug(text)} {why}; an address is host:port, as in α:10")

    if not isinstance(text, str):
        raise TypeError(f"an address is a str like 'α:10', not {type(text).__name__}")
    host, colon, port_text = text.rpartition(":")
    if not colon:
        raise invalid("has no port")
    if not host:
        if own_host is None:
            raise invalid("has no host")
        host = own_host
    else:
        try:
            check_name(host)
        except InvalidName as why:
            raise invalid(f"has an illegal host name ({why.cause})") from None
    port = parse_port(port_text)
    if port is None:
        raise invalid(
            "has an illegal port (ports are 0 to 65535, in decimal digits, no leading zero)"
        )
    return Addr(host, port)


def parse_port(text: str) -> Optional[int]:
    """A port in decimal, ``0|[1-9][0-9]{0,4}``, at most 65535; ``None`` for anything else."""
    if not _PORT.fullmatch(text):
        return None
    port = int(text)
    return port if port <= MAX_PORT else None


def check_name(name: str) -> None:
    """Checks the name of a host or of a network.

    Legal are 1 to 64 characters, at most 128 bytes: letters, marks and decimal digits of any script
    (Unicode categories L, M, Nd, as this Python knows them) and ``_ - .``; no leading dot, and not
    ``_`` alone, which stands for any host in expected traces. Raises :class:`InvalidName`.
    """
    if not isinstance(name, str):
        raise TypeError(f"a name is a str, not {type(name).__name__}")
    size = len(name.encode("utf-8", "surrogatepass"))
    if not name:
        broken = "is empty"
    elif len(name) > MAX_NAME_CHARS:
        broken = f"has {len(name)} characters, more than {MAX_NAME_CHARS}"
    elif size > MAX_NAME_BYTES:
        broken = f"has {size} bytes, more than {MAX_NAME_BYTES}"
    elif name.startswith("."):
        broken = "begins with a dot"
    elif name == "_":
        broken = "is the wildcard of expected traces"
    else:
        odd = next((char for char in name if not _is_name_char(char)), None)
        if odd is None:
            return
        broken = f"holds {debug_char(odd)}"
    raise InvalidName(
        f"{debug(name)} {broken}; legal are 1 to {MAX_NAME_CHARS} letters, marks and digits of any "
        "script and _ - ."
    )


def _is_name_char(char: str) -> bool:
    if char in "_-.":
        return True
    category = unicodedata.category(char)
    return category[0] in "LM" or category == "Nd"
