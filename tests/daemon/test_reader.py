"""Reading from holders that are honest, behind, silent, or lie."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.replicas.reader import Reader
from bzzzd.errors import InvalidEnvelope, NotFound, Unavailable
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.node import make_grant
from bzzzd.mesh.judging import Judging
from bzzzd.slurp.commands import Author
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions import letting_go
from bzzzd.storage.versions.content import ContentStore
from bzzzd.storage.versions.context import SCHEMAS, ContextStore
from bzzzd.storage.versions.held import ids_digest
from bzzzd.storage.versions.naming import name_of
from bzzzd.storage.versions.questions import Fetch, Find, Found
from bzzzd.storage.versions.rolekeys import RoleKeys
from bzzzd.ucxl.address import parse
from bzzzd.ucxl.version import make_header, seal_version

NOW = time.time()
AUTHORITY, KEY, STRANGER = (SigningKey.from_seed(bytes([number]) * 32) for number in range(1, 4))
MESH = mesh_id_of(AUTHORITY.public)
GRANT = make_grant(
    AUTHORITY, MESH, kind="person", id="alice", key=KEY.public, role="worker", valid_s=86400.0, now=NOW - 60
)
ALICE = Author("alice", "person", "worker", (), KEY.public)
BASE = "ucxl://alice:worker@demo:t1/*^/notes"
OWN, A, B, C = (bytes([number]) * 32 for number in range(4))


class Placed:
    own = OWN

    def __init__(self, others=(A, B), connected=(A, B), present=3):
        self._others, self._connected = tuple(others), frozenset(connected)
        self.present = range(present)

    def others(self, base):
        return self._others

    def targets(self, base):
        return (*self._others, OWN)

    def connected(self):
        return self._connected


class Judge(Judging):
    def __init__(self, told):
        self.told = told

    def blame(self, peer_id, what="invalid"):
        self.told()


class Holders:
    """Each node answers from a store of its own, through what a test makes of its answers."""

    def __init__(self):
        self.stores = {}
        self.asked = []
        self.change = lambda node, carried: carried
        self.blamed = []

    def judging(self, node):
        return Judge(lambda: self.blamed.append(node)).judging("")

    async def ask(self, node, question, kind, timeout_s=10.0):
        self.asked.append((node, type(question).__name__))
        store = self.stores.get(node)
        if store is None:
            raise Unavailable("it is away")
        if isinstance(question, Fetch):
            return self.change(node, await store.carry(question.id.hex()))
        assert isinstance(question, Find)
        try:
            steps = (await store.history(BASE)).steps
        except NotFound:
            return Found((), False)
        ids = [bytes.fromhex(step.id) for step in steps]
        if ids_digest(ids) == question.digest:
            return Found((), False)
        missing = [id for id in ids if id not in (question.have or ())]
        carried = [self.change(node, await store.carry(id.hex())) for id in missing]
        return Found(tuple(carried), False)


@pytest.fixture
async def realm(tmp_path):
    opened = []
    keys = RoleKeys.found(tmp_path / "roles", MESH, AUTHORITY, ["worker"], NOW)
    holders = Holders()

    async def store(name, nodes=None):
        journal = await Journal.open(tmp_path / name / "journal.sqlite", SCHEMAS)
        opened.append(journal)
        content = await ContentStore.open(journal, tmp_path / name / "content", inline_bytes=4096)
        parts = {"may_write": lambda w, a: False, "trust": Trust(MESH, AUTHORITY.public)}
        made = ContextStore(journal, content, keys, MESH, chain_of=lambda key: (GRANT,), **parts)
        if nodes is None:
            return made

        async def locate(base):
            return (C,)

        reader = Reader(journal, content, made, nodes, holders, None, locate=locate)
        made._elsewhere = reader
        return made

    yield store, holders
    for journal in opened:
        await journal.close()


async def put(store, text, parents=(), at=NOW):
    header = make_header(
        address=BASE, author="alice", plaintext=text, readers=["worker"], epoch=1, at=at, parents=parents
    )
    return await store.put(seal_version(KEY, MESH, header), text, ALICE)


async def test_heads_that_two_holders_have_apart_are_united(realm):
    make, holders = realm
    here = await make("here", Placed())
    holders.stores = {A: await make("a"), B: await make("b")}
    ids = [await put(holders.stores[A], b"one", at=NOW - 2), await put(holders.stores[B], b"two", at=NOW - 1)]
    found = await here.get(BASE, ["worker"])
    assert (found.content, found.complete, found.version.conflict) == (b"two", True, True)
    assert sorted(found.version.heads) == sorted(ids)


async def test_a_local_copy_is_not_the_last_word(realm):
    make, holders = realm
    here = await make("here", Placed())
    holders.stores = {A: await make("a"), B: await make("b")}
    first = await put(holders.stores[A], b"one")
    assert (await here.get(BASE, ["worker"])).content == b"one"
    await put(holders.stores[A], b"two", parents=[first])
    assert (await here.get(BASE, ["worker"])).content == b"two"


async def test_what_was_let_go_is_held_by_nobody_though_nobody_lacks_it(realm):
    make, _ = realm
    here = await make("here", Placed(others=(), connected=(), present=1))
    first = await put(here, b"one")
    second = await put(here, b"two", parents=[first])
    reader = here._elsewhere
    assert await reader.holders([first, second], BASE) == {first: [OWN], second: [OWN]}
    await reader._journal.write(lambda connection: letting_go.let_go(connection, first, NOW))
    assert await reader.holders([first, second], BASE) == {first: [], second: [OWN]}


async def test_a_holder_that_is_silent_is_told(realm):
    make, holders = realm
    here = await make("here", Placed())
    holders.stores = {A: await make("a")}
    await put(holders.stores[A], b"one")
    found = await here.get(BASE, ["worker"])
    assert (found.content, found.complete) == (b"one", False)


async def test_what_a_liar_sends_is_left_out_and_an_honest_holder_is_believed(realm):
    make, holders = realm
    here = await make("here", Placed())
    holders.stores = {A: await make("a"), B: await make("b")}
    id = await put(holders.stores[A], b"one")
    await holders.stores[B].adopt(await holders.stores[A].carry(id))
    forged = make_header(address=BASE, author="alice", plaintext=b"no", readers=["worker"], epoch=1, at=NOW)

    def lie(node, carried):
        if node == B:
            return replace(carried, header=seal_version(STRANGER, MESH, forged))
        return carried

    holders.change = lie
    found = await here.get(BASE, ["worker"])
    assert (found.content, found.version.id, found.version.of) == (b"one", id, 1)
    assert here._elsewhere.refused == 1


async def test_content_that_is_not_what_was_signed_is_had_from_another(realm):
    make, holders = realm
    here = await make("here", Placed())
    holders.stores = {A: await make("a"), B: await make("b")}
    id = await put(holders.stores[A], b"one")
    await holders.stores[B].adopt(await holders.stores[A].carry(id))
    junk = b"x" * 300
    holders.change = lambda node, carried: (
        replace(carried, data=junk, size=len(junk), hash=name_of(junk), sealed=b"") if node == A else carried
    )
    assert (await here.get(BASE, ["worker"])).content == b"one"


async def test_an_answer_that_is_no_answer_does_not_stop_a_read(realm):
    make, holders = realm
    here = await make("here", Placed())
    holders.stores = {A: await make("a"), B: await make("b")}
    await put(holders.stores[A], b"one")

    def broken(node, carried):
        if node == A:
            return carried
        raise InvalidEnvelope("nonsense")

    holders.change = broken
    assert (await here.get(BASE, ["worker"])).content == b"one"


async def test_where_no_holder_knows_it_the_others_and_the_dht_are_asked(realm):
    make, holders = realm
    here = await make("here", Placed(others=(A,), connected=(A, C), present=5))
    holders.stores = {A: await make("a"), C: await make("c")}
    await put(holders.stores[C], b"found")
    assert (await here.get(BASE, ["worker"])).content == b"found"
    nowhere = parse(BASE.replace("notes", "nothing"))
    with pytest.raises(NotFound):
        await here.get(nowhere, ["worker"])
