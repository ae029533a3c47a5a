"""Peers that are no friends: other users, other protocols, the slow, the silent, the vanished."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterator

import pytest
from conftest import SOURCE, wait_for_callers

import lonet
from lonet import acceptor as acceptor_module
from lonet.peer_uid import Owner, PeerCheck, Trust


@pytest.fixture
def listener(alpha: lonet.Host) -> Iterator[lonet.Listener]:
    with alpha.listen(":10") as listener:
        yield listener


def knock(net: lonet.SubNetwork, data: bytes = b"") -> socket.socket:
    sock = socket.create_connection(net._net.acceptor.address, timeout=30)
    sock.sendall(data)
    return sock


def request(net: lonet.SubNetwork, dst: str = "α:10", src: str = "γ:7") -> bytes:
    return f'> lonet "{net.network}" dial "{src}" "{dst}"\n'.encode()


def answer(sock: socket.socket) -> bytes:
    with sock, sock.makefile("rb") as file:
        return file.read()


def error(net: lonet.SubNetwork, text: str) -> bytes:
    return f'< lonet "{net.network}" E "{text}"\n'.encode()


def test_requests_that_are_turned_down(net: Any, listener: Any) -> None:
    for line, text in [
        (b"GET / HTTP/1.0\n", "protocol error: invalid dial request"),
        (b'> lonet "lonety" dial "a:1" "b:1"\n', "protocol error: network mismatch"),
        (request(net, src="γ:0"), "protocol error: src address invalid"),
        (request(net, dst="nowhere"), "protocol error: dst address invalid"),
        (request(net, dst="α:11"), "connection refused"),
        (request(net, dst="ω:10"), "connection refused"),
        # The first two bytes of a request are part of it, and are not those of a reply.
        (request(net)[2:], "protocol error: invalid dial request"),
        (b"< " + request(net)[2:], "protocol error: invalid dial request"),
        (b"x" * 1024, "protocol error: invalid dial request"),
    ]:
        assert answer(knock(net, line)) == error(net, text), line


def test_one_byte_at_a_time(net: Any, listener: Any) -> None:
    sock = knock(net)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in request(net):
        sock.send(bytes([byte]))
    with listener.accept() as accepted:
        assert str(accepted.peer_addr) == "γ:7"
    assert answer(sock) == f'< lonet "{net.network}" connected "α:1"\n'.encode()


@pytest.mark.parametrize("size", [1023, 1024, 1025])
def test_a_line_has_at_most_1024_bytes(size: int, net: Any, listener: Any, beta: Any, aside: Any) -> None:
    """The two bytes before the first word and the newline are counted."""
    line = request(net)[:-1].ljust(size - 1) + b"\n"
    assert len(line) == size
    sock = knock(net, line)
    if size > 1024:
        assert answer(sock) == error(net, "protocol error: invalid dial request")
    else:
        with listener.accept() as accepted:
            assert str(accepted.peer_addr) == "γ:7"
        sock.close()

    from lonet.registry import Registry

    with socket.socket() as server:
        server.bind(("127.9.9.9", 0))
        server.listen()
        registry = Registry(net._net._directory, server.getsockname())
        registry.announce("server")

        def serve() -> None:
            sock, _ = server.accept()
            with sock, sock.makefile("rb") as file:
                file.readline()
                reply = b'< lonet "%s" connected "server:1"' % net.network.encode()
                sock.sendall(reply.ljust(size - 1) + b"\nbanner")

        serving = aside(serve)
        if size > 1024:
            with pytest.raises(lonet.ProtocolError):
                beta.dial("server:10")
        else:
            with beta.dial("server:10") as connection:
                assert connection.makefile("rb").read() == b"banner"
        serving.result()
        registry.close()


def test_what_is_glued_to_the_request_is_the_users(net: Any, listener: Any) -> None:
    with knock(net, request(net) + b"glued"):
        with listener.accept() as accepted:
            assert accepted.recv(100) == b"glued"


def test_what_is_glued_to_the_reply_is_the_users(net: Any, beta: Any, aside: Any) -> None:
    from lonet.registry import Registry

    with socket.socket() as server:
        server.bind(("127.9.9.9", 0))
        server.listen()
        directory = net._net._directory
        registry = Registry(directory, server.getsockname())
        registry.announce("server")

        def serve() -> bytes:
            sock, _ = server.accept()
            with sock, sock.makefile("rb") as file:
                line = file.readline()
                reply = f'< lonet "{net.network}" connected "server:1"\n'
                sock.sendall(reply.encode() + b"banner")
                return line

        serving = aside(serve)
        with beta.dial("server:10") as connection:
            assert str(connection.peer_addr) == "server:1"
            assert connection.makefile("rb").read() == b"banner"
        assert serving.result() == request(net, dst="server:10", src="β:1")
        registry.close()


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"", "connection refused"),
        (b'< lonet "%s" E "no such host"\n', "connection refused"),
        (b'< lonet "%s" E "connection refused"\n', "connection refused"),
        (b'< lonet "%s" E "protocol error: network mismatch"\n', "protocol error: network mismatch"),
        (b'< lonet "%s" E "protocol error: invalid dial request"\n', "protocol error: invalid dial request"),
        (b'< lonet "%s" E "protocol error: src address invalid"\n', "protocol error: src address invalid"),
        (b'< lonet "%s" E "protocol error: dst address invalid"\n', "protocol error: dst address invalid"),
        (b'lonet "%s" connected "server:1"\n', "protocol error: invalid reply"),
        (b'lonet "%s" E "connection refused"\n', "protocol error: invalid reply"),
        (b'> lonet "%s" connected "server:1"\n', "protocol error: invalid reply"),
        (b'< lonet "lonety" connected "server:1"\n', "protocol error: network mismatch"),
        (b'< lonet "%s" connected "server:0"\n', "protocol error: peer address invalid"),
        (b'< lonet "%s" connected "other:1"\n', "protocol error: other:1 answered, which is not server's"),
        (b'< lonet "%s" E ""\n', "protocol error: refused without a reason"),
        (b"SSH-2.0-server\r\n", "protocol error: invalid reply"),
        (b"x" * 2000, "protocol error: the reply has no end"),
        (b'< lonet "%s" E "\\x1b[2J"\n', 'protocol error: "\\x1b[2J"'),
    ],
)
def test_replies_that_are_no_connection(
    reply: bytes, why: str, net: Any, beta: Any, aside: Any
) -> None:
    from lonet.registry import Registry

    with socket.socket() as server:
        server.bind(("127.9.9.9", 0))
        server.listen()
        registry = Registry(net._net._directory, server.getsockname())
        registry.announce("server")

        def serve() -> None:
            sock, _ = server.accept()
            with sock, sock.makefile("rb") as file:
                file.readline()
                sock.sendall(reply.replace(b"%s", net.network.encode()))

        serving = aside(serve)
        with pytest.raises(lonet.Error) as failed:
            beta.dial("server:10")
        assert str(failed.value) == f"dial {net.network} β:1->server:10: {why}"
        assert len(beta._state.ports) == 0
        serving.result()
        registry.close()


def test_a_queued_peer_that_hangs_up_is_nobody(net: Any, listener: Any, beta: Any, connect: Any) -> None:
    for _ in range(20):
        sock = knock(net, request(net))
        wait_for_callers(listener, 1)
        sock.close()
        with pytest.raises(lonet.TimedOut):
            listener.accept(timeout=0)
    _, accepted = connect(beta, listener)
    assert str(accepted.peer_addr) == "β:1"


def test_who_says_nothing_is_dropped(net: Any, listener: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(acceptor_module, "REQUEST_DEADLINE", 0.05)
    silent, slow = knock(net), knock(net, b"> lonet")
    assert answer(silent) == b"" and answer(slow) == b""


def test_a_waiting_dial_has_no_deadline(net: Any, listener: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(acceptor_module, "REQUEST_DEADLINE", 0.05)
    waiting = knock(net, request(net))
    wait_for_callers(listener, 1)
    assert answer(knock(net)) == b""  # One that came later was dropped.
    with listener.accept():
        pass
    assert answer(waiting).startswith(b"< lonet")


def test_the_silent_are_bounded(
    net: Any, listener: Any, beta: Any, connect: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(acceptor_module, "REQUEST_DEADLINE", 3600)
    silent = [knock(net) for _ in range(acceptor_module.MAX_PENDING + 20)]
    _, accepted = connect(beta, listener)
    assert str(accepted.peer_addr) == "β:1"
    # The oldest were dropped; the others have their time.
    for sock in silent[:20]:
        assert sock.recv(1) == b""
    poll = select.poll()
    for sock in silent[-acceptor_module.MAX_PENDING + 2 :]:
        poll.register(sock, select.POLLIN)
    assert poll.poll(0) == []
    for sock in silent:
        sock.close()


def test_tcp_that_meets_itself_is_refused(net: Any, beta: Any, monkeypatch: Any) -> None:
    """A dead port on loopback may be chosen as the source of the connection to it."""
    from lonet.registry import Registry

    with socket.socket() as server:
        server.bind(("127.9.9.9", 0))
        dead = server.getsockname()
    registry = Registry(net._net._directory, dead)
    registry.announce("server")
    bind = socket.socket.bind
    monkeypatch.setattr(socket.socket, "bind", lambda sock, _: bind(sock, dead))
    with pytest.raises(lonet.ConnectionRefused):
        beta.dial("server:10")
    monkeypatch.undo()
    registry.close()


def test_running_out_of_descriptors_is_survived(program: Any, listener: Any, net: Any) -> None:
    child = program(
        """
        import lonet, resource, sys, os
        net = lonet.join(sys.argv[1])
        listener = net.new_host("β").listen(":10")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 4, hard))
        print(*net._net.acceptor.address, flush=True)
        input()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with listener.accept() as connection:
            print(connection.peer_addr, flush=True)
        input()
        """,
        net.name,
    )
    ip, port = child.says().split()
    silent = [socket.create_connection((ip, int(port))) for _ in range(20)]
    child.tell()
    with net.host("α").dial("β:10") as connection:
        assert child.says() == str(connection.local_addr)
    for sock in silent:
        sock.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_other_users_do_not_get_in(net: Any, listener: Any) -> None:
    line, address = request(net), net._net.acceptor.address
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setuid(12345)
            sock = socket.create_connection(address, timeout=30)
            try:
                sock.sendall(line)
                status = 0 if sock.recv(100) == b"" else 2
            except ConnectionError:
                status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    with pytest.raises(lonet.TimedOut):
        listener.accept(timeout=0)


def test_both_ways_to_ask_for_the_owner_agree(net: Any) -> None:
    netlink, proc = PeerCheck(), PeerCheck()
    assert netlink._netlink is not None
    proc.close()
    with socket.socket() as server:
        server.bind(("127.1.2.3", 0))
        server.listen()
        for check in (netlink, proc):
            assert check.listener(server.getsockname()) is Owner.TRUSTED
        with socket.create_connection(server.getsockname()) as ours:
            here, there = ours.getsockname(), ours.getpeername()
            for check in (netlink, proc):
                assert check.owner(here, there) is Owner.UNKNOWN  # Not accepted yet.
                assert check.allows(there, here)
            theirs, _ = server.accept()
            with theirs:
                for check in (netlink, proc):
                    assert check.allows(here, there)
                    check._trust = Trust(os.geteuid() + 1, 0)
                    assert check.owner(here, there) is Owner.STRANGER
                    check._trust = Trust(os.geteuid(), None)
        for check in (netlink, proc):
            assert check.owner(there, here) is Owner.UNKNOWN
            assert check.owner(("127.1.2.3", 2), ("127.1.2.3", 1)) is Owner.UNKNOWN
    netlink.close()


def test_whom_to_trust() -> None:
    assert [Trust(1000, None).includes(uid) for uid in (0, 1000, 1001, 65534)] == [True, True, False, False]
    assert not Trust(65534, 65534).includes(65534)
    assert Trust(0, 65534).includes(0)
    assert Trust(65534, 65534).is_blind
    assert not Trust(65534, None).is_blind and not Trust(1000, 65534).is_blind


def test_where_everybody_reads_as_we_do_our_sockets_are_those_we_may_look_at() -> None:
    check = PeerCheck()
    check._trust = Trust(65534, 65534)
    with socket.socket() as server:
        server.bind(("127.1.2.3", 0))
        server.listen()
        assert check.listener(server.getsockname()) is Owner.TRUSTED
    check.close()


@pytest.mark.parametrize("user", ["this user", "an ordinary user"])
def test_processes_whose_uid_is_not_mapped_are_on_one_network(user: str) -> None:
    """As every process in a user namespace into which no uid is mapped."""
    prefix = ["unshare", "-U"]
    if user == "an ordinary user" and os.geteuid() == 0:
        prefix[:0] = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
    pythons = [sys.executable, "/usr/bin/python3"]
    reachable = [p for p in pythons if _works([*prefix, p, "-c", ""])]
    if not reachable:
        pytest.skip("no user namespaces here, or no Python that another user can reach")
    code = """if True:
        import os, subprocess, sys
        import lonet
        assert os.geteuid() == 65534
        if len(sys.argv) > 1:
            lonet.join("x").new_host("β").dial("α:10").close()
            sys.exit()
        host = lonet.join("x").new_host("α")
        with host.listen(":10") as listener:
            child = subprocess.Popen([sys.executable, "-B", __file__, "β"])
            print(listener.accept(timeout=20).peer_addr, child.wait())
    """
    # Every directory on its way is open to all; that of the tests may not be.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o1777)
        source = shutil.copytree(SOURCE, directory + "/src")
        program = Path(directory, "program.py")
        program.write_text(code, "utf-8")
        said = subprocess.run(
            [*prefix, reachable[0], "-B", program],
            env={**os.environ, "TMPDIR": directory, "PYTHONPATH": source},
            check=True,
            capture_output=True,
            encoding="utf-8",
        )
    assert said.stdout == "β:1 0\n"


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
