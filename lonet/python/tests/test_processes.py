"""Several processes on one network; forks; the host of the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import lonet


def test_two_processes(alpha: Any, net: Any, program: Any) -> None:
    child = program(
        """
        import lonet, sys
        with lonet.join(sys.argv[1]) as net:
            with net.new_host("β").dial("α:10") as connection:
                connection.sendall(b"ping")
                print(connection.local_addr, connection.peer_addr, connection.recv(4))
        """,
        net.name,
    )
    with alpha.listen(":10") as listener, listener.accept() as connection:
        assert connection.recv(4) == b"ping"
        connection.sendall(b"pong")
        assert child.done() == "β:1 α:1 b'pong'\n"
    net.new_host("β")


def test_a_peer_that_is_killed(alpha: Any, net: Any, program: Any) -> None:
    child = program(
        """
        import lonet, sys
        connection = lonet.join(sys.argv[1]).new_host("β").dial("α:10")
        print("dialed", flush=True)
        input()
        """,
        net.name,
    )
    with alpha.listen(":10") as listener, listener.accept() as connection:
        assert child.says() == "dialed"
        child.kill()
        assert connection.recv(1) == b""
        with pytest.raises(lonet.ConnectionRefused):
            alpha.dial("β:10")


def test_a_dial_whose_host_is_killed(alpha: Any, net: Any, program: Any, aside: Any) -> None:
    child = program(
        """
        import lonet, sys
        from lonet.lock import STATE
        listener = lonet.join(sys.argv[1]).new_host("β").listen(":10")
        print("up", flush=True)
        with STATE:
            listener._state.changed.wait_for(lambda: listener._state.queue)
        print("asked", flush=True)
        input()
        """,
        net.name,
    )
    assert child.says() == "up"
    dial = aside(alpha.dial, "β:10")
    assert child.says() == "asked"
    child.kill()
    with pytest.raises(lonet.ConnectionRefused):
        dial.result()


def test_the_end_of_a_program_leaves_nothing(tmp: Path, program: Any) -> None:
    child = program("import lonet; host = lonet.join('').new_host('α'); l = host.listen()")
    assert child.done() == ""
    assert list((tmp / "lonet").iterdir()) == []


def test_from_env(program: Any, tmp: Path) -> None:
    child = program(
        """
        import lonet
        host = lonet.from_env()
        assert lonet.from_env() is host
        print(host.network, host.name)
        host.close()
        again = lonet.from_env()
        assert again is not host and again.name == "α"
        """,
        LONET_NETWORK="x",
        LONET_HOST="α",
    )
    assert child.done() == "lonetx α\n"


def test_from_env_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LONET_NETWORK", raising=False)
    with pytest.raises(lonet.InvalidName, match="^join lonet: .* LONET_NETWORK is not set"):
        lonet.from_env()
    monkeypatch.setenv("LONET_NETWORK", "x")
    monkeypatch.delenv("LONET_HOST", raising=False)
    with pytest.raises(lonet.InvalidName, match="^join lonet: .* LONET_HOST is not set"):
        lonet.from_env()


def in_fork(call: Any) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            call()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_fork_has_its_connections_but_not_the_network(
    net: Any, alpha: Any, beta: Any, ends: Any
) -> None:
    ours, theirs = ends

    def child() -> None:
        ours.sendall(b"from the child")
        ours.close()
        for down in (alpha.listen, lambda: beta.dial("α:10"), lambda: net.new_host("γ")):
            with pytest.raises(lonet.NetworkDown):
                down()
        net.close()
        with lonet.join(net.name) as own:
            with pytest.raises(lonet.HostExists):
                own.new_host("α")
            own.new_host("γ").close()

    assert in_fork(child) == 0
    assert theirs.recv(100) == b"from the child"
    # What the child closed is still the parent's.
    ours.sendall(b"still here")
    assert theirs.recv(100) == b"still here"
    alpha.listen(":11").close()
    with pytest.raises(lonet.HostExists):
        net.new_host("α")


def test_a_fork_while_threads_dial_returns_in_the_child(program: Any) -> None:
    """Whatever lock of ours they hold at that moment."""
    rounds = 1000 if os.environ.get("LONET_FULL") == "1" else 100
    child = program(
        """
        import lonet, os, signal, sys, threading
        net = lonet.join("")
        alpha, beta = net.new_host("α"), net.new_host("β")
        listener = alpha.listen(":10")
        waiting = threading.Thread(target=listener.accept)
        waiting.start()
        ours = beta.dial("α:10")
        waiting.join()

        def accept():
            while True:
                listener.accept().close()

        def dial():
            while True:
                try:
                    beta.dial("α:10").close()
                except lonet.Error:
                    pass

        for work in [accept, accept] + 8 * [dial]:
            threading.Thread(target=work, daemon=True).start()
        hung = 0
        for round in range(int(sys.argv[1])):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                ours.close()
                try:
                    net.new_host("γ")
                except lonet.NetworkDown:
                    os._exit(0)
                os._exit(1)
            hung += os.waitpid(child, 0)[1] != 0
        print(hung, flush=True)
        os._exit(0)
        """,
        str(rounds),
    )
    assert child.says() == "0"


def test_a_fork_does_not_keep_its_parent_alive(program: Any) -> None:
    """The lease goes with the process that took it, whatever it has forked."""
    child = program(
        """
        import lonet, os
        host = lonet.join("x").new_host("α")
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, b"x")
            os.read(0, 1)  # Until the test is over.
            os._exit(0)
        os.read(reader, 1)
        print("forked", flush=True)
        input()
        """
    )
    assert child.says() == "forked"
    with lonet.join("x") as net:
        with pytest.raises(lonet.HostExists):
            net.new_host("α")
        child.kill()
        net.new_host("α")
