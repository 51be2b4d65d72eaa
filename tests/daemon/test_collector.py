"""What goes and what stays: retention, and copies beyond those that are wanted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.replicas.collector import Collector
from bzzzd.errors import NotFound, Unavailable
from bzzzd.slurp.commands import Author
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions import held
from bzzzd.storage.versions.content import ContentStore
from bzzzd.storage.versions.context import SCHEMAS, ContextStore
from bzzzd.storage.versions.questions import Lacking
from bzzzd.storage.versions.rolekeys import RoleKeys
from bzzzd.ucxl.version import make_header, seal_version

MESH, NOW = "mesh-1", 1_000_000.0
KEY = SigningKey.from_seed(bytes(32))
ALICE = Author("alice", "agent", "worker", (), KEY.public)
BASE = "ucxl://alice:worker@demo:t1/*^/notes"
OWN, A, B, C = (bytes([number]) * 32 for number in range(4))


class Placed:
    """Nodes whose word on targets is a test's."""

    def __init__(self, targets: Sequence[bytes], replicas: int = 3) -> None:
        self.own, self.replicas, self._targets = OWN, replicas, tuple(targets)

    def targets(self, base: str) -> tuple[bytes, ...]:
        return self._targets


class Told:
    """Answers that say what each node lacks; those in ``away`` do not answer."""

    def __init__(self, lacking: dict[bytes, set[str]] | None = None, away: frozenset[bytes] = frozenset()) -> None:
        self._lacking = lacking or {}
        self._away = away

    async def ask(self, node, question, kind, timeout_s=10.0):
        if node in self._away:
            raise Unavailable("it is away")
        lacking = {bytes.fromhex(id) for id in self._lacking.get(node, set())}
        return Lacking(tuple(id for id in question.ids if id in lacking))


@pytest.fixture
async def place(tmp_path):
    journal = await Journal.open(tmp_path / "journal.sqlite", SCHEMAS)
    content = await ContentStore.open(journal, tmp_path / "content", inline_bytes=100)
    keys = RoleKeys.found(tmp_path / "roles", MESH, KEY, ["worker"], NOW)
    store = ContextStore(journal, content, keys, MESH, may_write=lambda writer, address: False, clock=lambda: NOW)
    yield journal, content, store, keys
    await journal.close()


async def put(store: ContextStore, text: bytes, at: float, parents: Sequence[str]) -> str:
    header = make_header(
        address=BASE, author="alice", plaintext=text, readers=["worker"], epoch=1, at=at, parents=parents
    )
    return await store.put(seal_version(KEY, MESH, header), text, ALICE)


async def history_of(store: ContextStore, count: int) -> list[str]:
    ids: list[str] = []
    for number in range(count):
        ids.append(await put(store, f"text {number}".encode() * 20, NOW - 1000 + number * 100, ids[-1:]))
    return ids


def collector(place, nodes, told=None, **rule) -> Collector:
    journal, content, store, _ = place
    given = {"keep_versions": 0, "keep_s": 0.0, "extra_s": 0.0, "gone": store.let_go, **rule}
    return Collector(journal, content, nodes, told or Told(), clock=lambda: NOW, **given)


async def here(journal: Journal) -> list[bool]:
    places = await journal.read(lambda connection: held.places(connection, 0))
    return [
        version.here
        for place in places
        for version in await journal.read(lambda connection, place=place: held.versions_at(connection, place.row))
    ]


async def test_everything_stays_without_a_rule(place):
    await history_of(place[2], 4)
    await collector(place, Placed([OWN, A, B])).collect()
    assert await here(place[0]) == [True] * 4


async def test_what_is_over_the_rule_goes_and_the_history_stays(place):
    journal, _, store, keys = place
    ids = await history_of(store, 5)
    carried = [id async for id in _ids(store)]
    await collector(place, Placed([OWN, A, B]), keep_versions=2).collect()
    assert await here(journal) == [False, False, False, True, True]
    fresh = ContextStore(journal, place[1], keys, MESH, may_write=lambda writer, address: False, clock=lambda: NOW)
    assert [id async for id in _ids(fresh)] == carried == ids
    with pytest.raises(NotFound, match="retention"):
        await fresh.get(f"{BASE.replace('*^', '*~1')}", ["worker"])
    assert (await fresh.get(BASE, ["worker"])).content == b"text 4" * 20
    with pytest.raises(NotFound, match="retention"):  # the store that has written it does not remember it either
        await store.get(f"{BASE.replace('*^', '*~1')}", ["worker"])
    # Nobody brings it back, and it is not missed.
    assert await journal.read(lambda connection: held.lacking(connection, [bytes.fromhex(id) for id in ids])) == []
    raw = [bytes.fromhex(id) for id in ids]
    assert await journal.read(lambda connection: held.let_go(connection, raw)) == set(raw[:3])


async def _ids(store: ContextStore):
    for step in (await store.history(BASE)).steps:
        yield step.id


async def test_what_is_young_stays_whatever_the_number(place):
    await history_of(place[2], 5)
    await collector(place, Placed([OWN, A, B]), keep_versions=1, keep_s=800.0).collect()
    assert await here(place[0]) == [False, False, True, True, True]


async def test_an_extra_copy_goes_when_every_holder_says_that_it_has_its_own(place):
    journal, _, store, _ = place
    await history_of(store, 3)
    await collector(place, Placed([A, B, C])).collect()
    assert await here(journal) == []
    with pytest.raises(NotFound):
        await store.show(BASE)


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        ([A, B, C], Told(away=frozenset([B]))),
        ([A, B], Told()),
        ([OWN, A, B], Told()),
    ],
)
async def test_an_extra_copy_stays_while_one_holder_is_away_or_too_few_are_there(place, targets, told):
    await history_of(place[2], 3)
    await collector(place, Placed(targets), told).collect()
    assert await here(place[0]) == [True] * 3


async def test_a_copy_that_one_holder_lacks_stays_alone(place):
    ids = await history_of(place[2], 3)
    await collector(place, Placed([A, B, C]), Told({C: {ids[1]}})).collect()
    assert await here(place[0]) == [False, True, False]


async def test_an_extra_copy_stays_for_a_while(place):
    await history_of(place[2], 2)
    await collector(place, Placed([A, B, C]), extra_s=60.0).collect()
    assert await here(place[0]) == [True, True]
