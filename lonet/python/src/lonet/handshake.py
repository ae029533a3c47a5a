"""The lines that open a connection, as pure functions of bytes.

Owns what the request and the reply look like, and which line is answered with which error. Reads
and writes nothing, and knows nothing of which addresses lead anywhere::

    > lonet "<network>" dial "<β:1>" "<α:10>"
    < lonet "<network>" connected "<α:1>"
    < lonet "<network>" E "<error>"

The mark that opens a line, ``> `` or ``< ``, is part of it and counts towards its length. We print
one blank between words. As the originals do, we read any run of blanks there and before the newline.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Union

from .addr import Addr
from .errors import ConnectionRefused, Error, InvalidAddr, ProtocolError
from .quote import QuoteError, is_print, quote, unquote

#: The most bytes a line may have, its newline included.
MAX_LINE = 1024

#: What a request is turned down with, as it goes over the wire.
NETWORK_MISMATCH = "protocol error: network mismatch"
INVALID_REQUEST = "protocol error: invalid dial request"
INVALID_SRC = "protocol error: src address invalid"
INVALID_DST = "protocol error: dst address invalid"
CONNECTION_REFUSED = "connection refused"

#: The first two bytes of a request, and of a reply.
_REQUEST, _REPLY = b"> ", b"< "

_BLANKS = b" \t\r"


class Request(NamedTuple):
    """What a dialer asks for."""

    network: str
    src: Addr
    dst: Addr

    def line(self) -> bytes:
        """The line, newline included. Legal names never make it longer than a line may be."""
        network, src, dst = quote(self.network), quote(str(self.src)), quote(str(self.dst))
        return f"> lonet {network} dial {src} {dst}\n".encode()


class Refusal(Exception):
    """Why a request is turned down: the text to answer with."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def parse_request(line: bytes, network: str) -> Request:
    """Reads a request line, with or without its newline. The whole line is read before its parts
    are judged: the network first, then the source, then the destination."""
    try:
        words = _Words(line, _REQUEST)
        words.literal(b"lonet")
        named = words.quoted()
        words.literal(b"dial")
        src, dst = words.quoted(), words.quoted()
        words.end()
    except _Malformed:
        raise Refusal(INVALID_REQUEST) from None
    if named != network.encode():
        raise Refusal(NETWORK_MISMATCH)
    source = _end_of_connection(src)
    if source is None:
        raise Refusal(INVALID_SRC)
    target = _address(dst)
    if target is None:
        raise Refusal(INVALID_DST)
    return Request(network, source, target)


def reply_connected(network: str, addr: Addr) -> bytes:
    """The line that tells the dialer its peer, newline included."""
    return f"< lonet {quote(network)} connected {quote(str(addr))}\n".encode()


def reply_error(network: str, text: str) -> bytes:
    """The line that tells the dialer why not, newline included. Of a text too long for a line, as
    much as fits."""
    text = text[:MAX_LINE]
    while True:
        line = f"< lonet {quote(network)} E {quote(text)}\n".encode()
        if len(line) <= MAX_LINE or not text:
            return line
        text = text[:-1]


def parse_reply(line: bytes, network: str) -> Union[Addr, str]:
    """Reads a reply line: the accepting end's address, or the peer's words for why there is none.
    Raises :class:`ProtocolError` if it is not a reply, or a reply of another network."""
    try:
        words = _Words(line, _REPLY)
        words.literal(b"lonet")
        named = words.quoted()
        connected = words.either(b"connected", b"E") == b"connected"
        text = words.quoted()
        words.end()
    except _Malformed:
        raise ProtocolError("invalid reply") from None
    if named != network.encode():
        raise ProtocolError("network mismatch")
    if not connected:
        return text.decode("utf-8", "replace")
    peer = _end_of_connection(text)
    if peer is None:
        raise ProtocolError("peer address invalid")
    return peer


def error_of_reply(text: str) -> Error:
    """What a dial fails with when it was answered with this text.

    The originals say ``no such host`` for a host that is closed: the registry knew the name, so to
    the user it is a host that is not there any more.
    """
    if text.endswith(("connection refused", "no such host")):
        return ConnectionRefused()
    prefix = "protocol error: "
    what = text[len(prefix) :] if text.startswith(prefix) else text
    if not what:
        what = "refused without a reason"
    # These are the peer's words: they must not move a terminal's cursor, nor turn its text round.
    if not all(map(is_print, what)):
        what = quote(what)
    return ProtocolError(what)


class _Malformed(Exception):
    """The line is not of the expected form."""


class _Words:
    """What is left of a line, read word by word."""

    def __init__(self, line: bytes, mark: bytes) -> None:
        text = line[:-1] if line.endswith(b"\n") else line
        if len(text) >= MAX_LINE or b"\n" in text or not text.startswith(mark):
            raise _Malformed
        # From the mark's own blank on.
        self.rest = text[1:]

    def either(self, *words: bytes) -> bytes:
        """Takes one of these words."""
        start = self._after_blanks()
        for word in words:
            rest = start[len(word) :]
            if start.startswith(word) and (not rest or rest[0] in _BLANKS):
                self.rest = rest
                return word
        raise _Malformed

    def literal(self, word: bytes) -> None:
        """Takes this very word."""
        self.either(word)

    def quoted(self) -> bytes:
        """Takes a quoted word."""
        start = self._after_blanks()
        try:
            text, taken = unquote(start)
        except QuoteError:
            raise _Malformed from None
        self.rest = start[taken:]
        return text

    def end(self) -> None:
        """Nothing but blanks may be left."""
        if self.rest.strip(_BLANKS):
            raise _Malformed

    def _after_blanks(self) -> bytes:
        start = self.rest.lstrip(_BLANKS)
        # A blank must come before every word.
        if len(start) == len(self.rest):
            raise _Malformed
        return start


def _address(text: bytes) -> Optional[Addr]:
    try:
        return Addr.parse(text.decode())
    except (UnicodeDecodeError, InvalidAddr):
        return None


def _end_of_connection(text: bytes) -> Optional[Addr]:
    """An address that a connection's end can have: port 0 is never given out."""
    addr = _address(text)
    return addr if addr is not None and addr.port != 0 else None
