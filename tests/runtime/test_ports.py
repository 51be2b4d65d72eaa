import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bzzzd.errors import Conflict, Unavailable
from bzzzd.runtime.ports import Holder, free_port, holder, is_free, listen


@pytest.fixture
def taken() -> Iterator[int]:
    with listen("127.0.0.1", 0) as listener:
        yield listener.getsockname()[1]


def test_a_free_port_is_listened_on() -> None:
    with listen("127.0.0.1", 0) as listener:
        with socket.create_connection(listener.getsockname(), timeout=2):
            pass
        assert listener.getblocking() is False


def test_a_taken_port_names_its_key_and_its_holder(taken: int) -> None:
    with pytest.raises(Conflict) as caught:
        listen("127.0.0.1", taken, key="ports.health_port")
    assert f"port 127.0.0.1:{taken} (ports.health_port) is taken by" in caught.value.message
    assert f"(process {os.getpid()}, " in caught.value.message
    assert caught.value.data["uid"] == os.getuid()
    assert caught.value.data["pid"] == os.getpid()


def test_the_holder_of_a_free_port_is_nobody() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    assert holder(port) is None
    assert is_free("127.0.0.1", port)


def test_a_holder_whose_process_is_unreadable_is_named_by_uid(tmp_path: Path, taken: int) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(Path("/proc/net/tcp").read_text())
    found = holder(taken, proc=tmp_path)
    assert found == Holder(os.getuid())
    assert str(Holder(424242)) == "a program of uid 424242"


def test_an_address_that_is_not_ours_is_said_so() -> None:
    with pytest.raises(Unavailable, match=r"port 192\.0\.2\.1:8071 cannot be opened: .*set network\.bind"):
        listen("192.0.2.1", 8071)


def test_a_free_port_is_found_beside_a_taken_one(taken: int) -> None:
    found = free_port("127.0.0.1", taken)
    assert found != taken
    assert is_free("127.0.0.1", found)


def test_a_wanted_port_is_kept_when_it_is_free() -> None:
    wanted = free_port("127.0.0.1", 0)
    assert wanted > 0
    assert free_port("127.0.0.1", wanted) == wanted
    assert free_port("127.0.0.1", wanted, avoid=[wanted]) != wanted
