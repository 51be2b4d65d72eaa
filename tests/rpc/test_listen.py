"""The socket's file: permissions from the first instant, stale and live ones, and every way a path can be wrong."""

from __future__ import annotations

import grp
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bzzzd.errors import AlreadyRunning, BzzzError, ConfigInvalid
from bzzzd.rpc import listen
from bzzzd.rpc.listen import MAX_PATH, bind

from .harness import Bench


def test_only_owner_and_group_can_open_it_from_the_first_instant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    lstat = Path.lstat

    def watching(path: Path) -> os.stat_result:
        found = lstat(path)
        seen.append(stat.S_IMODE(found.st_mode))
        return found

    before = os.umask(0)
    try:
        monkeypatch.setattr(Path, "lstat", watching)
        bound = bind(tmp_path / "s", group=grp.getgrgid(os.getgid()).gr_name)
        monkeypatch.undo()
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert set(seen) == {0o660}
    bound.sock.close()
    bound.remove()
    assert not bound.path.exists()
    narrow = bind(tmp_path / "s", mode=0o600)
    assert stat.S_IMODE(narrow.path.stat().st_mode) == 0o600
    narrow.sock.close()


def test_the_stale_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    program = f"import socket; s = socket.socket(socket.AF_UNIX); s.bind({str(path)!r}); s.listen()"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert path.exists()
    bound = bind(path)
    bound.sock.listen()
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(path))
    bound.sock.close()


def test_a_live_socket_is_refused_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = bind(path)
    first.sock.listen()
    with pytest.raises(AlreadyRunning, match=f"held by process {os.getpid()}") as caught:
        bind(path)
    assert caught.value.data["pid"] == os.getpid()
    assert path.exists()
    first.sock.close()


def test_a_live_socket_with_a_full_queue_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = bind(path)
    first.sock.listen(0)
    waiting = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in range(4)]
    for sock in waiting:
        sock.connect_ex(str(path))
    with pytest.raises(AlreadyRunning, match="a live process"):
        bind(path)
    for sock in (*waiting, first.sock):
        sock.close()


def test_a_path_has_room_up_to_its_limit_and_not_beyond(tmp_path: Path) -> None:
    room = MAX_PATH - len(os.fsencode(tmp_path)) - 1
    bind(tmp_path / ("x" * room)).sock.close()
    with pytest.raises(ConfigInvalid, match="has 108 bytes and a unix socket's has at most 107") as caught:
        bind(tmp_path / ("x" * (room + 1)))
    assert caught.value.exit_status == 2
    assert not (tmp_path / ("x" * (room + 1))).exists()


def test_paths_that_cannot_be_used_are_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigInvalid, match="is missing; make it with: mkdir -p"):
        bind(tmp_path / "none" / "s")
    with pytest.raises(ConfigInvalid, match="is no folder"):
        bind(tmp_path / "file" / "s")
    with pytest.raises(ConfigInvalid, match="exists and is no socket"):
        bind(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(ConfigInvalid, match="sudo groupadd --system nosuchgroup"):
        bind(tmp_path / "s", group="nosuchgroup")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("number", "words"), [(13, "no right to use"), (30, "read-only file system"), (98, "second bzzzd"), (5, "cannot")]
)
def test_what_the_system_refuses_is_explained(tmp_path: Path, number: int, words: str) -> None:
    error = listen._unusable(tmp_path / "s", OSError(number, os.strerror(number)))
    assert words in error.message


def test_a_group_that_we_may_not_give_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    other = next(group for group in grp.getgrall() if group.gr_gid not in (os.getgid(), tmp_path.stat().st_gid))
    with pytest.raises(ConfigInvalid, match="must be a member of it"):
        bind(tmp_path / "s", group=other.gr_name)
    assert not (tmp_path / "s").exists()


def test_a_file_that_somebody_put_in_its_place_is_left_alone(tmp_path: Path) -> None:
    bound = bind(tmp_path / "s")
    bound.path.unlink()
    bound.remove()
    bound.path.write_text("theirs")
    bound.remove()
    assert bound.path.read_text() == "theirs"
    bound.sock.close()


async def test_a_second_server_on_the_path_is_refused_and_the_first_serves_on(
    bench: Bench, make_bench: Callable[..., Bench]
) -> None:
    with pytest.raises(BzzzError, match="is held by process"):
        await make_bench().serve()
    async with bench.client() as client:
        assert await client.call("add", {"left": 1}) == {"sum": 1}


async def test_the_file_goes_with_the_server(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    await bench.serve()
    assert bench.path.is_socket()
    await bench.server.close()
    assert not bench.path.exists()
