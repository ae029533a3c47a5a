"""Quoting and the handshake, by the vectors that all languages share."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from conftest import VECTORS

from lonet.addr import Addr
from lonet.errors import ProtocolError
from lonet.handshake import (
    MAX_LINE,
    Refusal,
    Request,
    error_of_reply,
    parse_reply,
    parse_request,
    reply_connected,
    reply_error,
)
from lonet.quote import QuoteError, quote, unquote, word

QUOTE = json.loads((VECTORS / "quote.json").read_text("utf-8"))
HANDSHAKE = json.loads((VECTORS / "handshake.json").read_text("utf-8"))


def line_of(case: dict[str, Any]) -> bytes:
    return case["line"].encode() if "line" in case else bytes.fromhex(case["line_hex"])


def test_the_vectors_are_those_of_their_rules() -> None:
    subprocess.run([sys.executable, VECTORS / "generate.py", "--check"], check=True)


def test_quoting() -> None:
    assert len(QUOTE["quote"]) >= 400
    for case in QUOTE["quote"]:
        data = bytes.fromhex(case["bytes"])
        assert quote(data) == case["quoted"], case
        quoted = case["quoted"].encode()
        assert unquote(quoted) == (data, len(quoted)), case


def test_unquoting() -> None:
    assert len(QUOTE["unquote"]) >= 100
    for case in QUOTE["unquote"]:
        data = bytes.fromhex(case["input"])
        if case.get("bytes") is None:
            with pytest.raises(QuoteError):
                unquote(data)
        else:
            assert unquote(data) == (bytes.fromhex(case["bytes"]), case["consumed"]), case


def test_requests() -> None:
    for case in HANDSHAKE["requests"]:
        if "refused" in case:
            with pytest.raises(Refusal) as refusal:
                parse_request(line_of(case), case["network"])
            assert refusal.value.text == case["refused"], case
        else:
            src, dst = Addr.parse(case["src"]), Addr.parse(case["dst"])
            expected = Request(case["network"], src, dst)
            assert parse_request(line_of(case), case["network"]) == expected, case


def test_replies() -> None:
    for case in HANDSHAKE["replies"]:
        if "fails" in case:
            with pytest.raises(ProtocolError) as error:
                parse_reply(line_of(case), case["network"])
            assert str(error.value) == case["fails"], case
            continue
        reply = parse_reply(line_of(case), case["network"])
        if "error" in case:
            assert reply == case["error"], case
            assert str(error_of_reply(case["error"])) == case["cause"], case
        else:
            assert reply == Addr.parse(case["peer"]), case


def test_the_first_two_bytes_are_part_of_a_line() -> None:
    """The three lines, as the originals send them."""
    src, dst, peer = Addr.parse("β:1"), Addr.parse("α:10"), Addr.parse("α:1")
    asked = b'> lonet "lonetx" dial "\xce\xb2:1" "\xce\xb1:10"\n'
    assert Request("lonetx", src, dst).line() == asked
    assert parse_request(asked, "lonetx") == Request("lonetx", src, dst)
    connected = b'< lonet "lonetx" connected "\xce\xb1:1"\n'
    assert reply_connected("lonetx", peer) == connected
    assert parse_reply(connected, "lonetx") == peer
    refused = b'< lonet "lonetx" E "connection refused"\n'
    assert reply_error("lonetx", "connection refused") == refused
    assert parse_reply(refused, "lonetx") == "connection refused"
    for line in (asked[2:], connected[2:], refused[2:], connected, refused):
        with pytest.raises(Refusal, match="^protocol error: invalid dial request$"):
            parse_request(line, "lonetx")
    for line in (asked[2:], connected[2:], refused[2:], asked):
        with pytest.raises(ProtocolError, match="invalid reply"):
            parse_reply(line, "lonetx")


def test_printed_lines() -> None:
    for case in HANDSHAKE["printed"]:
        network = case["network"]
        if case["kind"] == "dial":
            line = Request(network, Addr.parse(case["src"]), Addr.parse(case["dst"])).line()
        elif case["kind"] == "connected":
            line = reply_connected(network, Addr.parse(case["peer"]))
        else:
            line = reply_error(network, case["error"])
        assert line == line_of(case), case


@pytest.mark.parametrize("text", ["x" * 5000, "\x01" * 5000, "東" * 5000])
def test_an_error_never_outgrows_its_line(text: str) -> None:
    line = reply_error("lonetx", text)
    assert MAX_LINE - 4 <= len(line) <= MAX_LINE
    assert text.startswith(parse_reply(line, "lonetx"))


def test_words_are_quoted_where_the_grammar_would_stumble() -> None:
    for plain in ["leader", "term=3", "α:10", "a_b", "-", "x$", ""]:
        assert word(plain) == plain
    for special, printed in [
        ("$x", '"$x"'),
        ("_", '"_"'),
        ('a"b', r'"a\"b"'),
        ("it's", '"it\'s"'),
        ("…", '"…"'),
        ("a\x1b[0m", r'"a\x1b[0m"'),
        ("a\x85b", r'"a\u0085b"'),
        ("…", '"…"'),
        ("x=_", '"x=_"'),
        ("x=$y", '"x=$y"'),
    ]:
        assert word(special) == printed


@pytest.mark.parametrize(
    ("category", "char"),
    [
        *zip(
            "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So".split(),
            "Ä ä ǅ ʰ א \u0301 \u0903 \u20dd ٣ Ⅷ ½ ‿ – ( ) « » … ± € ´ 😀".split(" "),
        )
    ],
)
def test_words_are_plain_where_all_of_them_shows(category: str, char: str) -> None:
    assert word(f"a{char}b") == f"a{char}b"


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a\u00a0b", r'"a\u00a0b"'),  # Zs
        ("a\u3000b", r'"a\u3000b"'),
        ("a\u2028b", r'"a\u2028b"'),  # Zl
        ("a\u2029b", r'"a\u2029b"'),  # Zp
        ("a\x07b", r'"a\ab"'),  # Cc
        ("a\x7fb", r'"a\x7fb"'),
        ("a\u202eb", r'"a\u202eb"'),  # Cf: bidirectional override, isolate, mark
        ("a\u2066b", r'"a\u2066b"'),
        ("a\u200fb", r'"a\u200fb"'),
        ("a\u00adb", r'"a\u00adb"'),  # Cf: soft hyphen, no space, byte order mark, tag
        ("a\u200bb", r'"a\u200bb"'),
        ("\ufeffab", r'"\ufeffab"'),
        ("a\U000e0041b", r'"a\U000e0041b"'),
        ("a\ue000b", r'"a\ue000b"'),  # Co
        ("a\U0010fffdb", r'"a\U0010fffdb"'),
        ("a\u0378b", r'"a\u0378b"'),  # Cn
        ("a\uffffb", r'"a\uffffb"'),
        (r"a\b", r'"a\\b"'),  # What begins an escape.
    ],
)
def test_words_are_quoted_where_a_source_file_would_hide_something(text: str, printed: str) -> None:
    assert word(text) == printed
