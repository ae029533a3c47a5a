"""Go's ``%q``: quoting and unquoting of strings, as the wire and expected traces use it.

Pure. Owns which characters are escaped and how, and which words of a trace need quoting. Knows
nothing of lines: a caller who splits at newlines does so first.
"""

from __future__ import annotations

import unicodedata
from typing import Union

#: What an escape of one letter stands for, in both directions.
_LETTERS = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}
_ESCAPED = {code: "\\" + letter for letter, code in _LETTERS.items()}

#: Categories that Go's unicode.IsPrint leaves out; of the blanks, only the ASCII one prints.
_UNPRINTED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"}


class QuoteError(ValueError):
    """A text is not a quoted string; says why."""


def quote(text: Union[str, bytes]) -> str:
    """The text as Go's ``%q`` prints it; of bytes, what is not UTF-8 becomes ``\\xhh``."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(char: str) -> str:
    code = ord(char)
    escaped = _ESCAPED.get(code)
    if escaped is not None:
        return escaped
    if is_print(char):
        return char
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape's name for a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"


def is_print(char: str) -> bool:
    """Go's ``unicode.IsPrint``."""
    return char == " " or unicodedata.category(char) not in _UNPRINTED


def unquote(data: bytes) -> tuple[bytes, int]:
    """What the quoted string that ``data`` begins with stands for, and how many bytes of ``data``
    it takes, quotes included: what Go's ``Sscanf`` accepts for ``%q``.

    Between double quotes escapes are read; between backquotes everything stands for itself. Bytes
    that are not UTF-8 stand for U+FFFD each, as in Go; an escape (``\\xff``) can stand for any.
    """
    if data[:1] == b"`":
        end = data.find(b"`", 1)
        if end < 0:
            raise QuoteError("the closing quote is missing")
        return _replace_invalid(data[1:end]), end + 1
    if data[:1] != b'"':
        raise QuoteError('no quoted string; one begins with " or `')
    text = bytearray()
    at = plain = 1
    while at < len(data):
        byte = data[at]
        if byte == 0x22:
            return bytes(text + _replace_invalid(data[plain:at])), at + 1
        if byte == 0x0A:
            raise QuoteError("a newline in a quoted string; write \\n")
        if byte == 0x5C:
            text += _replace_invalid(data[plain:at])
            value, taken = _read_escape(data[at + 1 : at + 10])
            text += value
            at = plain = at + 1 + taken
        else:
            at += 1
    raise QuoteError("the closing quote is missing")


def _read_escape(data: bytes) -> tuple[bytes, int]:
    """Reads what follows a backslash; says how many bytes that was."""
    if not data:
        raise QuoteError("the closing quote is missing")
    letter = chr(data[0])
    if letter in _LETTERS:
        return bytes([_LETTERS[letter]]), 1
    if letter in "01234567":
        value = _read_digits(data, 3, 8)
        if value > 255:
            raise _bad_escape()
        return bytes([value]), 3
    digits = {"x": 2, "u": 4, "U": 8}.get(letter)
    if digits is None:
        raise _bad_escape()
    value = _read_digits(data[1:], digits, 16)
    if letter == "x":
        return bytes([value]), 3
    if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
        raise _bad_escape()
    return chr(value).encode(), 1 + digits


def _read_digits(data: bytes, count: int, radix: int) -> int:
    digits = data[:count]
    legal = b"01234567" if radix == 8 else b"0123456789abcdefABCDEF"
    # int() alone would also take blanks, signs and underscores.
    if len(digits) < count or any(byte not in legal for byte in digits):
        raise _bad_escape()
    return int(digits, radix)


def _bad_escape() -> QuoteError:
    return QuoteError(
        'not an escape; legal are \\a \\b \\f \\n \\r \\t \\v \\\\ \\" \\xhh \\ooo \\uhhhh \\Uhhhhhhhh'
    )


def _replace_invalid(data: bytes) -> bytes:
    """The bytes with U+FFFD in the place of each one that is no UTF-8."""
    try:
        data.decode()
        return data
    except UnicodeDecodeError:
        text = data.decode("utf-8", "surrogateescape")
    return "".join("\ufffd" if 0xDC80 <= ord(char) <= 0xDCFF else char for char in text).encode()


def word(text: str) -> str:
    """A word as a trace prints it: as it is, or quoted where the grammar would read something else
    into it, or where it holds what ``%q`` escapes, which a source file or a terminal may not show as
    it is."""
    special = text == "…" or text.startswith(("$", "_", "#", '"'))
    value = text.rpartition("=")[2] if "=" in text else ""
    special = special or value == "_" or value.startswith("$")
    if special or any(c in "\"`'\\" or not is_print(c) for c in text):
        return quote(text)
    return text


def debug(text: str) -> str:
    """The text as error messages show it: quoted, nothing in it can move a terminal's cursor."""
    simple = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
    return '"' + "".join(simple.get(c) or _debug_char(c) for c in text) + '"'


def debug_char(char: str) -> str:
    """One character as error messages show it."""
    simple = {"'": "\\'", "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
    return "'" + (simple.get(char) or _debug_char(char)) + "'"


def _debug_char(char: str) -> str:
    return char if is_print(char) else f"\\u{{{ord(char):x}}}"
