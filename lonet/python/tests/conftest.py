"""What every test has: a directory for temporary files of its own, a deadline, a network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import lonet
from lonet.lock import STATE

#: How long a test may take, in seconds. None comes near, unless something hangs.
DEADLINE = 60

SOURCE = Path(lonet.__file__).parents[1]
VECTORS = Path(__file__).parents[2] / "tests" / "vectors"


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    def expire(*_: object) -> None:
        raise TimeoutError("the test has passed its deadline")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(DEADLINE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def net(tmp: Path) -> Iterator[lonet.SubNetwork]:
    with lonet.join("") as subnetwork:
        yield subnetwork


@pytest.fixture
def alpha(net: lonet.SubNetwork) -> lonet.Host:
    return net.new_host("α")


@pytest.fixture
def beta(net: lonet.SubNetwork) -> lonet.Host:
    return net.new_host("β")


@pytest.fixture
def aside() -> Iterator[Callable[..., Future[Any]]]:
    """Calls something on a thread; its result is waited for, at most half the deadline."""
    threads: list[threading.Thread] = []

    def run(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def work() -> None:
            try:
                future.set_result(call(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        # A daemon, so that one that hangs fails its test only.
        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()
        wait = future.result
        future.result = lambda timeout=DEADLINE / 2: wait(timeout)  # type: ignore[method-assign]
        return future

    yield run
    for thread in threads:
        thread.join(DEADLINE / 2)
        assert not thread.is_alive(), "a thread of the test hangs"


@pytest.fixture
def connect(aside: Any) -> Callable[..., tuple[lonet.Connection, lonet.Connection]]:
    """Dials and accepts; the dialing end first."""

    def connect(
        dialer: lonet.Host, listener: lonet.Listener
    ) -> tuple[lonet.Connection, lonet.Connection]:
        accepted = aside(listener.accept)
        dialed = dialer.dial(str(listener.addr))
        return dialed, accepted.result()

    return connect


@pytest.fixture
def ends(alpha: lonet.Host, beta: lonet.Host, connect: Any) -> Any:
    """A connection β:1–α:1 by way of a listener at α:10: its dialing and its accepting end."""
    with alpha.listen(":10") as listener:
        yield connect(beta, listener)


def wait_for_callers(listener: lonet.Listener, count: int) -> None:
    """Waits until so many dialers are at the listener."""
    state = listener._state
    with STATE:
        assert state.changed.wait_for(lambda: len(state.queue) >= count, DEADLINE / 2)


class Program:
    """A Python program in a process of its own, spoken to by lines."""

    def __init__(self, code: str, *args: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(code), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCE), **env},
            encoding="utf-8",
        )

    def says(self) -> str:
        """Its next line."""
        return self.process.stdout.readline().rstrip("\n")

    def tell(self, line: str = "") -> None:
        """Gives it a line."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """Ends it with SIGKILL; returns when it is dead."""
        self.process.kill()
        self.process.wait()

    def done(self) -> str:
        """Waits for it to end well; what it had left to say."""
        rest, _ = self.process.communicate(timeout=DEADLINE / 2)
        assert self.process.returncode == 0, rest
        return rest


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def start(code: str, *args: str, **env: str) -> Program:
        programs.append(Program(code, *args, **env))
        return programs[-1]

    yield start
    for started in programs:
        if started.process.poll() is None:
            started.kill()
        started.process.stdin.close()
        started.process.stdout.close()
