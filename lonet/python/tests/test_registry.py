"""The network's directory, its registry, and who is alive."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from conftest import VECTORS

import lonet
from lonet.registry import Liveness, NetworkDir
from lonet.registry.opened import OpenDir
from lonet.registry.sweep import sweep

ROOT = os.geteuid() == 0


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_modes_whatever_the_umask(umask: int, tmp: Path) -> None:
    before = os.umask(umask)
    try:
        net = lonet.join("x")
    finally:
        os.umask(before)
    assert mode_of(tmp / "lonet") == 0o1777
    assert mode_of(tmp / "lonet" / "x") == 0o700
    net.close()


def test_nobody_sees_the_base_with_a_wrong_mode(tmp: Path, monkeypatch: Any) -> None:
    seen: list[int] = []
    rename = os.rename

    def spy(source: str, target: str) -> None:
        seen.append(mode_of(Path(source)))
        rename(source, target)

    monkeypatch.setattr(os, "rename", spy)
    lonet.join("x").close()
    assert seen == [0o1777]


def test_a_base_that_locks_others_out_is_repaired(tmp: Path) -> None:
    (tmp / "lonet").mkdir(mode=0o755)
    lonet.join("x").close()
    assert mode_of(tmp / "lonet") == 0o1777


@pytest.mark.parametrize("mode", [0o500, 0o0, 0o1700, 0o2700])
def test_a_directory_that_is_open_to_nobody_else_is_repaired(mode: int, tmp: Path) -> None:
    lonet.join("x").close()
    (tmp / "lonet" / "x").chmod(mode)
    lonet.join("x").close()
    assert mode_of(tmp / "lonet" / "x") == 0o700


@pytest.mark.parametrize("umask", [0o777, 0o377])
def test_files_have_their_modes_whatever_the_umask(umask: int, tmp: Path) -> None:
    before = os.umask(umask)
    try:
        with lonet.join("x") as net:
            net.new_host("α")
            files = list((tmp / "lonet" / "x").iterdir())
            assert len(files) == 4
            for file in files:
                assert mode_of(file) & 0o600 == 0o600, file
    finally:
        os.umask(before)


def hostile(tmp: Path, layout: str) -> None:
    base, directory = tmp / "lonet", tmp / "lonet" / "x"
    if layout == "base is a link":
        (tmp / "elsewhere").mkdir()
        base.symlink_to(tmp / "elsewhere")
    elif layout == "base is a file":
        base.write_text("")
    elif layout == "base is another's":
        base.mkdir(mode=0o755)
        os.chown(base, 12345, 12345)
    else:
        base.mkdir()
        base.chmod(0o1777)
        if layout == "link":
            (tmp / "elsewhere").mkdir(mode=0o700)
            directory.symlink_to(tmp / "elsewhere")
        elif layout == "file":
            directory.write_text("")
        elif layout == "another's":
            directory.mkdir(mode=0o700)
            os.chown(directory, 12345, 12345)
        else:
            directory.mkdir()
            directory.chmod(int(layout, 8))


@pytest.mark.parametrize(
    ("layout", "rule"),
    [
        ("base is a link", "is a symbolic link; it must be a directory"),
        ("base is a file", "is not a directory"),
        ("base is another's", "belongs to uid 12345 and has mode 0755"),
        ("link", "is a symbolic link; a network's directory must be none"),
        ("file", "is not a directory"),
        ("another's", "belongs to uid 12345; the directory of a network that"),
        ("0777", r"is open to other users \(mode 0777\); it must be 0700"),
        ("0710", r"is open to other users \(mode 0710\)"),
        ("0701", r"is open to other users \(mode 0701\)"),
    ],
)
def test_hostile_layouts_are_refused(layout: str, rule: str, tmp: Path) -> None:
    if "another" in layout and not ROOT:
        pytest.skip("only root can give a directory away")
    hostile(tmp, layout)
    before = sorted(tmp.rglob("*"))
    with pytest.raises(lonet.DirectoryError, match=rf"^join lonetx: {tmp}/lonet(/x)? {rule}"):
        lonet.join("x")
    assert sorted(tmp.rglob("*")) == before


def test_a_directory_for_temporary_files_may_have_any_name(
    tmp: Path, monkeypatch: Any, aside: Any
) -> None:
    odd = os.fsdecode(os.fsencode(tmp) + b"/odd \xff?mode=ro#%41")
    os.mkdir(odd)
    monkeypatch.setenv("TMPDIR", odd)
    with lonet.join("x") as net:
        host = net.new_host("α")
        with host.listen(":10") as listener:
            accepted = aside(listener.accept)
            host.dial("α:10").close()
            accepted.result().close()
    os.chmod(os.path.join(odd, "lonet", "x"), 0o755)
    with pytest.raises(lonet.DirectoryError) as refused:
        lonet.join("x")
    shown = f"{tmp}/odd \ufffd?mode=ro#%41/lonet/x is open to other users (mode 0755)"
    assert str(refused.value) == f"join lonetx: {shown}; it must be 0700"


def test_the_schema_is_the_same_everywhere() -> None:
    ours = Path(lonet.__file__).with_name("registry") / "schema.sql"
    theirs = VECTORS.parents[1] / "src" / "registry" / "schema.sql"
    assert ours.read_text("utf-8") == theirs.read_text("utf-8")


def rows(path: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(path / "registry.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_what_the_originals_see(tmp: Path) -> None:
    with lonet.join("x") as net:
        net.new_host("α")
        net.new_host("β").close()
        path = tmp / "lonet" / "x"
        meta = dict(rows(path, "SELECT name, value FROM meta"))
        assert meta == {"schemaver": "lonet.1", "network": "x"}
        host, port = net._net.acceptor.address
        assert rows(path, "SELECT * FROM hosts") == [("α", f"{host}:{port}")]
        assert host.startswith("127.")
    assert rows(path, "SELECT * FROM hosts") == []
    assert sorted(p.name for p in path.iterdir()) == ["here", "registry.db", "writer"]


@pytest.mark.parametrize(("row", "value"), [("schemaver", "lonet.2"), ("network", "y")])
def test_another_registry_is_refused(row: str, value: str, tmp: Path) -> None:
    lonet.join("x").close()
    connection = sqlite3.connect(tmp / "lonet" / "x" / "registry.db")
    connection.execute("UPDATE meta SET value = ? WHERE name = ?", (value, row))
    connection.commit()
    connection.close()
    with pytest.raises(lonet.RegistryError) as error:
        lonet.join("x")
    assert f'"{value}"' in str(error.value)
    assert ('"lonet.1"' if row == "schemaver" else '"x"') in str(error.value)


def test_a_registry_of_an_original_in_wal_mode(tmp: Path) -> None:
    lonet.join("x").close()
    path = tmp / "lonet" / "x" / "registry.db"
    original = sqlite3.connect(path, isolation_level=None)
    original.execute("PRAGMA journal_mode = WAL")
    original.execute("INSERT INTO hosts VALUES ('γ', '127.0.0.1:1')")
    with lonet.join("x") as net:
        alpha = net.new_host("α")
        with pytest.raises(lonet.ConnectionRefused):
            alpha.dial("γ:1")  # Refused at its address: dead.
        net.new_host("γ")
    original.close()


def test_an_original_that_lives_keeps_its_name(tmp: Path) -> None:
    with lonet.join("x") as net, socket.socket() as original:
        original.bind(("127.0.0.1", 0))
        original.listen()
        connection = sqlite3.connect(tmp / "lonet" / "x" / "registry.db")
        osladdr = f"127.0.0.1:{original.getsockname()[1]}"
        connection.execute("INSERT INTO hosts VALUES ('γ', ?)", (osladdr,))
        connection.commit()
        connection.close()
        with pytest.raises(lonet.HostExists):
            net.new_host("γ")


@pytest.mark.parametrize(
    "osladdr",
    ["10.0.0.1:80", "127.0.0.1", "127.1:80", "x", "127.0.0.1:0", "127.255.255.255:9"],
)
def test_addresses_off_loopback_are_refused(osladdr: str, tmp: Path) -> None:
    with lonet.join("x") as net:
        connection = sqlite3.connect(tmp / "lonet" / "x" / "registry.db")
        connection.execute("INSERT INTO hosts VALUES ('γ', ?)", (osladdr,))
        connection.commit()
        connection.close()
        alpha = net.new_host("α")
        with pytest.raises(lonet.RegistryError, match="legal are addresses 127.x.y.z:port only"):
            alpha.dial("γ:1")
        assert len(alpha._state.ports) == 0


@pytest.mark.parametrize("content", [b"no database, but long enough to be one" * 99, b"x" * 512])
def test_a_damaged_registry_names_the_file(content: bytes, tmp: Path) -> None:
    lonet.join("x").close()
    path = tmp / "lonet" / "x" / "registry.db"
    path.write_bytes(content)
    with pytest.raises(lonet.RegistryError, match=f"registry {path} is damaged, or no registry"):
        lonet.join("x")
    assert path.read_bytes() == content


def test_a_registry_that_is_no_file(tmp: Path) -> None:
    lonet.join("x").close()
    path = tmp / "lonet" / "x" / "registry.db"
    path.unlink()
    path.symlink_to(tmp / "elsewhere")
    with pytest.raises(lonet.RegistryError, match="is not a regular file"):
        lonet.join("x")
    assert not (tmp / "elsewhere").exists()


def test_the_last_one_out_removes_a_random_network(tmp: Path) -> None:
    first = lonet.join("")
    second = lonet.join(first.name)
    path = tmp / "lonet" / first.name
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()
    lonet.join("named").close()
    assert (tmp / "lonet" / "named").exists()


def test_what_a_kill_left_is_swept(program: Any, tmp: Path) -> None:
    child = program(
        "import lonet, sys; n = lonet.join(''); n.new_host('α'); print(n.name, flush=True); input()"
    )
    path = tmp / "lonet" / child.says()
    with lonet.join("") as living:
        sweep(OpenDir.open(str(tmp / "lonet")))
        assert path.exists()
        child.kill()
        sweep(OpenDir.open(str(tmp / "lonet")))
        assert not path.exists()
        assert (tmp / "lonet" / living.name).exists()
        living.new_host("α")


def test_joining_races_removing(tmp: Path, aside: Any) -> None:
    def rounds() -> None:
        for _ in range(30):
            with lonet.join("r-000000000000") as net:
                host = net.new_host(f"h{os.urandom(4).hex()}")
                host.listen()
                host.close()

    for work in [aside(rounds) for _ in range(4)]:
        work.result()
    assert list((tmp / "lonet").iterdir()) == []


def test_a_name_that_cannot_be_withdrawn_now_is_free_soon(
    net: lonet.SubNetwork, tmp: Path, monkeypatch: Any
) -> None:
    second = lonet.join(net.name)
    hosts = [net.new_host(name) for name in "αβγ"]
    registry = net._net.registry
    with monkeypatch.context() as patch:
        patch.setattr(registry._database, "withdraw", _fails)
        hosts[0].close()
        hosts[1].close()
    # Whoever gave it back can have it at once; what was not given back stays.
    net.new_host("α")
    while True:
        try:
            second.new_host("β")
            break
        except lonet.HostExists:
            pass
    for name in "αγ":
        with pytest.raises(lonet.HostExists):
            second.new_host(name)
    second.close()


def _fails(*_: object) -> None:
    raise lonet.RegistryError("it is busy")


def test_later_joins_remove_leases_of_who_was_killed_without_a_host(tmp: Path) -> None:
    living = lonet.join("x")
    directory = tmp / "lonet" / "x"
    kept = {path.name for path in directory.glob("lease-*")} | {"lease-127.9.9.9:7"}
    for i in range(1, 21):
        (directory / f"lease-127.9.9.9:{i}").touch()
    with sqlite3.connect(directory / "registry.db") as rows:
        rows.execute("INSERT INTO hosts VALUES ('β', '127.9.9.9:7')")
    for _ in range(100):
        lonet.join("x").close()
    assert {path.name for path in directory.glob("lease-*")} == kept
    with pytest.raises(lonet.ConnectionRefused):
        living.new_host("α").dial("β:1")
    living.close()


def test_a_dead_process_leaves_its_names(program: Any) -> None:
    code = """
        import lonet, sys
        net = lonet.join(sys.argv[1])
        hosts = [net.new_host(name) for name in "αβ"]
        listener = hosts[0].listen(":10")
        print("up", flush=True)
        input()
    """
    with lonet.join("x") as net:
        gamma = net.new_host("γ")
        for _ in range(3):
            child = program(code, "x")
            assert child.says() == "up"
            with pytest.raises(lonet.HostExists):
                net.new_host("α")
            child.kill()
            with pytest.raises(lonet.ConnectionRefused):
                gamma.dial("α:10")
            net.new_host("α").close()
            net.new_host("β").close()


@pytest.mark.parametrize("manner", ["silent", "garbage", "echo"])
def test_a_stranger_on_a_dead_hosts_port(manner: str, program: Any, aside: Any) -> None:
    child = program(
        """
        import lonet
        net = lonet.join("x")
        net.new_host("α").listen(":10")
        print(*net._net.acceptor.address, flush=True)
        input()
        """
    )
    ip, port = child.says().split()
    child.kill()
    with lonet.join("x") as net, socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind((ip, int(port)))
        stranger.listen()
        stranger.settimeout(0)
        beta = net.new_host("β")
        with pytest.raises(lonet.ConnectionRefused):
            beta.dial("α:10")
        with pytest.raises(BlockingIOError):
            stranger.accept()  # It was not even asked.
        assert net._net.registry.alive((ip, int(port))) is Liveness.DEAD


def test_one_name_goes_to_one_of_many(program: Any) -> None:
    code = """
        import lonet
        input()
        net = lonet.join("x")
        try:
            net.new_host("α")
            print("mine", flush=True)
        except lonet.HostExists:
            print("taken", flush=True)
        input()
    """
    for _ in range(3):
        children = [program(code) for _ in range(6)]
        for child in children:
            child.tell()
        assert sorted(child.says() for child in children) == ["mine"] + ["taken"] * 5
        for child in children:
            child.kill()


def test_first_joins_at_once(program: Any) -> None:
    """Every process joins a network that is not there yet, and dials every other."""
    code = """
        import lonet, sys, threading
        me, count = int(sys.argv[1]), int(sys.argv[2])
        input()
        host = lonet.join("x").new_host(f"h{me}")
        listener = host.listen(":10")
        print("up", flush=True)
        input()
        others = [n for n in range(count) if n != me]
        def dial():
            for n in others:
                with host.dial(f"h{n}:10") as connection:
                    connection.sendall(b"%d" % me)
        dialing = threading.Thread(target=dial)
        dialing.start()
        heard = []
        for _ in others:
            with listener.accept() as connection:
                heard.append(int(connection.makefile("rb").read()))
        dialing.join()
        assert sorted(heard) == others, heard
        print("done", flush=True)
    """
    count = 10
    children = [program(code, str(n), str(count)) for n in range(count)]
    for told in ("up", "done"):
        for child in children:
            child.tell()
        assert [child.says() for child in children] == [told] * count
    for child in children:
        assert child.done() == ""


def test_a_stopped_process_does_not_hold_others_up_for_ever(tmp: Path) -> None:
    """Whoever finds a lock held for ever says which, and by what kind of process."""
    from lonet.registry import directory

    holder = NetworkDir.open("x")
    patience, directory._PATIENCE = directory._PATIENCE, 0
    try:
        with holder.writer(), pytest.raises(lonet.RegistryError, match="/x/writer has been locked"):
            lonet.join("x")
    finally:
        directory._PATIENCE = patience
        holder.close()
    lonet.join("x").close()
    shutil.rmtree(tmp / "lonet")
