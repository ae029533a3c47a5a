"""The rules of the network: ports, listening, dialing, accepting."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from conftest import wait_for_callers

import lonet
from lonet.ports import PortTable


def test_ports_are_the_lowest_free_ones() -> None:
    ports = PortTable()
    assert ports.take(2) and not ports.take(2)
    assert [ports.take_lowest() for _ in range(3)] == [1, 3, 4]
    ports.free(3)
    ports.free(1)
    assert ports.take(1)
    assert [ports.take_lowest() for _ in range(2)] == [3, 5]
    assert len(ports) == 5


def test_ports_run_out() -> None:
    ports = PortTable()
    assert [ports.take_lowest() for _ in range(65535)] == list(range(1, 65536))
    assert ports.take_lowest() is None
    ports.free(40000)
    assert ports.take_lowest() == 40000


def test_listening(net: lonet.SubNetwork, alpha: lonet.Host) -> None:
    assert [str(alpha.listen(a).addr) for a in ("α:10", "", ":0", "α:0", ":2")][:1] == ["α:10"]
    gc.collect()  # The listeners were dropped, so their ports are free again.
    listeners = [alpha.listen(laddr) for laddr in ("α:2", "", ":0", "α:0")]
    assert [str(listener.addr) for listener in listeners] == ["α:2", "α:1", "α:3", "α:4"]
    with pytest.raises(lonet.AddrInUse) as in_use:
        alpha.listen(":2")
    assert str(in_use.value) == f"listen {net.network} α:2: address already in use"
    with pytest.raises(lonet.AddrNotAvailable) as other:
        alpha.listen("β:2")
    assert str(other.value) == f"listen {net.network} β:2: cannot listen on requested address"
    with pytest.raises(lonet.InvalidAddr, match=r'^listen \w+-\w+ "x": invalid address: '):
        alpha.listen("x")


def test_a_connection(alpha: lonet.Host, beta: lonet.Host, connect: Any) -> None:
    listener = alpha.listen(":10")
    dialed, accepted = connect(beta, listener)
    assert (dialed.local_addr, dialed.peer_addr) == (lonet.Addr("β", 1), lonet.Addr("α", 1))
    assert (accepted.local_addr, accepted.peer_addr) == (lonet.Addr("α", 1), lonet.Addr("β", 1))
    dialed.sendall(b"ping")
    assert accepted.recv(10) == b"ping"
    accepted.sendall(b"pong")
    assert dialed.recv(10) == b"pong"
    again, _ = connect(beta, listener)
    assert (str(again.local_addr), str(again.peer_addr)) == ("β:2", "α:2")
    dialed.close()
    accepted.close()
    third, _ = connect(beta, listener)
    assert (str(third.local_addr), str(third.peer_addr)) == ("β:1", "α:1")


def test_a_host_dials_itself(alpha: lonet.Host, connect: Any) -> None:
    dialed, accepted = connect(alpha, alpha.listen(":10"))
    assert {str(dialed.local_addr), str(accepted.local_addr)} == {"α:1", "α:2"}
    dialed.sendall(b"x")
    assert accepted.recv(1) == b"x"


def test_dialing_nothing(net: lonet.SubNetwork, beta: lonet.Host) -> None:
    gone = net.new_host("γ")
    gone.close()
    for addr, error in [
        ("β:10", lonet.ConnectionRefused),
        ("γ:10", lonet.ConnectionRefused),
        ("δ:10", lonet.NoSuchHost),
        ("nonsense", lonet.InvalidAddr),
    ]:
        with pytest.raises(error):
            beta.dial(addr)
    # No port is lost by any of them.
    assert str(beta.listen().addr) == "β:1"


def test_only_accept_completes_a_dial(alpha: lonet.Host, beta: lonet.Host, aside: Any) -> None:
    listener = alpha.listen(":10")
    dials = [aside(beta.dial, "α:10") for _ in range(3)]
    wait_for_callers(listener, 3)
    assert not any(dial.done() for dial in dials)
    accepted = [listener.accept() for _ in dials]
    assert {dial.result().peer_addr for dial in dials} == {end.local_addr for end in accepted}


def test_timeouts(net: lonet.SubNetwork, alpha: lonet.Host, beta: lonet.Host) -> None:
    listener = alpha.listen(":10")
    with pytest.raises(lonet.TimedOut) as dial:
        beta.dial("α:10", timeout=0.01)
    assert str(dial.value) == f"dial {net.network} β:1->α:10: timed out"
    with pytest.raises(lonet.TimedOut) as accept:
        listener.accept(timeout=0)  # That dial was cancelled: it must not be accepted.
    assert str(accept.value) == f"accept {net.network} α:10: timed out"
    assert str(beta.listen().addr) == "β:1"


def test_no_ghosts(alpha: lonet.Host, beta: lonet.Host, connect: Any) -> None:
    listener = alpha.listen(":10")
    for _ in range(50):
        with pytest.raises(lonet.TimedOut):
            beta.dial("α:10", timeout=0.001)
    dialed, accepted = connect(beta, listener)
    assert (dialed.local_addr, accepted.peer_addr) == (lonet.Addr("β", 1), lonet.Addr("β", 1))
    with pytest.raises(lonet.TimedOut):
        listener.accept(timeout=0)


def test_names_are_unique_and_come_free(net: lonet.SubNetwork, alpha: lonet.Host) -> None:
    with pytest.raises(lonet.HostExists) as exists:
        net.new_host("α")
    assert str(exists.value) == f"new host {net.network} α: host already registered"
    with lonet.join(net.name) as other:
        with pytest.raises(lonet.HostExists):
            other.new_host("α")
        alpha.close()
        other.new_host("α").close()
    net.new_host("α")


def test_two_subnetworks_of_one_network(net: lonet.SubNetwork, alpha: lonet.Host, connect: Any) -> None:
    with lonet.join(net.name) as other:
        beta = other.new_host("β")
        assert net.host("β") is None and other.host("β") is not None
        dialed, accepted = connect(beta, alpha.listen(":10"))
        accepted.sendall(b"x")
        assert dialed.recv(1) == b"x"


def test_names_of_networks() -> None:
    with lonet.join("x") as net, lonet.join("") as random, lonet.join("") as other:
        assert (net.name, net.network) == ("x", "lonetx")
        assert random.network == "lonet" + random.name
        assert random.name != other.name


def test_many_dialers_at_once(alpha: lonet.Host, net: lonet.SubNetwork, aside: Any) -> None:
    listener = alpha.listen(":10")
    hosts = [net.new_host(f"h{n}") for n in range(8)]
    dials = [aside(host.dial, "α:10") for host in hosts for _ in range(4)]
    accepted = [listener.accept() for _ in dials]
    dialed = [dial.result() for dial in dials]
    assert sorted(end.local_addr.port for end in accepted) == [1, *range(2, 10), *range(11, 34)]
    assert {(end.local_addr, end.peer_addr) for end in dialed} == {
        (end.peer_addr, end.local_addr) for end in accepted
    }


def test_port_zero_is_dialed_in_vain(alpha: lonet.Host, beta: lonet.Host) -> None:
    with pytest.raises(lonet.ConnectionRefused):
        beta.dial("α:0")
