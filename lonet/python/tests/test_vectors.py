"""Quoting and the handshake, by the vectors that all languages share."""

from __future__ import annotations

import json
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
    ]:
        assert word(special) == printed
