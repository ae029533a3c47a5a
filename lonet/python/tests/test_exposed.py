"""A base directory that belongs to another user, who may rename what lies in it at any moment.

Only root can make a directory that belongs to another user: others show nothing here.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import lonet
from lonet.registry import sqlite
from lonet.registry.opened import OpenDir
from lonet.registry.sqlite import Database
from lonet.registry.sweep import sweep

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")

ROUNDS = 1000 if os.environ.get("LONET_FULL") == "1" else 100


def look(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


@pytest.fixture
def outside(tmp: Path) -> Path:
    """What a careless process would write to in place of the network ``x``. The base directory is
    another user's from now on."""
    lonet.join("x").close()
    directory = tmp / "outside"
    directory.mkdir(mode=0o700)
    for file in ("here", "writer", "random"):
        (directory / file).touch()
    shutil.copy(tmp / "lonet" / "x" / "registry.db", directory)
    os.chown(tmp / "lonet", 54321, -1)
    return directory


def test_a_network_whose_path_leads_elsewhere_goes_on(tmp: Path, outside: Path) -> None:
    """The journal is a file that SQLite opens by its path, each time."""
    before = look(outside)
    path, aside = tmp / "lonet" / "x", tmp / "lonet" / "aside"
    with lonet.join("x") as net:
        path.rename(aside)
        path.symlink_to(outside)
        host = net.new_host("α")
        with host.listen(":10"):
            assert look(outside) == before
    assert look(outside) == before
    assert sorted(look(aside)) == ["here", "registry.db", "writer"]


def test_a_registry_elsewhere_is_not_taken_for_ours(
    tmp: Path, outside: Path, monkeypatch: Any
) -> None:
    """What the kernel says of a removed directory is a path that somebody else can make."""
    before = look(outside)
    path = tmp / "lonet" / "y"
    path.mkdir()
    directory = OpenDir.open(str(path))
    path.rmdir()
    (tmp / "lonet" / "y (deleted)").symlink_to(outside)
    monkeypatch.setattr(sqlite, "_PATIENCE", 0.005)
    with pytest.raises(lonet.RegistryError, match="leads elsewhere"):
        Database(directory, True, "x")
    assert look(outside) == before


def test_the_owner_of_the_base_directory_can_turn_nothing_against_us(
    tmp: Path, outside: Path
) -> None:
    """A join may fail there. It does no harm."""
    base, before = tmp / "lonet", look(outside)
    live = lonet.join("")
    live.new_host("α")
    path = base / live.name
    (path / "precious").write_text("data")
    held = OpenDir.open(str(path))
    done = threading.Event()

    def attempt(call: Any, *args: Any) -> bool:
        try:
            call(*args)
        except OSError:
            return False
        return True

    def swap() -> None:
        here, aside = base / "x", base / ".aside"
        while not done.is_set():
            if attempt(here.rename, aside):
                attempt(here.symlink_to, outside)
                time.sleep(random.random() / 1000)
                attempt(here.unlink)
                attempt(aside.rename, here)

    def rename() -> None:
        # As what a killed remover left behind.
        gone = base / ".gone-abcdefabcdef"
        while not done.is_set():
            attempt(path.rename, gone)
            time.sleep(random.random() / 1000)
            attempt(gone.rename, path)

    threads = [threading.Thread(target=work) for work in (swap, rename)]
    for thread in threads:
        thread.start()
    joined = 0
    try:
        for turn in range(100 * ROUNDS):
            # How often the directory is in its place is a matter of time.
            if turn >= ROUNDS and joined > 0:
                break
            try:
                with lonet.join("x") as net:
                    net.new_host("β")
                    joined += 1
            except lonet.Error:
                pass
            sweep(OpenDir.open(str(base)))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert look(outside) == before
    # Wherever it is by now.
    assert Path(held.at("precious")).read_text() == "data"
    assert "here" in held.names()
    assert joined > 0
    live.close()
