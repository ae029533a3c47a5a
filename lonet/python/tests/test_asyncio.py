"""The asyncio face."""

from __future__ import annotations

import asyncio
from typing import Any, Coroutine

import pytest
from conftest import DEADLINE, wait_for_callers

import lonet


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, DEADLINE / 2), debug=True)


async def echo_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async for line in reader:
        writer.write(line.upper())
        await writer.drain()
    writer.close()


def test_streams(alpha: Any, beta: Any) -> None:
    async def main() -> None:
        async with await alpha.start_server(echo_lines, ":10") as server:
            assert str(server.addr) == "α:10" and server.is_serving()
            reader, writer = await beta.open_connection("α:10")
            assert (str(writer.local_addr), str(writer.peer_addr)) == ("β:1", "α:1")
            writer.writelines([b"one\n", b"two\n"])
            assert await reader.readline() == b"ONE\n"
            assert await reader.readexactly(2) == b"TW"
            writer.write(b"three")
            writer.write_eof()
            assert await reader.readuntil(b"E") == b"O\nTHRE"
            assert await reader.read() == b"E"
            assert await reader.read() == b"" and reader.at_eof()
            writer.close()
            await writer.wait_closed()
        assert not server.is_serving()
        with pytest.raises(lonet.ConnectionRefused):
            await beta.open_connection("α:10")

    run(main())
    assert len(alpha._state.ports) == len(beta._state.ports) == 0


def test_with_blocking_peers(alpha: Any, beta: Any, aside: Any) -> None:
    async def main() -> None:
        async with await alpha.start_server(echo_lines, ":10"):
            def ask() -> bytes:
                with beta.dial("α:10") as connection:
                    connection.sendall(b"hello\n")
                    return connection.recv(6)

            assert await asyncio.wrap_future(aside(ask)) == b"HELLO\n"
        listener = beta.listen(":10")
        accepting = aside(listener.accept)
        reader, writer = await alpha.open_connection("β:10")
        with accepting.result() as accepted:
            accepted.sendall(b"x")
        assert await reader.read() == b"x"
        writer.close()
        await writer.wait_closed()

    run(main())


def test_many_at_once(alpha: Any, beta: Any) -> None:
    async def ask(n: int) -> None:
        reader, writer = await beta.open_connection("α:10")
        writer.write(b"%d\n" % n)
        assert await reader.readline() == b"%d\n" % n
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        async with await alpha.start_server(echo_lines, ":10"):
            await asyncio.gather(*(ask(n) for n in range(100)))

    run(main())
    assert len(beta._state.ports) == 0


def test_a_cancelled_dial(alpha: Any, beta: Any) -> None:
    async def main() -> None:
        listener = alpha.listen(":10")
        for _ in range(20):
            dial = asyncio.ensure_future(beta.open_connection("α:10"))
            await asyncio.get_running_loop().run_in_executor(None, wait_for_callers, listener, 1)
            dial.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dial
            assert len(beta._state.ports) == 0
            with pytest.raises(lonet.TimedOut):
                listener.accept(timeout=0)

    run(main())


def test_a_dial_cancelled_at_any_moment(alpha: Any, beta: Any) -> None:
    async def main() -> None:
        async with await alpha.start_server(echo_lines, ":10"):
            for turns in range(12):
                dial = asyncio.ensure_future(beta.open_connection("α:10"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                dial.cancel()
                try:
                    _, writer = await dial
                    writer.close()
                except asyncio.CancelledError:
                    pass
                assert len(beta._state.ports) == 0

    run(main())


def test_a_cancelled_accept_takes_nobody(alpha: Any, beta: Any) -> None:
    async def main() -> None:
        server = await alpha.start_server(echo_lines, ":10")
        await asyncio.sleep(0)
        server._serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server._serving
        dial = asyncio.ensure_future(beta.open_connection("α:10"))
        await asyncio.get_running_loop().run_in_executor(
            None, wait_for_callers, server._listener, 1
        )
        server.close()
        with pytest.raises(lonet.ConnectionRefused):
            await dial

    run(main())


@pytest.mark.parametrize("what", ["subnetwork", "host"])
def test_closing_wakes_whoever_waits(what: str, net: Any, alpha: Any, beta: Any) -> None:
    error = lonet.NetworkDown if what == "subnetwork" else lonet.HostDown

    async def main() -> None:
        server = await alpha.start_server(echo_lines, ":10")
        reader, writer = await beta.open_connection("α:10")
        idle = beta.listen(":9")
        reading = asyncio.ensure_future(reader.read(1))
        dial = asyncio.ensure_future(beta.open_connection("β:9"))
        await asyncio.get_running_loop().run_in_executor(None, wait_for_callers, idle, 1)
        net.close() if what == "subnetwork" else beta.close()
        with pytest.raises(error):
            await reading
        with pytest.raises(error):
            await dial
        with pytest.raises(error):
            writer.write(b"x")
        with pytest.raises(error):
            await reader.read(1)
        server.close()
        await server.wait_closed()

    run(main())


def test_closed_writers(beta: Any, alpha: Any) -> None:
    async def main() -> None:
        async with await alpha.start_server(echo_lines, ":10"):
            reader, writer = await beta.open_connection("α:10")
            writer.close()
            with pytest.raises(lonet.SocketDown):
                writer.write(b"x")
            assert str(beta.listen().addr) == "β:1"  # Free at once.
            await writer.wait_closed()

    run(main())


def test_a_handler_that_fails_is_told_and_closed(alpha: Any, beta: Any) -> None:
    told: list[Any] = []

    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise RuntimeError("no")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with await alpha.start_server(fail, ":10"):
            reader, writer = await beta.open_connection("α:10")
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    run(main())
    assert [str(context["exception"]) for context in told] == ["no"]


def test_a_short_stream(alpha: Any, beta: Any) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"abc")
        writer.close()

    async def main() -> None:
        async with await alpha.start_server(answer, ":10"):
            reader, writer = await beta.open_connection("α:10")
            with pytest.raises(asyncio.IncompleteReadError) as short:
                await reader.readexactly(5)
            assert short.value.partial == b"abc"
            writer.close()
            await writer.wait_closed()

    run(main())
