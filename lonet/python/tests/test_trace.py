"""What a traced network reports: a collector in miniature listens at ``trace.sock``."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator

import pytest
from conftest import DEADLINE, wait_for_callers

import lonet
from lonet.acceptor import Caller
from lonet.handshake import Request
from lonet.trace.reporter import Reporter

Record = dict[str, Any]


class Reports:
    """The lines of one reporter."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.hello: Record = {}
        self.records: list[Record] = []
        self._rest = b""

    def read(self) -> None:
        """Takes what is there. What an operation that has returned reported, is there."""
        try:
            while True:
                data = self.connection.recv(1 << 16)
                if not data:
                    break
                self._rest += data
        except BlockingIOError:
            pass
        *lines, self._rest = self._rest.split(b"\n")
        for line in map(json.loads, lines):
            [(kind, content)] = line.items()
            if kind == "hello":
                assert not self.hello and not self.records
                self.hello = content
            else:
                assert kind == "ev"
                self.records.append(content)


class Collector:
    """Listens for reporters of one network."""

    def __init__(self, tmp: Path, name: str) -> None:
        self.name = name
        (tmp / "lonet").mkdir(exist_ok=True)
        (tmp / "lonet").chmod(0o1777)
        directory = tmp / "lonet" / name
        directory.mkdir(mode=0o700)
        self._listener = socket.socket(socket.AF_UNIX)
        held = os.open(directory, os.O_RDONLY)
        self._listener.bind(f"/proc/self/fd/{held}/trace.sock")
        os.close(held)
        self._listener.listen(100)
        self._listener.setblocking(False)
        self.reporters: list[Reports] = []

    def read(self) -> list[Record]:
        """All records so far, those of one reporter by number."""
        try:
            while True:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                self.reporters.append(Reports(connection))
        except BlockingIOError:
            pass
        for reporter in self.reporters:
            reporter.read()
            numbers = [record["n"] for record in reporter.records]
            assert len(set(numbers)) == len(numbers) and min(numbers, default=1) >= 1
        return [
            record
            for reporter in self.reporters
            for record in sorted(reporter.records, key=lambda record: record["n"])
        ]

    def lines(self) -> list[str]:
        """The events, as a trace would show them."""
        return [line for line in map(line_of, self.read()) if line]

    def find(self, wanted: str) -> Record:
        """The record of that event."""
        [found] = [record for record in self.read() if line_of(record) == wanted]
        return found

    def close(self) -> None:
        """There is nobody any more."""
        self._listener.close()
        for reporter in self.reporters:
            reporter.connection.close()


def line_of(record: Record) -> str:
    [(kind, e)] = record["e"].items()
    if kind in ("link", "note", "opaque"):
        return ""
    words = [e.get("a") or e.get("h"), kind, e.get("p"), e.get("x")]
    return " ".join(word for word in words if word)


def kind_of(record: Record) -> str:
    return next(iter(record["e"]))


def content(record: Record) -> Record:
    return next(iter(record["e"].values()))


@pytest.fixture
def collector(tmp: Path) -> Iterator[Collector]:
    # Longer than a socket's address may be, with what stands before it.
    collector = Collector(tmp, "t" * 60)
    yield collector
    collector.close()


@pytest.fixture
def net(collector: Collector) -> Iterator[lonet.SubNetwork]:
    with lonet.join(collector.name) as subnetwork:
        yield subnetwork


PING_PONG = [
    "α up",
    "β up",
    "α:10 listen",
    "β:1 dial α:10",
    "α:1 accept β:1",
    "β:1 connect α:1",
    "α:1 close β:1",
    "β:1 close α:1",
    "β mark got it",
    "α:10 close",
    "α down",
    "β down",
]


def check_ping_pong(collector: Collector) -> None:
    # In one process numbers are in the order of things; a connect and a close may race.
    lines = collector.lines()
    assert sorted(lines) == sorted(PING_PONG)
    assert lines[:5] == PING_PONG[:5] and lines[7:] == PING_PONG[7:]
    dial, accept = collector.find("β:1 dial α:10"), collector.find("α:1 accept β:1")
    connect, listen = collector.find("β:1 connect α:1"), collector.find("α:10 listen")
    [link] = [record for record in collector.read() if kind_of(record) == "link"]
    assert content(link)["d"] == content(connect)["d"] == dial["n"]
    assert content(accept)["l"] == content(listen)["s"]
    key = content(link)["c"]
    assert content(accept)["c"] == content(connect)["c"] == key
    assert key.startswith("127.") and ">127." in key and key.endswith("#1")
    closes = [collector.find(line) for line in ("α:1 close β:1", "β:1 close α:1")]
    assert [content(close)["w"] for close in closes] == [4, 4]
    sockets = {content(record)["s"] for record in (listen, accept, connect)}
    assert [content(close)["s"] for close in closes] == [content(e)["s"] for e in (accept, connect)]
    assert len(sockets) == 3
    # The client's close says that it has read four bytes and the end.
    assert closes[1]["r"] == [[content(connect)["s"], 5, 4]]
    # What a host's close closes, lonet closes: no task does.
    assert [("k" in collector.find(line)) for line in PING_PONG] == [True] * 9 + [False] * 3


def test_ping_pong(collector: Collector, net: Any, aside: Any) -> None:
    alpha, beta = net.new_host("α"), net.new_host("β")
    listener = alpha.listen(":10")

    def client() -> None:
        with beta.dial("α:10") as connection:
            connection.sendall(b"ping")
            assert connection.makefile("rb").read() == b"pong"
        beta.mark("  got \t it\n")

    running = aside(client)
    with listener.accept() as connection:
        assert connection.recv(4) == b"ping"
        connection.sendall(b"pong")
    running.result()
    net.close()
    check_ping_pong(collector)


def test_ping_pong_in_asyncio(collector: Collector, net: Any) -> None:
    alpha, beta = net.new_host("α"), net.new_host("β")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(4) == b"ping"
        writer.write(b"pong")
        writer.close()

    async def main() -> None:
        await alpha.start_server(answer, ":10")
        reader, writer = await beta.open_connection("α:10")
        writer.write(b"ping")
        assert await reader.read() == b"pong"
        writer.close()
        await writer.wait_closed()
        beta.mark("got it")
        net.close()

    asyncio.run(main())
    check_ping_pong(collector)


def test_who_reports(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONET_HOST", "α")
    with lonet.join(collector.name) as net, lonet.join(collector.name) as again:
        net.new_host("α")
        again.new_host("β")
        assert collector.lines() == ["α up", "β up"]
    [reporter] = collector.reporters  # One a process and network.
    nonce = reporter.hello.pop("nonce")
    # It says neither that it answers nor that it obeys.
    assert reporter.hello == {"version": 1, "host": "α"} and 0 <= nonce < 2**53
    numbers = [record["n"] for record in collector.read()]
    assert numbers == list(range(1, 5))
    times = [record["t"] for record in collector.read()]
    assert all(isinstance(time, int) and time > 0 for time in times)


def test_orders_are_ignored(collector: Collector, net: lonet.SubNetwork) -> None:
    """A collector sends none to a reporter whose `hello` asks for none. One that does is not obeyed,
    and not waited for, though its orders fill the socket."""
    alpha = net.new_host("α")
    collector.read()
    [reporter] = collector.reporters
    order = {
        "seq": 1,
        "rules": [
            {"fault": 1, "from": {"these": [{"host": "α"}]}, "to": "others", "does": "withhold"}
        ],
    }
    reporter.connection.sendall(b'nonsense\n{"waits":1}\n')
    line = json.dumps({"network": order}).encode() + b"\n"
    with pytest.raises(BlockingIOError):
        while True:
            reporter.connection.send(line)
    alpha.mark("goes on")
    alpha.listen(":10").close()
    assert collector.lines() == ["α up", "α mark goes on", "α:10 listen", "α:10 close"]


def test_a_collector_whose_queue_is_full(tmp: Path) -> None:
    lonet.join("x").close()
    path = tmp / "lonet" / "x" / "trace.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))
        with pytest.raises(lonet.Error, match=f"{path} has taken nobody for 2 s"):
            lonet.join("x")


def test_the_reporter_goes_with_the_last_handle(collector: Collector) -> None:
    net = lonet.join(collector.name)
    net.close()
    del net
    gc.collect()
    collector.read()
    assert collector.reporters[0].connection.recv(1) == b""


def test_dials_that_end_without_a_connection(collector: Collector, net: Any, aside: Any) -> None:
    alpha, beta = net.new_host("α"), net.new_host("β")
    for addr in ("α:10", "nonsense", "γ:10"):
        with pytest.raises(lonet.Error):
            beta.dial(addr)
    listener = alpha.listen(":10")
    with pytest.raises(lonet.TimedOut):
        beta.dial("α:10", timeout=0)
    dial = aside(beta.dial, "α:10")
    wait_for_callers(listener, 1)
    beta.close()
    with pytest.raises(lonet.HostDown):
        dial.result()

    async def cancelled() -> None:
        dial = asyncio.ensure_future(alpha.open_connection("α:10"))
        await asyncio.get_running_loop().run_in_executor(None, wait_for_callers, listener, 1)
        dial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dial

    asyncio.run(cancelled())
    assert [line for line in collector.lines() if " dial " in line or " fail " in line] == [
        "β:1 dial α:10",
        "β:1 fail α:10 connection refused",
        "β:1 dial γ:10",
        "β:1 fail γ:10 no such host",
        "β:1 dial α:10",
        "β:1 fail α:10 timed out",
        "β:1 dial α:10",
        "β:1 fail α:10 host is down",
        "α:1 dial α:10",
        "α:1 fail α:10 cancelled",
    ]
    dials = [record["n"] for record in collector.read() if kind_of(record) == "dial"]
    fails = [content(record)["d"] for record in collector.read() if kind_of(record) == "fail"]
    assert dials == fails


def notes(collector: Collector, s: int) -> list[int]:
    """From which bytes on the socket has noted something."""
    records = [content(record) for record in collector.read() if kind_of(record) == "note"]
    return [note["w"] for note in records if note["s"] == s]


def test_notes_come_before_what_others_may_learn(
    collector: Collector, net: Any, alpha: Any, beta: Any, ends: Any
) -> None:
    ours, theirs = ends
    s = content(collector.find("β:1 connect α:1"))["s"]
    ours.sendall(b"one")
    assert notes(collector, s) == [0]
    ours.sendall(b"two")
    assert notes(collector, s) == [0]  # Nothing was learned in between.
    beta.mark("x")
    ours.sendall(b"three")
    assert notes(collector, s) == [0, 6]
    theirs.sendall(b"ab")
    assert ours.recv(10) == b"ab"
    ours.sendall(b"four")
    assert notes(collector, s) == [0, 6, 11]
    note = [record for record in collector.read() if content(record) == {"s": s, "w": 11}][0]
    assert note["r"] == [[s, 1, 2]]  # Of one read, one byte is certain.
    ours.sendall(b"five")
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        ours.recv(1)  # Back for more: it has had the second byte, too.
    beta.mark("y")
    assert collector.find("β mark y")["r"] == [[s, 2, 2]]


def test_data_is_recorded_on_request(collector: Collector, tmp: Path) -> None:
    (tmp / "lonet" / collector.name / "trace.data").touch()
    with lonet.join(collector.name) as net:
        alpha, beta = net.new_host("α"), net.new_host("β")
        with alpha.listen(":10") as listener:
            with ThreadPoolExecutor() as pool:
                accepting = pool.submit(listener.accept)
                ours, theirs = beta.dial("α:10"), accepting.result()
        ours.sendall(b"ping")
        assert theirs.recv(10) == b"ping"
        assert theirs.send(b"") == 0  # Nothing is not an event.
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(10)
        theirs.sendall(b"pong!")
        assert ours.recv(4) == b"pong"
        ours.shutdown(socket.SHUT_WR)
        assert theirs.recv(1) == b""
        ours.close()
        theirs.close()
    records = [r for r in collector.read() if kind_of(r) in ("send", "recv", "note")]
    said = [(kind_of(r), content(r)) for r in records]
    dialed = {"a": "β:1", "p": "α:1", "s": content(collector.find("β:1 connect α:1"))["s"]}
    accepted = {"a": "α:1", "p": "β:1", "s": content(collector.find("α:1 accept β:1"))["s"]}
    assert [entry for entry in said if entry[0] != "note"] == [
        ("send", {**dialed, "w": 0, "b": 4}),
        ("recv", {**accepted, "b": 4}),
        ("send", {**accepted, "w": 0, "b": 5}),
        ("recv", {**dialed, "b": 4}),
    ]
    # A read is told with it.
    assert records[1]["r"] == [[accepted["s"], 1, 4]]


def test_another_task_notes_for_itself(
    collector: Collector, beta: Any, ends: Any, aside: Any
) -> None:
    ours, _ = ends
    s = content(collector.find("β:1 connect α:1"))["s"]
    ours.sendall(b"one")
    aside(ours.sendall, b"two").result()
    assert notes(collector, s) == [0, 3]
    mine, other = [r["k"] for r in collector.read() if kind_of(r) == "note"]
    assert mine != other and collector.find("β:1 dial α:10")["k"] == mine


def test_eof_is_one_byte_more(collector: Collector, alpha: Any, ends: Any) -> None:
    ours, theirs = ends
    s = content(collector.find("α:1 accept β:1"))["s"]
    ours.sendall(b"abc")
    ours.shutdown(socket.SHUT_WR)
    assert content(collector.find("β:1 shutdown α:1"))["w"] == 3
    assert theirs.recv(10) == b"abc"
    alpha.mark("bytes")
    assert collector.find("α mark bytes")["r"] == [[s, 1, 3]]
    for _ in range(2):
        assert theirs.recv(10) == b""
        alpha.mark("eof")
    first, again = [r for r in collector.read() if line_of(r) == "α mark eof"]
    assert first["r"] == again["r"] == [[s, 4, 3]]
    ours.shutdown(socket.SHUT_RDWR)
    assert collector.lines().count("β:1 shutdown α:1") == 1


def test_peeking_is_not_reading(collector: Collector, alpha: Any, ends: Any) -> None:
    ours, theirs = ends
    ours.sendall(b"abc")
    theirs.recv(10, socket.MSG_PEEK)
    alpha.mark("peeked")
    assert "r" not in collector.find("α mark peeked")


@pytest.mark.parametrize("take", ["detach", "dup"])
def test_a_descriptor_that_was_taken(take: str, collector: Collector, beta: Any, ends: Any) -> None:
    ours, _ = ends
    s = content(collector.find("β:1 connect α:1"))["s"]
    taken = ours.dup() if take == "dup" else socket.socket(fileno=ours.detach())
    with taken:
        taken.sendall(b"x")
    if take == "dup":
        ours.sendall(b"y")
    assert [content(r) for r in collector.read() if kind_of(r) == "opaque"] == [{"s": s}]
    assert notes(collector, s) == []


def test_bytes_in_asyncio(collector: Collector, net: Any, alpha: Any, beta: Any, aside: Any) -> None:
    listener = alpha.listen(":10")

    async def main() -> None:
        accepting = aside(listener.accept)
        reader, writer = await beta.open_connection("α:10")
        s = content(collector.find("β:1 connect α:1"))["s"]
        with accepting.result() as theirs:
            theirs.sendall(b"first line\nsecond line\nrest")
            assert await reader.readline() == b"first line\n"
            beta.mark("line")
            # Without all of it, it would not have gone on.
            assert collector.find("β mark line")["r"] == [[s, 11, 11]]
            assert await reader.readuntil(b" ") == b"second "
            assert await reader.readexactly(5) == b"line\n"
            assert await reader.read(2) == b"re"
            beta.mark("some")
            assert collector.find("β mark some")["r"] == [[s, 24, 25]]
            writer.writelines([b"ab", b"c"])
            assert notes(collector, s) == [0]
            theirs.shutdown(socket.SHUT_WR)
            assert await reader.read() == b"st"
            beta.mark("all")
            assert collector.find("β mark all")["r"] == [[s, 28, 27]]
            writer.write_eof()
            assert content(collector.find("β:1 shutdown α:1"))["w"] == 3
            assert theirs.recv(10) == b"abc"
        writer.close()
        await writer.wait_closed()
        assert content(collector.find("β:1 close α:1"))["w"] == 3

    asyncio.run(asyncio.wait_for(main(), DEADLINE / 2))


def test_tasks_of_asyncio_are_told_apart(collector: Collector, net: Any, alpha: Any) -> None:
    async def mark(text: str) -> None:
        alpha.mark(text)
        await asyncio.sleep(0)
        alpha.mark(text + "2")

    async def main() -> None:
        await asyncio.gather(mark("x"), mark("y"))
        alpha.mark("main")

    asyncio.run(main())
    alpha.mark("thread")
    k = {line: collector.find(f"α mark {line}")["k"] for line in ("x", "x2", "y", "y2", "main", "thread")}
    assert k["x"] == k["x2"] and k["y"] == k["y2"]
    assert len({k["x"], k["y"], k["main"], k["thread"]}) == 4
    assert not any("u" in record for record in collector.read())


def test_what_is_done_beside_a_pending_operation_has_no_place(collector: Collector, alpha: Any) -> None:
    reporter = alpha._net.reporter
    alpha.mark("before")
    with reporter.operation():
        alpha.mark("beside")
    alpha.mark("after")
    assert "u" not in collector.find("α mark before")
    assert collector.find("α mark beside")["u"] is True
    assert "u" not in collector.find("α mark after")


def test_told_before_it_can_be_seen(collector: Collector, alpha: Any, beta: Any, connect: Any) -> None:
    """Whoever has seen an effect finds its record with the collector."""
    listener = alpha.listen(":10")
    for _ in range(30):
        ours, theirs = connect(beta, listener)
        accept = f"{theirs.local_addr} accept {ours.local_addr}"
        assert collector.lines()[-2:][0] == accept or accept in collector.lines()
        ours.close()
        assert theirs.recv(1) == b""
        close = f"{ours.local_addr} close {theirs.local_addr}"
        assert close in collector.lines()
        theirs.close()


def test_told_before_it_leaves_the_process(
    collector: Collector, alpha: Any, beta: Any, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known of the moment in which the request, the reply and the end go out."""
    seen: list[str] = []

    def spy(owner: Any, name: str, *expected: str) -> None:
        original = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            kinds = [kind_of(record) for record in collector.read()]
            if all(kind in kinds for kind in expected):
                seen.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    spy(Request, "line", "dial", "link")
    spy(Caller, "answer", "accept")
    ours, theirs = connect(beta, alpha.listen(":10"))
    spy(socket.socket, "_real_close", "close")
    spy(ours, "_shutdown_now", "shutdown")
    ours.shutdown(socket.SHUT_WR)
    ours.close()
    monkeypatch.undo()
    assert seen == ["line", "answer", "_shutdown_now", "_real_close"]
    theirs.close()


def test_a_killed_process_has_told_all(collector: Collector, alpha: Any, program: Any) -> None:
    listener = alpha.listen(":10")
    for n in range(3):
        child = program(
            """
            import lonet, os, signal, sys
            host = lonet.join(sys.argv[1]).new_host("β")
            connection = host.dial("α:10")
            host.mark(sys.argv[2])
            os.kill(os.getpid(), signal.SIGKILL)
            """,
            collector.name,
            str(n),
        )
        with listener.accept() as connection:
            assert connection.recv(1) == b""
        child.process.wait()
        assert collector.lines()[-3:] == ["β:1 dial α:10", "β:1 connect α:1", f"β mark {n}"]


def test_a_dropped_connection_is_told_before_it_is_seen(
    collector: Collector, alpha: Any, beta: Any, connect: Any
) -> None:
    ours, theirs = connect(beta, alpha.listen(":10"))
    del ours
    assert theirs.recv(1) == b""
    collector.find("β:1 close α:1")


def test_a_drop_has_a_place_where_one_task_alone_used_the_connection(
    collector: Collector, alpha: Any, beta: Any, connect: Any, aside: Any
) -> None:
    listener = alpha.listen(":10")

    def close_of(use: Any) -> Record:
        ours, theirs = connect(beta, listener)
        line = f"{ours.local_addr} close {theirs.local_addr}"
        use(ours, theirs)
        del ours
        assert theirs.recv(9) in (b"", b"x", b"xy") and line in collector.lines()
        found = [record for record in collector.read() if line_of(record) == line][-1]
        theirs.close()
        return found

    def writes(ours: Any, _: Any) -> None:
        ours.sendall(b"x")

    def reads(ours: Any, theirs: Any) -> None:
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"

    def shuts_down(ours: Any, _: Any) -> None:
        ours.shutdown(socket.SHUT_WR)

    def shares(ours: Any, _: Any) -> None:
        ours.sendall(b"x")
        aside(ours.sendall, b"y").result()

    def leaves_alone(*_: Any) -> None:
        pass

    beta.mark("here")
    here = collector.find("β mark here")["k"]
    for use in (writes, reads, shuts_down):
        close = close_of(use)
        assert close["k"] == here and "u" not in close, use
    # Which task is the last to let go of it is chance.
    for use in (shares, leaves_alone):
        close = close_of(use)
        assert close["k"] == here and close["u"] is True, use


def test_a_dropped_listener_belongs_to_the_task_that_alone_accepted(
    collector: Collector, alpha: Any, beta: Any, connect: Any, aside: Any
) -> None:
    def close_of(addr: str, accept: Any) -> Record:
        listener = alpha.listen(addr)
        accept(listener)
        del listener
        return collector.find(f"α{addr} close")

    def accepts(listener: Any) -> None:
        dialed = aside(beta.dial, str(listener.addr))
        listener.accept().close()
        dialed.result().close()

    def accepts_aside(listener: Any) -> None:
        accepted = aside(listener.accept)
        beta.dial(str(listener.addr)).close()
        accepted.result().close()

    assert "u" not in close_of(":11", accepts)
    assert close_of(":12", accepts_aside)["u"] is True
    assert close_of(":13", lambda _: None)["u"] is True


def test_what_the_garbage_collector_finds_belongs_to_no_task(
    collector: Collector, alpha: Any, beta: Any, connect: Any
) -> None:
    ours, theirs = connect(beta, alpha.listen(":10"))
    ours.sendall(b"x")
    assert theirs.recv(1) == b"x"
    gc.disable()
    try:
        ours.itself = ours
        del ours
        assert "β:1 close α:1" not in collector.lines()
        gc.collect()
    finally:
        gc.enable()
    assert theirs.recv(1) == b""
    close = collector.find("β:1 close α:1")
    assert "k" not in close and "u" not in close
    beta.mark("after")
    assert "k" in collector.find("β mark after")


def test_nothing_is_told_of_what_happens_after_the_end(collector: Collector, tmp: Path) -> None:
    """Whether it is closed is asked under the lock that numbers."""
    (tmp / "lonet" / collector.name / "trace.data").touch()
    with lonet.join(collector.name) as net:
        alpha, beta = net.new_host("α"), net.new_host("β")
        with alpha.listen(":10") as listener:
            with ThreadPoolExecutor() as pool:
                accepting = pool.submit(listener.accept)
                ours, theirs = beta.dial("α:10"), accepting.result()
        ours.sendall(b"ping")

        def closes_meanwhile(got: bytes) -> int:
            alpha.close()
            return len(got)

        theirs._read(lambda: socket.socket.recv(theirs, 4), closes_meanwhile, 4, 0)
        theirs._end.tap.before_write(3)
        theirs._end.tap.opaque()
        collector.read()
        numbers = {kind_of(r): r["n"] for r in collector.read() if "α" in line_of(r).split(" ")[0]}
        assert "recv" not in numbers and numbers["down"] == max(numbers.values())
        assert not [r for r in collector.read() if kind_of(r) == "opaque"]


def test_a_fork_is_a_reporter_of_its_own(
    collector: Collector, alpha: Any, ends: Any
) -> None:
    ours, theirs = ends
    before = collector.lines()
    child = os.fork()
    if child == 0:
        try:
            ours.sendall(b"child")
            alpha.mark("in the child")
            ours.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert theirs.recv(10) == b"child"
    assert collector.lines() == [*before, "α mark in the child"]
    parent, forked = collector.reporters
    assert forked.hello["nonce"] != parent.hello["nonce"]
    alpha.mark("in the parent")
    collector.read()
    assert line_of(parent.records[-1]) == "α mark in the parent"


def test_without_a_collector_everything_goes_on(tmp: Path) -> None:
    collector = Collector(tmp, "x")
    with lonet.join("x") as net:
        alpha = net.new_host("α")
        collector.close()
        for _ in range(3):
            alpha.listen().close()
            alpha.mark("nobody hears it")
    with lonet.join("x") as net:  # A socket that nobody listens at.
        assert net._net.reporter is None
        net.new_host("α")


def test_a_port_that_nobody_asked_for_is_told(collector: Collector, alpha: Any) -> None:
    for laddr in ["", ":0", "α:0", ":10"]:
        alpha.listen(laddr).close()
    listens = [record for record in collector.read() if kind_of(record) == "listen"]
    told = [(content(record)["a"], content(record).get("auto")) for record in listens]
    assert told == [("α:1", True), ("α:1", True), ("α:1", True), ("α:10", None)]


def test_marks_that_are_no_unicode(collector: Collector, alpha: Any) -> None:
    alpha.mark("\ud800 \x00 ok")
    assert collector.lines()[-1] == "α mark ? \x00 ok"


def test_many_threads_number_without_gaps(collector: Collector, net: Any, aside: Any) -> None:
    hosts = [net.new_host(f"h{n}") for n in range(4)]
    begin = threading.Barrier(8)

    def work(host: lonet.Host) -> None:
        begin.wait(DEADLINE / 2)
        for _ in range(50):
            host.listen().close()

    for one in [aside(work, host) for host in hosts * 2]:
        while not one.done():
            collector.read()  # A socket holds some hundred lines, then writers wait.
        one.result()
    records = collector.read()
    assert [record["n"] for record in records] == list(range(1, 4 + 8 * 100 + 1))
    # A port is given again only after it was said to be free.
    open_ports: set[str] = set()
    for record in records[4:]:
        addr = content(record)["a"]
        if kind_of(record) == "listen":
            assert addr not in open_ports
            open_ports.add(addr)
        else:
            open_ports.remove(addr)


def test_reporters_are_shared_by_subnetworks(collector: Collector, net: Any) -> None:
    with lonet.join(collector.name) as other:
        assert other._net.reporter is net._net.reporter is Reporter.of(net._net._directory.path)
