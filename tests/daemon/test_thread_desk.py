"""Threads for callers: pages, what turns to whom, and that a role sees only what it may read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.hmmm.desk import ListParams, PostParams, ShowParams, ThreadDesk
from bzzzd.daemon.hmmm.shown import Shown
from bzzzd.errors import BadInput, NotFound, ThreadFull, Unavailable
from bzzzd.hmmm.message import Text, post_params
from bzzzd.hmmm.thread import Bounds
from bzzzd.rpc.streams import Stream
from bzzzd.storage.threads import Kept
from tests.daemon.thread_kit import NOW, POLICY, Member, Place, places_in


class Rig:
    """One node's desk; ``published`` is what went to other nodes, ``error`` what the ledger says of tasks."""

    def __init__(self, place: Place) -> None:
        self.published: list[str] = []
        self.error: Exception | None = None
        self.asked: list[str] = []
        self.now = NOW
        self.stream = Stream("test")
        self._jobs: list[Any] = []
        self.desk = ThreadDesk(
            place.book, place.border, Shown(place.contexts), Gate(lambda: POLICY), self.stream,
            publish=self._publish, task_there=self._task_there,
            spawn=lambda name, work, ends: self._jobs.append(work), clock=lambda: self.now,
        )  # fmt: skip

    async def _publish(self, kept: Kept, version: str) -> None:
        self.published.append(kept.id)

    async def _task_there(self, id: str) -> object:
        self.asked.append(id)
        if self.error is not None:
            raise self.error
        return None

    async def post(
        self, by: Member, text: str = "Hello", thread: str = "x-1", *, to: Sequence[str] = (), subject: str = "",
        at: float = NOW, kind: str = "concern", readers: Sequence[str] = ("operator", "worker"), **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        said = Text(text=text, to=tuple(to), subject=subject)
        params = post_params(by.writer, said, thread=thread, kind=kind, readers=readers, at=at, **more)[1]
        return await self.send(by, params)

    async def send(self, by: Member, params: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = (await self.desk.post(call(by), PostParams(**params)))["message"]
        while self._jobs:
            await self._jobs.pop()
        return found

    async def list(self, by: Member, **wanted: Any) -> dict[str, Any]:
        return await self.desk.list(call(by), ListParams(**wanted))

    async def seen(self, by: Member) -> list[dict[str, Any]]:
        """The stream's items as this member is shown them."""
        feed = self.desk._feed(call(by), "hmmm", {})
        assert feed.view is not None
        return [feed.view(entry.value) for entry in self.stream.after(0, 1000)]


def call(by: Member) -> Any:
    return SimpleNamespace(caller=by.caller)


BOB, ALICE, EVE = Member("bob"), Member("alice", "person", "operator"), Member("eve", role="observer")


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    async with places_in(tmp_path) as places:

        async def rig(bounds: Bounds | None = None) -> Rig:
            return Rig(await places(0, BOB, ALICE, EVE, bounds=bounds))

        yield rig


async def test_a_post_is_counted_once_and_published_once(make: Callable[..., Any]) -> None:
    rig = await make()
    params = BOB.params("Hello")
    first, second = await rig.send(BOB, params), await rig.send(BOB, params)
    assert first["id"] == second["id"]
    assert rig.published == [first["id"]]
    assert len(await rig.seen(BOB)) == 1


async def test_the_first_word_on_a_task_needs_the_task(make: Callable[..., Any]) -> None:
    rig = await make()
    rig.error = NotFound("no such task")
    with pytest.raises(NotFound):
        await rig.post(BOB, thread="t-1")
    rig.error = Unavailable("the coordinator is away")
    await rig.post(BOB, thread="t-1")
    rig.error = NotFound("no such task")
    await rig.post(BOB, "More", thread="t-1")
    assert rig.asked == ["t-1", "t-1"]
    await rig.post(BOB, thread="x-1")


async def test_lists_come_in_pages_and_by_state(make: Callable[..., Any]) -> None:
    rig = await make()
    for number in range(7):
        await rig.post(BOB, f"{number}", thread=f"x-{number}", at=NOW + number)
        if number % 2:
            await rig.post(BOB, "Enough.", thread=f"x-{number}", at=NOW + number + 0.5, kind="summary")
    rows: list[str] = []
    after: str | None = None
    while True:
        page = await rig.list(ALICE, limit=3, after=after)
        rows += [row["id"] for row in page["threads"]]
        after = page["next"]
        if after is None:
            break
    assert rows == [f"x-{number}" for number in reversed(range(7))]
    open_ones = await rig.list(ALICE, open=True)
    assert [row["id"] for row in open_ones["threads"]] == ["x-6", "x-4", "x-2", "x-0"]
    closed = await rig.list(ALICE, open=False)
    assert {row["state"] for row in closed["threads"]} == {"closed"}


async def test_a_thread_that_is_spoken_in_between_two_pages_comes_once(make: Callable[..., Any]) -> None:
    rig = await make()
    for number in range(4):
        await rig.post(BOB, f"{number}", thread=f"x-{number}", at=NOW + number)
    first = await rig.list(ALICE, limit=2)
    assert [row["id"] for row in first["threads"]] == ["x-3", "x-2"]
    await rig.post(BOB, "Once more.", thread="x-2", at=NOW + 5)
    second = await rig.list(ALICE, limit=2, after=first["next"])
    assert ([row["id"] for row in second["threads"]], second["next"]) == (["x-1", "x-0"], None)
    with pytest.raises(BadInput):
        await rig.list(ALICE, after="x-2")


async def test_a_thread_waits_for_whom_it_turns_to_until_they_have_spoken(make: Callable[..., Any]) -> None:
    rig = await make()
    await rig.post(BOB, "Alice?", to=("alice",))
    assert (await rig.list(ALICE))["threads"][0]["for_me"]
    assert not (await rig.list(BOB))["threads"][0]["for_me"]
    await rig.post(ALICE, "Yes.", at=NOW + 1)
    assert not (await rig.list(ALICE))["threads"][0]["for_me"]
    await rig.post(BOB, "All of you?", to=("role:operator",), at=NOW + 2)
    assert (await rig.list(ALICE))["threads"][0]["for_me"]
    await rig.post(BOB, "Enough.", kind="summary", at=NOW + 3)
    assert not (await rig.list(ALICE))["threads"][0]["for_me"]


async def test_a_role_sees_what_it_may_read_and_that_there_is_more(make: Callable[..., Any]) -> None:
    rig = await make()
    await rig.post(ALICE, "A secret plan", subject="Secret", to=("bob",), readers=("operator",))
    for member, text in ((ALICE, "A secret plan"), (BOB, None), (EVE, None)):
        (item,) = await rig.seen(member)
        shown = (await rig.desk.show(call(member), ShowParams(thread="x-1")))["messages"][0]
        row = (await rig.list(member))["threads"][0]
        assert item["message"]["text"] == shown["text"] == text
        assert item["thread"]["subject"] == row["subject"] == ("Secret" if text else None)
        assert shown["to"] == (["bob"] if text else [])
        assert (row["count"], row["participants"], row["last_kind"]) == (1, ["alice"], "concern")
        assert item["thread"]["for_me"] is False
        if text is None:
            assert "ecret" not in repr(item) + repr(shown) + repr(row)


async def test_a_stream_of_one_thread_shows_no_other(make: Callable[..., Any]) -> None:
    rig = await make()
    for thread in ("x-1", "x-2"):
        await rig.post(BOB, thread=thread)
    feed = rig.desk._feed(call(ALICE), "hmmm", {"thread": "x-2"})
    shown = [feed.view(entry.value) for entry in rig.stream.after(0, 10)]
    assert [item and item["thread"]["id"] for item in shown] == [None, "x-2"]
    assert [row["id"] for row in (await feed.snapshot())["threads"]] == ["x-2"]


async def test_a_full_thread_refuses(make: Callable[..., Any]) -> None:
    rig = await make(Bounds(messages=3))
    for number in range(3):
        await rig.post(BOB, f"{number}", at=NOW + number)
    with pytest.raises(ThreadFull):
        await rig.post(ALICE, "And I?", at=NOW + 4)
    assert (await rig.list(ALICE))["threads"][0]["count"] == 3


async def test_messages_come_in_pages(make: Callable[..., Any]) -> None:
    rig = await make()
    for number in range(5):
        await rig.post(BOB, f"{number}", at=NOW + number)
    first = await rig.desk.show(call(ALICE), ShowParams(thread="x-1", limit=3))
    rest = await rig.desk.show(call(ALICE), ShowParams(thread="x-1", after=first["next"]))
    assert [m["text"] for m in (*first["messages"], *rest["messages"])] == ["0", "1", "2", "3", "4"]
    assert rest["next"] is None
    with pytest.raises(NotFound):
        await rig.desk.show(call(ALICE), ShowParams(thread="x-2"))
