#!/usr/bin/env python3
"""Writes quote.json and handshake.json, the conformance vectors of lonet's lines.

    python3 generate.py          # writes both files beside this one
    python3 generate.py --check  # fails if they are not what it would write

What is expected is derived here from the published rules of Go's strconv.Quote and fmt's %q, with
Python's unicodedata, or stated by hand; never from an implementation of lonet. See README.md.
"""

import json
import pathlib
import random
import sys
import unicodedata

HERE = pathlib.Path(__file__).parent
old = unicodedata.ucd_3_2_0


# ---------------------------------------------------------------- Go's %q, printing

SHORT = {7: "a", 8: "b", 12: "f", 10: "n", 13: "r", 9: "t", 11: "v", 0x22: '"', 0x5C: "\\"}


def printable(cp):
    """Go's IsPrint: categories L, M, N, P, S, and the ASCII blank."""
    return cp == 0x20 or unicodedata.category(chr(cp))[0] in "LMNPS"


def stable(cp):
    """Whether every version of Unicode agrees on this code point's category."""
    if cp & 0xFFFE == 0xFFFE or 0xFDD0 <= cp <= 0xFDEF:
        return True  # never a character
    category = old.category(chr(cp))
    return category not in ("Cn", "Cs") and category == unicodedata.category(chr(cp))


def runes(data):
    """(code point, None) for each character, (None, byte) for each byte that is no UTF-8."""
    at = 0
    while at < len(data):
        for size in range(1, 5):
            try:
                yield ord(data[at : at + size].decode("utf-8")), None
            except (UnicodeDecodeError, TypeError):
                continue
            at += size
            break
        else:
            yield None, data[at]
            at += 1


def quote(data):
    out = []
    for cp, byte in runes(data):
        if cp is None:
            out.append("\\x%02x" % byte)
        elif cp in (0x22, 0x5C):
            out.append("\\" + chr(cp))
        elif printable(cp):
            out.append(chr(cp))
        elif cp in SHORT:
            out.append("\\" + SHORT[cp])
        elif cp < 0x80:
            out.append("\\x%02x" % cp)
        elif cp < 0x10000:
            out.append("\\u%04x" % cp)
        else:
            out.append("\\U%08x" % cp)
    return '"' + "".join(out) + '"'


def quote_cases():
    rng = random.Random(20240229)
    cases = [b"", b"lonetx", "β:1".encode(), "東京-1.x_y:65535".encode(), b"a`b", b"it's", b'say "hi"', b"\\", b"\\\\n"]
    cases += [chr(cp).encode() for cp in range(0x100) if cp < 0x80 or stable(cp)]
    cases += [bytes([b]) for b in range(0x80, 0x100)]
    cases += [bytes([b, b]) + b"x" for b in range(0x80, 0x100, 7)]
    # Truncated, overlong, surrogate and beyond-the-end sequences.
    for bad in ["c3", "e282", "f09f98", "c080", "e08080", "f0808080", "eda080", "edbfbf", "f4908080", "f8888080", "ff80"]:
        cases += [bytes.fromhex(bad), b"a" + bytes.fromhex(bad) + "ü".encode()]
    # Every plane: stable characters, private use, and what is never a character.
    named = [0xA0, 0xAD, 0x378, 0x600, 0x1680, 0x180E, 0x2000, 0x200B, 0x200D, 0x2028, 0x2029, 0x202E, 0x2060,
             0x3000, 0xE000, 0xF8FF, 0xFDD0, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x301, 0x20DD, 0x2160, 0xBD, 0x1F600,
             0x1F9FF, 0x20000, 0x2A6D6, 0x30000, 0xE0001, 0xE0100, 0xF0000, 0x100000, 0x10FFFD, 0x10FFFE, 0x10FFFF]
    # 180E changed its category in Unicode 6.3, 0378 may be assigned one day.
    cases += [chr(cp).encode() for cp in named if cp not in (0x180E, 0x378)]
    for plane in range(17):
        cases += [chr(plane << 16 | low).encode() for low in (0xFFFE, 0xFFFF)]
    pool = [cp for cp in range(0x30000) if not 0xD800 <= cp < 0xE000 and stable(cp)]
    cases += [chr(cp).encode() for cp in rng.sample(pool, 120)]
    pieces = [b"a", b" ", b'"', b"\\", b"`", b"\n", b"\x00", b"\x7f", b"\x80", b"\xff", "α".encode(), "\u2028".encode(),
              "😀".encode(), "\U000f0000".encode(), b"\xe2\x82", b"0", b"x41"]
    cases += [b"".join(rng.choices(pieces, k=rng.randint(2, 9))) for _ in range(150)]
    seen = list(dict.fromkeys(cases))
    return [{"bytes": data.hex(), "quoted": quote(data)} for data in seen]


# ---------------------------------------------------------------- Go's %q, scanning: stated by hand

def unquote_cases():
    def ok(text, means, rest=""):
        raw = text if isinstance(text, bytes) else text.encode()
        means = means if isinstance(means, bytes) else means.encode()
        tail = rest if isinstance(rest, bytes) else rest.encode()
        return {"input": (raw + tail).hex(), "bytes": means.hex(), "consumed": len(raw)}

    def bad(text):
        raw = text if isinstance(text, bytes) else text.encode()
        return {"input": raw.hex(), "bytes": None}

    cases = [
        ok('""', ""), ok("``", ""), ok('"a"', "a"), ok("`a`", "a"), ok('"a"', "a", ' "b"'), ok("`a`", "a", "`"),
        ok('"α:10"', "α:10"), ok("`α:10`", "α:10"), ok("`\\n`", "\\n"), ok('`"`', '"'), ok("`\n`", "\n"), ok("`\r`", "\r"),
        ok('"`"', "`"), ok('"\'"', "'"), ok('"\t"', "\t"), ok('"\r"', "\r"), ok('"\0"', "\0"), ok('"\x7f"', "\x7f"),
        ok(r'"\a\b\f\n\r\t\v\\\""', b"\x07\x08\x0c\n\r\t\x0b\\\""),
        ok(r'"\x00\x7f\x80\xff\xFF\xaB"', b"\x00\x7f\x80\xff\xff\xab"),
        ok(r'"\xce\xb1"', "α"), ok(r'"\316\261"', "α"),
        ok(r'"\000\101\177\200\377"', b"\x00A\x7f\x80\xff"), ok(r'"\1011"', "A1"), ok(r'"\x411"', "A1"),
        ok(r'"\u03b1\u03B1"', "αα"), ok(r'"\u0000"', "\0"), ok(r'"\uFFFF"', "\uffff"), ok(r'"\u00411"', "A1"),
        ok(r'"\U0001F600"', "😀"), ok(r'"\U0010ffff"', "\U0010ffff"), ok(r'"\U00000041"', "A"),
        ok(r'"\ud7ff\ue000"', "\ud7ff\ue000"), ok(r'"\"\""', '""', " x"),
        ok(b'"\xff"', "\ufffd"), ok(b'"a\xe2\x82b"', "a\ufffd\ufffdb"), ok(b"`\x80\x80`", "\ufffd\ufffd"),
        ok(b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"), ok(b'"\xf0\x9f\x98"', "\ufffd\ufffd\ufffd"),
        ok('"a"', "a", b"\xff"), ok('"a"', "a", "\n"), ok('"' + "x" * 3000 + '"', "x" * 3000),
        bad(""), bad("a"), bad(" "), bad(' "a"'), bad("'a'"), bad("“a”"), bad("\\"), bad(b"\xff"), bad("\n"),
        bad('"'), bad("`"), bad('"a'), bad("`a"), bad('"\\'), bad('"\\"'), bad('"a\\"'), bad('"a`'), bad('`a"'),
        bad('"\n"'), bad('"a\nb"'), bad('"\\\n"'), bad('"\\ "'),
        bad(r'''"\'"'''), bad(r'"\`"'), bad(r'"\0"'), bad(r'"\00"'), bad(r'"\08"'), bad(r'"\008"'), bad(r'"\400"'), bad(r'"\777"'),
        bad(r'"\8"'), bad(r'"\9"'), bad(r'"\x"'), bad(r'"\x4"'), bad(r'"\xg0"'), bad(r'"\x0g"'), bad(r'"\x+1"'), bad(r'"\x 1"'),
        bad(r'"\u"'), bad(r'"\u123"'), bad(r'"\u123g"'), bad(r'"\ud800"'), bad(r'"\udfff"'), bad(r'"\ud83d\ude00"'),
        bad(r'"\U"'), bad(r'"\U0001F60"'), bad(r'"\U00110000"'), bad(r'"\U0000d800"'), bad(r'"\Uffffffff"'), bad(r'"\U-0000041"'),
        bad(r'"\x4' + "é" + '"'), bad(r'"\u００４１"'), bad(r'"\e"'), bad(r'"\?"'), bad(r'"\N"'), bad(r'"\X41"'), bad('"\\é"'), bad(b'"\\\xff"'),
    ]
    for letter in range(0x20, 0x7F):
        c = chr(letter)
        if c in 'abfnrtv\\"xuU01234567':
            continue
        cases.append(bad('"\\' + c + '000000000"'))
    return cases


# ---------------------------------------------------------------- the lines: stated by hand

def line(data):
    raw = data if isinstance(data, bytes) else data.encode()
    try:
        return {"line": raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {"line_hex": raw.hex()}


def pad(text, size):
    """The text, blanks, and a newline: `size` bytes in all."""
    return text + " " * (size - 1 - len(text.encode())) + "\n"


def printed_cases():
    cases = []
    long = "α" * 64
    for network in ["lonetx", "lonet東京", "lonet" + "α" * 64, "lonet_-.9"]:
        for src, dst in [("β:1", "α:10"), ("a:65535", "b:1"), (long + ":65535", "東" * 42 + ":65535")]:
            text = '> lonet "%s" dial "%s" "%s"\n' % (network, src, dst)
            cases.append({"kind": "dial", "network": network, "src": src, "dst": dst, **line(text)})
            text = '< lonet "%s" connected "%s"\n' % (network, src)
            cases.append({"kind": "connected", "network": network, "peer": src, **line(text)})
        for error in ["connection refused", "protocol error: network mismatch", 'say "hi" \\', "tab\tnul\0 del\x7f", "ünï\u2028 \u00a0😀"]:
            text = '< lonet "%s" E %s\n' % (network, quote(error.encode()))
            cases.append({"kind": "error", "network": network, "error": error, **line(text)})
    return cases


def request_cases():
    invalid, mismatch = "protocol error: invalid dial request", "protocol error: network mismatch"
    src_bad, dst_bad = "protocol error: src address invalid", "protocol error: dst address invalid"
    cases = []

    def ok(data, src="β:1", dst="α:10", network="lonetx"):
        cases.append({"network": network, **line(data), "src": src, "dst": dst})

    def no(refused, data, network="lonetx"):
        cases.append({"network": network, **line(data), "refused": refused})

    good = '> lonet "lonetx" dial "β:1" "α:10"'
    ok(good + "\n")
    ok(good)
    ok(good + "\r\n")
    ok(good + " \t \n")
    ok('>  lonet  "lonetx"\tdial   "β:1" \t "α:10"\n')
    ok("> lonet `lonetx` dial `β:1` `α:10`\n")
    ok(r'> lonet "\x6c\157\u006e\U00000065tx" dial "\u03b2:1" "\xce\xb1:10"' + "\n")
    ok('> lonet "lonetx" dial "α:1" "α:1"\n', "α:1", "α:1")
    ok('> lonet "lonetx" dial "a:65535" "b:0"\n', "a:65535", "b:0")
    ok('> lonet "lonet東京" dial "東:1" "京:2"\n', "東:1", "京:2", "lonet東京")
    ok('> lonet "lonet" dial "a:1" "b:2"\n', "a:1", "b:2", "lonet")
    for size in (1000, 1023, 1024):
        ok(pad(good, size))
    ok(pad(good, 1024)[:-1])
    full = '> lonet "lonetx" dial "%s:1" "b:2"' % (r"\U00000061" * 64)
    ok(pad(full, 1024), "a" * 64 + ":1", "b:2")
    for size in (1025, 1026, 2048):
        no(invalid, pad(good, size))
    no(invalid, pad(good, 1025)[:-1])
    no(invalid, "> lonet" + "x" * 1017)
    no(invalid, "> lonet" + "x" * 1016 + "\n")

    # Another network: judged first, whatever the addresses are.
    for name in ["lonety", "lonet", "> lonetx", "x", "", "LONETX", "lonetx ", "lonetx\\x00", "lonetx\\xff"]:
        no(mismatch, '> lonet "%s" dial "β:1" "α:10"\n' % name)
        no(mismatch, '> lonet "%s" dial "β" "α"\n' % name)

    # Addresses: the source is judged before the destination.
    wrong = ["", ":", ":10", "α", "α:", "α:x", "α:-1", "α:+1", "α:01", "α:00", "α:65536", "α:100000", "α:1 ", " α:1", "α:1:2", "α::1", "α b:1",
             "_:1", ".:1", "..:1", ".a:1", "a/b:1", "../x:1", "a\\x00:1", "a\\n:1", "\\xff:1", "½:1", "²:1", "a\\u2028:1", "a😀:1", "α:１", "α:٣",
             "a\\\"b:1", "a`b:1", "x" * 65 + ":1", "東" * 43 + ":1"]
    for text in wrong:
        no(src_bad, '> lonet "lonetx" dial "%s" "α:10"\n' % text)
        no(dst_bad, '> lonet "lonetx" dial "β:1" "%s"\n' % text)
        no(src_bad, '> lonet "lonetx" dial "%s" "%s"\n' % (text, text))
    no(src_bad, '> lonet "lonetx" dial "β:0" "α:10"\n')

    # No request at all.
    for text in ["", "\n", " \n", "\r\n", "GET / HTTP/1.1\r\n", "> lonet\n", "> lonet \n", '> lonet "lonetx"\n', '> lonet "lonetx" dial\n',
                 '> lonet "lonetx" dial "β:1"\n', good + ' "γ:1"\n', good + " x\n", good + "\n\n", good + "\n" + good + "\n", "\n" + good + "\n",
                 " " + good + "\n", "\t" + good + "\n", "\ufeff" + good + "\n", "> LONET" + good[7:] + "\n", "> lone" + good[7:] + "\n",
                 '> lonetx "lonetx" dial "β:1" "α:10"\n', '> lonet"lonetx" dial "β:1" "α:10"\n', '> lonet "lonetx"dial "β:1" "α:10"\n',
                 '> lonet "lonetx" dial"β:1" "α:10"\n', '> lonet "lonetx" dial "β:1""α:10"\n', '> lonet "lonetx" Dial "β:1" "α:10"\n',
                 '> lonet "lonetx" dialx "β:1" "α:10"\n', '> lonet "lonetx" connected "α:1"\n', '> lonet "lonetx" E "x"\n', '> lonet lonetx dial β:1 α:10\n',
                 "> lonet 'lonetx' dial 'β:1' 'α:10'\n", '> lonet "lonetx dial "β:1" "α:10"\n', '> lonet "lonetx" dial "β:1" "α:10\n',
                 '> lonet "lonetx" dial "β:1" "α:10\\"\n', '> lonet "lonetx" dial "β:1" "α:10\\q"\n', '> lonet "lonetx" dial "β:1" `α:10\n',
                 '> lonet "lonetx" dial "β\n:1" "α:10"\n', "> lonet `lonetx\n` dial `β:1` `α:10`\n", '> lonet\u00a0"lonetx" dial "β:1" "α:10"\n',
                 '> lonet "lonetx" dial "β:1", "α:10"\n', '> lonet "lonetx" dial "\\ud800:1" "α:10"\n', good + "\0\n", good + "\v\n", "\0" * 40 + "\n"]:
        no(invalid, text)
    for raw in [b"\xff\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", good.encode() + b"\xff\n"]:
        no(invalid, raw)
    # The first two bytes are those of a request: no others, and not none.
    for begun in ["", ">", ">>", ">> ", ">\t", ">\n", "<", "< ", " > ", "> > ", "\u2192 ", "\u203a ", "\uff1e ", "\x00 ", "= ", "# ", "$ "]:
        no(invalid, begun + 'lonet "lonetx" dial "β:1" "α:10"\n')
    # Bytes that are no UTF-8 stand for U+FFFD each, which no name holds.
    no(mismatch, b'> lonet "lonetx\xff" dial "a:1" "b:2"\n')
    no(src_bad, b'> lonet "lonetx" dial "a\xff:1" "b:2"\n')
    no(dst_bad, b'> lonet "lonetx" dial "a:1" "b\xff:2"\n')
    # Every prefix of a good line is refused.
    raw = (good + "\n").encode()
    for end in range(len(raw) - 2):
        no(invalid, raw[:end])
    return cases


def reply_cases():
    cases = []
    invalid, mismatch = "protocol error: invalid reply", "protocol error: network mismatch"

    def peer(data, addr="α:1", network="lonetx"):
        cases.append({"network": network, **line(data), "peer": addr})

    def error(data, text, cause, network="lonetx"):
        cases.append({"network": network, **line(data), "error": text, "cause": cause})

    def no(fails, data, network="lonetx"):
        cases.append({"network": network, **line(data), "fails": fails})

    good = '< lonet "lonetx" connected "α:1"'
    peer(good + "\n")
    peer(good)
    peer(good + "\r\n")
    peer("<  lonet `lonetx`  connected\t`α:1` \n")
    peer(r'< lonet "lone\164x" connected "\u03b1:1"' + "\n")
    peer('< lonet "lonet東京" connected "東:65535"\n', "東:65535", "lonet東京")
    for size in (1023, 1024):
        peer(pad(good, size))
    for size in (1025, 1026, 4096):
        no(invalid, pad(good, size))

    refused = "connection refused"
    error('< lonet "lonetx" E "connection refused"\n', refused, refused)
    error("< lonet `lonetx` E `connection refused`\n", refused, refused)
    error('< lonet "lonetx" E "no such host"\n', "no such host", refused)
    error('< lonet "lonetx" E "dial lonetx β:1->α:10: no such host"\n', "dial lonetx β:1->α:10: no such host", refused)
    error('< lonet "lonetx" E "dial lonetx β:1->α:10: connection refused"\n', "dial lonetx β:1->α:10: connection refused", refused)
    for what in ["network mismatch", "invalid dial request", "src address invalid", "dst address invalid"]:
        error('< lonet "lonetx" E "protocol error: %s"\n' % what, "protocol error: " + what, "protocol error: " + what)
    error('< lonet "lonetx" E "out of cheese"\n', "out of cheese", "protocol error: out of cheese")
    error('< lonet "lonetx" E ""\n', "", "protocol error: refused without a reason")
    error(r'< lonet "lonetx" E "say \"hi\""' + "\n", 'say "hi"', 'protocol error: say "hi"')
    error(r'< lonet "lonetx" E "two\nlines"' + "\n", "two\nlines", r'protocol error: "two\nlines"')
    error(r'< lonet "lonetx" E "\xff"' + "\n", "\ufffd", "protocol error: \ufffd")

    for name in ["lonety", "", "lonet", "< lonetx", "LONETX", "lonetx\\n"]:
        no(mismatch, '< lonet "%s" connected "α:1"\n' % name)
        no(mismatch, '< lonet "%s" E "connection refused"\n' % name)
    for addr in ["", "α", ":1", "α:0", "α:65536", "_:1", "α:01", "a b:1", "a\\n:1", "\\xff:1", "../x:1"]:
        no("protocol error: peer address invalid", '< lonet "lonetx" connected "%s"\n' % addr)
    for text in ["", "\n", "< lonet\n", '< lonet "lonetx"\n', '< lonet "lonetx" connected\n', '< lonet "lonetx" E\n', '< lonet "lonetx" e "x"\n',
                 '< lonet "lonetx" E x\n', '< lonet "lonetx" connected α:1\n', good + " x\n", good + ' "x"\n', good + "\nhello", good + "\n\n", " " + good + "\n",
                 '< lonet "lonetx" connectedx "α:1"\n', '< lonet "lonetx" connected"α:1"\n', '< lonet "lonetx" E"x"\n', '< lonet "lonetx" EE "x"\n',
                 '< lonet "lonetx" dial "β:1" "α:10"\n', "HTTP/1.1 400 Bad Request\r\n", "220 smtp.example ESMTP\r\n", "\0\n"]:
        no(invalid, text)
    # The first two bytes are those of a reply: no others, and not none.
    for begun in ["", "<", "<<", "<< ", "<\t", "<\n", ">", "> ", " < ", "< < ", "\u2190 ", "\u2039 ", "\uff1c ", "\x00 ", "= "]:
        no(invalid, begun + 'lonet "lonetx" connected "α:1"\n')
        no(invalid, begun + 'lonet "lonetx" E "connection refused"\n')
    for raw in [b"\xff\xfe\n", b"\x15\x03\x03\x00\x02\x02\x46\n"]:
        no(invalid, raw)
    return cases


def text_of(vectors):
    """JSON with one case a line, ASCII only, so that a diff shows what changed."""
    out = ["{"]
    for number, (key, cases) in enumerate(vectors.items()):
        out.append(" %s: [" % json.dumps(key))
        out += ["  " + json.dumps(case) + ("," if i + 1 < len(cases) else "") for i, case in enumerate(cases)]
        out.append(" ]" + ("," if number + 1 < len(vectors) else ""))
    return "\n".join(out + ["}", ""])


def main():
    files = {
        "quote.json": {"quote": quote_cases(), "unquote": unquote_cases()},
        "handshake.json": {"printed": printed_cases(), "requests": request_cases(), "replies": reply_cases()},
    }
    for name, vectors in files.items():
        text = text_of(vectors)
        if "--check" in sys.argv:
            if (HERE / name).read_text() != text:
                sys.exit(name + " is not what generate.py writes")
        else:
            (HERE / name).write_text(text)
            print(name, {key: len(cases) for key, cases in vectors.items()})


main()
