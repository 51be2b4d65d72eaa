import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bzzzd.config.roles import default_roles
from bzzzd.config.schema import BinaryType, empty
from bzzzd.config.settings import Surroundings, settle
from bzzzd.runtime.limits import MIB, Limits, MemoryWatch, resident_bytes, tune_gc

AROUND = Surroundings({}, "atlas", "alice", Path("/home/alice"))


def _limits(kind: BinaryType, **given: object) -> Limits:
    config = empty(kind)
    config = msgspec.structs.replace(config, limits=msgspec.structs.replace(config.limits, **given))
    settings = settle(
        config, instance="", around=AROUND, roles=default_roles(), path=Path("x.yaml"), found=True,
        roles_path=Path("roles.yaml"), roles_found=True, socket=None,
    )  # fmt: skip
    return Limits.of(settings)


@pytest.mark.parametrize(
    ("kind", "size", "seconds"), [("daemon", MIB, 5.0), ("agent", MIB, 5.0), ("hap", MIB // 2, 30.0)]
)
def test_each_kind_of_process_has_its_own_message_limits(kind: BinaryType, size: int, seconds: float) -> None:
    limits = _limits(kind)
    assert (limits.max_message_bytes, limits.message_timeout_s) == (size, seconds)


def test_a_portal_is_more_sparing_than_an_agent() -> None:
    portal, agent = _limits("hap"), _limits("agent")
    assert portal.memory_mb <= agent.memory_mb / 2
    assert portal.gc_thresholds < agent.gc_thresholds


def test_the_configuration_wins() -> None:
    limits = _limits("agent", max_message_bytes=1000, message_timeout_s=2.5, memory_mb=64)
    assert (limits.max_message_bytes, limits.message_timeout_s, limits.memory_mb) == (1000, 2.5, 64)


@pytest.fixture
def _gc_as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("_gc_as_before")
def test_tuning_freezes_what_exists_and_sets_the_thresholds() -> None:
    limits = _limits("agent")
    tune_gc(limits)
    assert gc.get_freeze_count() > 1000
    assert gc.get_threshold() == limits.gc_thresholds


def test_resident_memory_is_read_in_bytes(tmp_path: Path) -> None:
    statm = tmp_path / "statm"
    statm.write_text("25000 2000 900 1 0 800 0\n")
    assert resident_bytes(statm) in (2000 * 4096, 2000 * 16384, 2000 * 65536)
    assert resident_bytes() > 5 * MIB


def test_passing_the_memory_target_is_reported_once_each_way() -> None:
    told: list[tuple[str, int]] = []
    used = 0
    watch = MemoryWatch(100, report=lambda what, size: told.append((what, size // MIB)), read=lambda: used)
    for used in (90 * MIB, 101 * MIB, 120 * MIB, 95 * MIB, 89 * MIB, 50 * MIB):  # noqa: B007 - read by the watch
        watch.sample()
    assert told == [("memory is over its target", 101), ("memory is under its target again", 89)]
    assert watch.detail == ""


def test_over_its_target_the_watch_has_a_sentence_for_health() -> None:
    watch = MemoryWatch(100, report=lambda what, size: None, read=lambda: 130 * MIB)
    watch.sample()
    assert watch.detail == "130 MiB are in use, over the target of 100 MiB"


async def test_the_watch_looks_again_and_again() -> None:
    looks = 0
    enough = asyncio.Event()

    def read() -> int:
        nonlocal looks
        looks += 1
        if looks == 3:
            enough.set()
        return 0

    task = asyncio.create_task(MemoryWatch(1, report=lambda what, size: None, read=read).watch(interval_s=0.001))
    await asyncio.wait_for(enough.wait(), 2)
    task.cancel()
