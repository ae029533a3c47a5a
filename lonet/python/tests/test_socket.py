"""A connection is used like any socket."""

from __future__ import annotations

import io
import os
import selectors
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

import lonet


def test_every_way_to_send_and_receive(ends: Any, tmp: Path) -> None:
    ours, theirs = ends
    assert isinstance(ours, socket.socket)
    (tmp / "file").write_bytes(b"file")
    assert ours.send(b"send") == 4
    ours.sendall(memoryview(b"all"))
    assert ours.sendmsg([b"m", b"sg"]) == 3
    with open(tmp / "file", "rb") as file:
        assert ours.sendfile(file) == 4
    ours.shutdown(socket.SHUT_WR)
    assert theirs.recv(4, socket.MSG_WAITALL) == b"send"
    buffer = bytearray(3)
    assert theirs.recv_into(buffer) == 3 and buffer == b"all"
    assert theirs.recvmsg(3)[0] == b"msg"
    assert theirs.recvfrom(2)[0] == b"fi"
    assert theirs.recvfrom_into(buffer)[0] == 2 and buffer[:2] == b"le"
    assert theirs.recvmsg_into([buffer])[0] == 0


def test_files(ends: Any) -> None:
    ours, theirs = ends
    with ours.makefile("w", encoding="utf-8") as out, theirs.makefile(encoding="utf-8") as lines:
        out.write("één\ntwee\n")
        out.flush()
        assert lines.readline() == "één\n"
        theirs.close()  # The file keeps it open.
        assert theirs.local_addr.port in theirs._end.host.ends
        assert lines.readline() == "twee\n"
    assert theirs.local_addr.port not in theirs._end.host.ends
    with pytest.raises(lonet.SocketDown):
        theirs.recv(1)


def test_selectors_and_modes(ends: Any) -> None:
    ours, theirs = ends
    with selectors.DefaultSelector() as selector:
        selector.register(theirs, selectors.EVENT_READ)
        assert selector.select(0) == []
        ours.sendall(b"x")
        [(key, _)] = selector.select(30)
        assert key.fileobj is theirs
        selector.unregister(theirs)
    assert theirs.recv(1) == b"x"
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    theirs.settimeout(0.001)
    with pytest.raises(socket.timeout):
        theirs.recv(1)
    assert ours.gettimeout() is None


def test_nothing_is_buffered(ends: Any) -> None:
    ours, theirs = ends
    theirs.sendall(b"first")
    assert os.read(ours.fileno(), 100) == b"first"
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_context_manager_and_repr(ends: Any) -> None:
    ours, theirs = ends
    assert repr(ours).startswith("<lonet.Connection β:1-α:1 fd=")
    with ours:
        pass
    assert ours.fileno() == -1 and repr(ours).endswith(" closed>")
    ours.close()
    assert theirs.recv(1) == b""


def test_detach_and_dup(ends: Any) -> None:
    ours, theirs = ends
    copy = theirs.dup()
    assert type(copy) is socket.socket
    theirs.close()
    raw = socket.socket(fileno=ours.detach())
    ours.close()
    with copy, raw:
        raw.sendall(b"x")
        assert copy.recv(1) == b"x"


def test_tls_takes_the_descriptor(ends: Any) -> None:
    ours, _ = ends
    context = ssl.create_default_context()
    with context.wrap_socket(
        ours, server_hostname="x", do_handshake_on_connect=False
    ) as wrapped:
        assert ours.fileno() == -1 and wrapped.fileno() >= 0


def test_no_descriptor_reaches_a_child(ends: Any, program: Any) -> None:
    child = program("import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])")
    assert child.says() == "[0, 1, 2]"


def test_no_descriptor_leaks(net: Any, alpha: Any, beta: Any, connect: Any) -> None:
    listener = alpha.listen(":10")

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    for _ in range(20):
        dialed, accepted = connect(beta, listener)
        with dialed, accepted:
            pass
        with pytest.raises(lonet.ConnectionRefused):
            beta.dial("α:11")
    # Whatever else comes and goes meanwhile: a leak would be one a round, at least.
    assert descriptors() < before + 20


def test_large_data(ends: Any, aside: Any) -> None:
    ours, theirs = ends
    data = os.urandom(1 << 20) * 8
    sending = aside(lambda: (ours.sendall(data), ours.shutdown(socket.SHUT_WR)))
    received = io.BytesIO()
    while True:
        piece = theirs.recv(1 << 16)
        if not piece:
            break
        received.write(piece)
    sending.result()
    assert received.getvalue() == data
