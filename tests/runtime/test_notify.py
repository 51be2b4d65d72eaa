import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bzzzd.runtime.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(2)
        yield listener


def _environ(listener: socket.socket, **more: str) -> dict[str, str]:
    name = listener.getsockname()
    address = "@" + name[1:].decode() if isinstance(name, bytes) else name
    return {"NOTIFY_SOCKET": address, **more}


def test_the_manager_hears_ready_status_and_stopping(manager: socket.socket) -> None:
    notifier = Notifier(_environ(manager))
    notifier.ready("mesh listening\non 127.0.0.1")
    notifier.status("3 peers")
    notifier.extend(1.5)
    notifier.stopping()
    assert [manager.recv(200).decode() for _ in range(4)] == [
        "READY=1\nSTATUS=mesh listening on 127.0.0.1",
        "STATUS=3 peers",
        "EXTEND_TIMEOUT_USEC=1500000",
        "STOPPING=1\nSTATUS=stopping",
    ]
    notifier.close()


def test_an_abstract_socket_works_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0bzzz-test-{os.getpid()}")
        listener.settimeout(2)
        notifier = Notifier(_environ(listener))
        notifier.alive()
        assert listener.recv(200) == b"WATCHDOG=1"
        notifier.close()


def test_the_variables_are_taken_away_from_children(manager: socket.socket) -> None:
    environ = _environ(manager, WATCHDOG_USEC="1000000", WATCHDOG_PID=str(os.getpid()), HOME="/")
    Notifier(environ).close()
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "relative"}])
def test_without_a_manager_every_call_does_nothing(environ: dict[str, str]) -> None:
    notifier = Notifier(dict(environ))
    notifier.ready()
    notifier.close()


def test_a_manager_that_went_away_is_no_error(manager: socket.socket) -> None:
    notifier = Notifier(_environ(manager))
    manager.close()
    notifier.alive()
    notifier.close()


async def test_the_watchdog_reports_life_at_half_its_time(manager: socket.socket) -> None:
    notifier = Notifier(_environ(manager, WATCHDOG_USEC="20000"))
    assert notifier.interval_s == 0.01
    task = asyncio.create_task(notifier.watchdog(lambda: ""))
    heard = [await asyncio.to_thread(manager.recv, 200) for _ in range(3)]
    task.cancel()
    assert heard == [b"WATCHDOG=1"] * 3
    notifier.close()


async def test_an_unhealthy_process_does_not_report_life(manager: socket.socket) -> None:
    notifier = Notifier(_environ(manager, WATCHDOG_USEC="20000"))
    task = asyncio.create_task(notifier.watchdog(lambda: "mesh: the thread ended"))
    heard = [await asyncio.to_thread(manager.recv, 200) for _ in range(3)]
    task.cancel()
    assert heard == [b"STATUS=unhealthy: mesh: the thread ended"] * 3
    notifier.close()


async def test_a_watchdog_meant_for_another_process_is_not_ours(manager: socket.socket) -> None:
    notifier = Notifier(_environ(manager, WATCHDOG_USEC="20000", WATCHDOG_PID="1"), pid=2)
    assert notifier.interval_s == 0
    await asyncio.wait_for(notifier.watchdog(lambda: ""), 1)
    notifier.close()
