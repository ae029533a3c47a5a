"""Names, addresses, and what errors say."""

from __future__ import annotations

import errno
import pickle
import socket
from pathlib import Path
from typing import Any

import pytest

import lonet

HOSTILE = ["..", ".", "_", "a/b", "../../x", "a\0", "a:b", 'a"b', "a b", "½", "a\u2028", ".a", "\ud800"]


@pytest.mark.parametrize("text", ["α:10", "db-1:0", "a_b.c:65535", "東京:1", "٣:7", "_x:1"])
def test_addresses_parse_and_print(text: str) -> None:
    assert str(lonet.Addr.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (":10", "has no host"),
        ("α", "has no port"),
        ("α:", "illegal port"),
        ("α:010", "illegal port"),
        ("α:65536", "illegal port"),
        ("α:+1", "illegal port"),
        ("α:1_0", "illegal port"),
        ("α:٣", "illegal port"),
        ("a:b:1", "illegal host name"),
        (".a:1", "begins with a dot"),
        ("_:1", "wildcard"),
        ("a b:1", "holds ' '"),
    ],
)
def test_illegal_addresses_say_why(text: str, why: str) -> None:
    with pytest.raises(lonet.InvalidAddr, match="^invalid address: ") as error:
        lonet.Addr.parse(text)
    assert why in str(error.value)


def test_names_have_limits() -> None:
    for legal in ["x" * 64, "α" * 64, "東" * 42, "a.b", "r2-d2", "__"]:
        lonet.check_name(legal)
    for illegal in ["", "x" * 65, "東" * 43, *HOSTILE]:
        with pytest.raises(lonet.InvalidName, match="^invalid name: "):
            lonet.check_name(illegal)


@pytest.mark.parametrize("name", ["x" * 300, *HOSTILE])
def test_hostile_network_names_make_no_file(name: str, tmp: Path) -> None:
    with pytest.raises(lonet.InvalidName, match="^join lonet"):
        lonet.join(name)
    assert list(tmp.iterdir()) == []


@pytest.mark.parametrize("name", ["", "x" * 300, *HOSTILE])
def test_hostile_host_names(name: str, net: lonet.SubNetwork) -> None:
    with pytest.raises(lonet.InvalidName) as error:
        net.new_host(name)
    assert str(error.value).startswith(f"new host {net.network} {name}: invalid name: ")


def test_errors_print_and_carry_what_failed(net: lonet.SubNetwork, beta: lonet.Host) -> None:
    with pytest.raises(lonet.ConnectionRefused) as refused:
        beta.dial("β:10")
    error = refused.value
    assert str(error) == f"dial {net.network} β:1->β:10: connection refused"
    assert (error.op, error.network) == ("dial", net.network)
    assert (error.source_addr, error.addr) == (lonet.Addr("β", 1), lonet.Addr("β", 10))
    assert (error.errno, error.cause) == (errno.ECONNREFUSED, "connection refused")
    assert isinstance(error, ConnectionRefusedError)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), str(error))


def test_an_unparsable_address_names_the_port_it_would_have_had(net: Any, beta: lonet.Host) -> None:
    with pytest.raises(lonet.InvalidAddr) as error:
        beta.dial("x y")
    assert str(error.value).startswith(f'dial {net.network} β:1->"x y": invalid address: ')


@pytest.mark.parametrize(
    ("error", "base", "code"),
    [
        (lonet.NetworkDown, OSError, errno.ENETDOWN),
        (lonet.HostDown, OSError, errno.ENOTCONN),
        (lonet.SocketDown, OSError, errno.ENOTCONN),
        (lonet.AddrInUse, OSError, errno.EADDRINUSE),
        (lonet.AddrNotAvailable, OSError, errno.EADDRNOTAVAIL),
        (lonet.PortsExhausted, OSError, errno.EADDRNOTAVAIL),
        (lonet.NoSuchHost, OSError, errno.ENOENT),
        (lonet.HostExists, OSError, errno.EEXIST),
        (lonet.TimedOut, TimeoutError, errno.ETIMEDOUT),
        (lonet.TimedOut, socket.timeout, errno.ETIMEDOUT),
        (lonet.BrokenPipe, BrokenPipeError, errno.EPIPE),
        (lonet.ConnectionReset, ConnectionResetError, errno.ECONNRESET),
        (lonet.DirectoryError, PermissionError, errno.EACCES),
        (lonet.InvalidName, ValueError, errno.EINVAL),
        (lonet.InvalidAddr, ValueError, errno.EINVAL),
    ],
)
def test_errors_are_what_they_are_to_the_system(error: type, base: type, code: int) -> None:
    assert issubclass(error, lonet.Error) and issubclass(error, base)
    assert error("x").errno == code
