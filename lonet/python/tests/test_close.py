"""What an operation fails with when something is closed, before it or while it waits."""

from __future__ import annotations

import gc
import socket
from typing import Any, Callable

import pytest
from conftest import wait_for_callers

import lonet

DOWN = {
    "subnetwork": (lonet.NetworkDown, "network is down"),
    "host": (lonet.HostDown, "host is down"),
    "own": (lonet.SocketDown, "socket is down"),
}


@pytest.fixture
def close(net: lonet.SubNetwork, alpha: lonet.Host) -> Callable[[str], None]:
    return lambda what: net.close() if what == "subnetwork" else alpha.close()


@pytest.mark.parametrize("what", ["subnetwork", "host"])
def test_opening_after_a_close(what: str, net: Any, alpha: Any, close: Any) -> None:
    held = [alpha.listen(laddr) for laddr in ("", "", ":10")]
    close(what)
    error, text = DOWN[what]
    with pytest.raises(error) as listen:
        alpha.listen(":0")
    assert str(listen.value) == f"listen {net.network} α:0: {text}"
    with pytest.raises(error) as dial:
        alpha.dial("β:10")
    # The lowest port that was free when the host closed.
    assert str(dial.value) == f"dial {net.network} α:3->β:10: {text}"
    with pytest.raises(lonet.InvalidAddr) as illegal:
        alpha.dial("β")
    assert str(illegal.value).startswith(f'dial {net.network} α:3->"β": ')
    if what == "subnetwork":
        with pytest.raises(lonet.NetworkDown) as new_host:
            net.new_host("γ")
        assert str(new_host.value) == f"new host {net.network} γ: network is down"
    else:
        net.new_host("α")
    close(what)  # Closing twice is allowed.
    del held


@pytest.mark.parametrize("what", ["subnetwork", "host", "own"])
def test_accept(what: str, net: Any, alpha: Any, close: Any, aside: Any) -> None:
    listener = alpha.listen(":10")
    blocked = [aside(listener.accept) for _ in range(3)]
    listener.close() if what == "own" else close(what)
    error, text = DOWN[what]
    for accept in [*(future.result for future in blocked), listener.accept]:
        with pytest.raises(error) as why:
            accept()
        assert str(why.value) == f"accept {net.network} α:10: {text}"


@pytest.mark.parametrize("what", ["subnetwork", "host", "own"])
def test_a_dial_under_way_whose_side_closes(
    what: str, net: Any, alpha: Any, aside: Any, tmp: Any
) -> None:
    with lonet.join(net.name) as other:
        listener = other.new_host("β").listen(":10")
        dial = aside(alpha.dial, "β:10")
        wait_for_callers(listener, 1)
        if what == "own":
            listener.close()
            error, text = lonet.ConnectionRefused, "connection refused"
        else:
            net.close() if what == "subnetwork" else alpha.close()
            error, text = DOWN[what]
        with pytest.raises(error) as why:
            dial.result()
        assert str(why.value) == f"dial {net.network} α:1->β:10: {text}"
        if what != "own":
            with pytest.raises(lonet.TimedOut):
                listener.accept(timeout=0)


@pytest.mark.parametrize("what", ["subnetwork", "host"])
def test_a_dial_under_way_whose_peer_closes(what: str, net: Any, alpha: Any, aside: Any) -> None:
    with lonet.join(net.name) as other:
        beta = other.new_host("β")
        listener = beta.listen(":10")
        dial = aside(alpha.dial, "β:10")
        wait_for_callers(listener, 1)
        other.close() if what == "subnetwork" else beta.close()
        with pytest.raises(lonet.ConnectionRefused):
            dial.result()
        with pytest.raises(lonet.ConnectionRefused):
            alpha.dial("β:10")


@pytest.mark.parametrize("what", ["subnetwork", "host", "own"])
def test_reading_and_writing(what: str, net: Any, ends: Any, close: Any, aside: Any) -> None:
    _, ours = ends
    blocked = aside(ours.recv, 1)
    ours.close() if what == "own" else close(what)
    error, text = DOWN[what]
    for read in (blocked.result, lambda: ours.recv(1), lambda: ours.recv_into(bytearray(1))):
        with pytest.raises(error) as why:
            read()
        assert str(why.value) == f"read {net.network} β:1->α:1: {text}"
    for write in (lambda: ours.send(b"x"), lambda: ours.sendall(b"x")):
        with pytest.raises(error) as why:
            write()
        assert str(why.value) == f"write {net.network} α:1->β:1: {text}"


@pytest.mark.parametrize("what", ["subnetwork", "host", "connection"])
def test_the_peer_sees_eof_then_a_broken_pipe(what: str, net: Any, alpha: Any, connect: Any) -> None:
    with lonet.join(net.name) as other:
        beta = other.new_host("β")
        ours, theirs = connect(alpha, beta.listen(":10"))
        {"subnetwork": other, "host": beta, "connection": theirs}[what].close()
        assert ours.recv(1) == b""
        with pytest.raises((lonet.BrokenPipe, lonet.ConnectionReset)) as why:
            while True:
                ours.sendall(b"x")
        assert str(why.value).startswith(f"write {net.network} {ours.local_addr}->")


def test_a_blocked_sendall_wakes(alpha: Any, ends: Any, aside: Any) -> None:
    _, ours = ends
    sending = aside(ours.sendall, bytes(100_000_000))
    alpha.close()
    with pytest.raises(lonet.HostDown):
        sending.result()


def test_unread_data_makes_it_a_reset(net: Any, ends: Any) -> None:
    dialed, accepted = ends
    accepted.sendall(b"unread")
    assert dialed.recv(1, socket.MSG_PEEK) == b"u"
    dialed.close()
    with pytest.raises(lonet.ConnectionReset) as why:
        accepted.recv(1)
    assert str(why.value) == f"read {net.network} β:1->α:1: connection reset"


def test_half_close(ends: Any) -> None:
    dialed, accepted = ends
    dialed.sendall(b"question")
    dialed.shutdown(socket.SHUT_WR)
    assert accepted.makefile("rb").read() == b"question"
    accepted.sendall(b"answer")
    accepted.close()
    assert dialed.makefile("rb").read() == b"answer"
    with pytest.raises(lonet.BrokenPipe):
        dialed.send(b"x")


def test_auto_close(tmp: Any) -> None:
    net = lonet.join("")
    alpha, beta = net.new_host("α"), net.new_host("β")
    net.auto_close()
    alpha.close()
    net.new_host("γ").close()
    beta.close()
    with pytest.raises(lonet.NetworkDown):
        net.new_host("δ")
    empty = lonet.join("")
    empty.auto_close()
    with pytest.raises(lonet.NetworkDown):
        empty.new_host("α")
    assert list((tmp / "lonet").iterdir()) == []


def test_dropping_a_connection_closes_it(alpha: Any, beta: Any, connect: Any) -> None:
    listener = alpha.listen(":10")
    dialed, accepted = connect(beta, listener)
    del dialed
    gc.collect()
    assert accepted.recv(1) == b""
    again, _ = connect(beta, listener)
    assert str(again.local_addr) == "β:1"


def test_the_last_handle_closes_the_subnetwork(tmp: Any, connect: Any) -> None:
    net = lonet.join("")
    path = tmp / "lonet" / net.name
    alpha, thread = net.new_host("α"), net._net.acceptor._thread
    listener = alpha.listen(":10")
    del net, alpha
    gc.collect()
    assert listener.addr.port == 10 and path.exists() and thread.is_alive()
    del listener
    gc.collect()
    thread.join(30)
    assert not thread.is_alive() and not path.exists()


def test_closing_from_many_threads(tmp: Any, aside: Any) -> None:
    net = lonet.join("")
    hosts = [net.new_host(f"h{n}") for n in range(4)]
    for closing in [aside(host.close) for host in hosts * 2] + [aside(net.close) for _ in range(4)]:
        closing.result()
    assert list((tmp / "lonet").iterdir()) == []


def test_opening_races_closing(net: Any, aside: Any) -> None:
    """What was opened while the host closes is closed with it: nothing of it stays."""
    beta = net.new_host("β")
    for _ in range(20):
        alpha = net.new_host("α")
        listener = alpha.listen(":10")

        def dial() -> None:
            try:
                connection = beta.dial("α:10")
            except (lonet.ConnectionRefused, lonet.NoSuchHost):
                return
            assert connection.recv(1) == b""

        def serve() -> None:
            with pytest.raises(lonet.HostDown):
                while True:
                    listener.accept()

        work = [aside(dial) for _ in range(4)] + [aside(serve) for _ in range(2)]
        alpha.close()
        for one in work:
            one.result()
        assert len(alpha._state.ports) == 0
    assert len(beta._state.ports) == 0
