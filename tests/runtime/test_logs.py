import io
import json
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from bzzzd.errors import DiskFull, NotFound
from bzzzd.runtime import logs
from bzzzd.runtime.logs import Logs, journald_reads


@dataclass
class Settings:
    level: str = "info"
    format: str = "text"
    file: str = ""


class Set:
    """Logging set up on a text in memory, and taken down again."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.made: list[Logs] = []

    def up(self, **given: str) -> Logs:
        self.made.append(logs.setup(Settings(**given), "bzzzd", environ={}, stream=self.out))
        return self.made[-1]

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


@pytest.fixture
def logging_set() -> Iterator[Set]:
    before = logging.getLogger().level
    made = Set()
    yield made
    for handle in made.made:
        handle.close()
    logging.getLogger().setLevel(before)


def test_events_come_out_as_text(logging_set: Set) -> None:
    logging_set.up()
    structlog.get_logger().info("mesh ready", peers=2)
    assert logging_set.lines[0].endswith("info     mesh ready  peers=2")


def test_events_come_out_as_json(logging_set: Set) -> None:
    logging_set.up(format="json")
    structlog.get_logger().warning("slow", took_s=1.5)
    event = json.loads(logging_set.lines[0])
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "slow", "took_s": 1.5, "level": "warning", "program": "bzzzd"}


def test_levels_below_the_configured_one_are_left_out(logging_set: Set) -> None:
    logging_set.up(level="warning")
    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet too")
    structlog.get_logger().error("loud")
    assert len(logging_set.lines) == 1


def test_libraries_come_out_the_same_way_from_any_thread(logging_set: Set) -> None:
    logging_set.up()
    thread = threading.Thread(target=lambda: logging.getLogger("library").warning("peer %s", "12D3"))
    thread.start()
    thread.join()
    assert logging_set.lines[0].endswith("warning  peer 12D3  logger=library")


def test_what_chatty_libraries_call_information_is_left_out(logging_set: Set) -> None:
    logging_set.up()
    logging.getLogger("libp2p.host").info("dialing")
    assert logging_set.lines == []


def test_an_exception_is_written_with_its_traceback(logging_set: Set) -> None:
    logging_set.up()
    try:
        raise LookupError("gone")
    except LookupError:
        structlog.get_logger().exception("reading failed")
        logging.getLogger("library").exception("and here")
    text = logging_set.out.getvalue()
    assert text.count("LookupError: gone") == 2
    assert text.count("Traceback") == 2


def test_secrets_are_redacted_on_every_way(logging_set: Set) -> None:
    handle = logging_set.up()
    structlog.get_logger().info("config", api_key="sk-1")
    logging.getLogger("library").warning("using AGE-SECRET-KEY-1ABCDEF")
    everything = logging_set.out.getvalue() + "\n".join(handle.tail())
    assert "sk-1" not in everything
    assert "AGE-SECRET-KEY-1" not in everything


def test_context_is_bound_to_every_event(logging_set: Set) -> None:
    logging_set.up()
    with structlog.contextvars.bound_contextvars(task_id="t1"):
        structlog.get_logger().info("claimed")
    assert logging_set.lines[0].endswith("claimed  task_id=t1")


def test_the_last_lines_stay_in_memory(logging_set: Set) -> None:
    handle = logging_set.up()
    for number in range(5):
        structlog.get_logger().info("line", number=number)
    assert [line[-1] for line in handle.tail(2)] == ["3", "4"]
    assert handle.tail(0) == []


def test_lines_are_followed_by_their_number(logging_set: Set) -> None:
    handle = logging_set.up()
    for number in range(5):
        structlog.get_logger().info("line", number=number)
    lines, newest = handle.since(100, 3)
    assert ([line[-1] for line in lines], newest) == (["3", "4"], 5)
    assert handle.since(100, 5) == ([], 5)
    assert len(handle.since(100, 77)[0]) == 5, "a number from before a restart gives all there is"


def test_a_file_gets_the_same_events(logging_set: Set, tmp_path: Path) -> None:
    logging_set.up(file=str(tmp_path / "bzzzd.log"))
    structlog.get_logger().info("mesh ready")
    assert "mesh ready" in (tmp_path / "bzzzd.log").read_text()


def test_a_reader_that_has_gone_stops_nothing(logging_set: Set) -> None:
    logging_set.up()
    logging_set.out.close()
    structlog.get_logger().info("to nobody")
    logging_set.out = io.StringIO()


def test_journald_is_used_only_when_it_reads_this_stream(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        status = os.fstat(stream.fileno())
        assert journald_reads(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert not journald_reads(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not journald_reads(stream, {"JOURNAL_STREAM": "nonsense"})
        assert not journald_reads(stream, {})
    assert not journald_reads(io.StringIO(), {"JOURNAL_STREAM": "1:2"})


def test_an_error_is_logged_by_its_message_and_its_code(logging_set: Set) -> None:
    logging_set.up(format="json")
    structlog.get_logger().warning("not kept", why=DiskFull("no space left"))
    structlog.get_logger().error("crashed", exc_info=LookupError("gone"))
    logging.getLogger("library").error("called", exc_info=NotFound("no such task"))
    structlog.get_logger().info("tried", why=OSError("no route"))
    events = [json.loads(line) for line in logging_set.lines]
    assert events[0]["why"] == "no space left"
    assert [event.get("error_code") for event in events] == ["DISK_FULL", "FAILED", "NOT_FOUND", None]
    assert events[3]["why"] == "no route"
