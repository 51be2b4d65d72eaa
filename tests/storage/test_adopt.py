"""Versions of other nodes: what is taken, what is refused, and that taking needs no role secret."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import GrantRefused, InvalidEnvelope, NotAllowed, NotFound, Unavailable
from bzzzd.identity.grants import Revocations, Trust, mesh_id_of
from bzzzd.identity.node import make_grant
from bzzzd.slurp.commands import Author
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions.content import ContentStore
from bzzzd.storage.versions.context import SCHEMAS, ContextStore
from bzzzd.storage.versions.naming import name_of
from bzzzd.storage.versions.rolekeys import RoleKeys
from bzzzd.ucxl.version import make_header, seal_version

NOW = 1_000_000.0
AUTHORITY, NODE, KEY, OTHER = (SigningKey.from_seed(bytes([number]) * 32) for number in range(1, 5))
MESH = mesh_id_of(AUTHORITY.public)
BASE = "ucxl://alice:worker@demo:t1/*^/notes"


def granted(key=KEY, *, issuer=NODE, kind="agent", id="alice", role="worker", valid_s=3600.0, **more):
    return make_grant(issuer, MESH, kind=kind, id=id, key=key.public, role=role, valid_s=valid_s, now=NOW - 60, **more)


NODE_GRANT = granted(
    NODE, issuer=AUTHORITY, kind="node", id="n1", role="node", may_grant=["worker"], max_validity_s=1e6
)
CHAIN = (granted(), NODE_GRANT)
ALICE = Author("alice", "agent", "worker", (), KEY.public)


@pytest.fixture
def keys(tmp_path):
    return RoleKeys.found(tmp_path / "roles", MESH, AUTHORITY, ["worker"], NOW)


@pytest.fixture
def make(tmp_path, open_journal, keys):
    async def store(name: str, *, rolekeys: RoleKeys = keys, clock: float = NOW, **more) -> ContextStore:
        journal: Journal = await open_journal(tmp_path / name / "journal.sqlite", SCHEMAS)
        content = await ContentStore.open(journal, tmp_path / name / "content", inline_bytes=4096)
        more = {"may_write": lambda writer, address: False, "trust": Trust(MESH, AUTHORITY.public), **more}
        return ContextStore(journal, content, rolekeys, MESH, clock=lambda: clock, chain_of=lambda key: CHAIN, **more)

    return store


@pytest.fixture
async def source(make):
    return await make("source")


@pytest.fixture
async def target(make):
    return await make("target")


def signed(plaintext: bytes, key=KEY, **changes) -> bytes:
    told = {"address": BASE, "author": "alice", "readers": ["worker"], "epoch": 1, "at": NOW, **changes}
    return seal_version(key, MESH, make_header(plaintext=plaintext, **told))


async def put(store, plaintext: bytes = b"hello", **changes) -> str:
    return await store.put(signed(plaintext, **changes), plaintext, ALICE)


@pytest.mark.parametrize("size", [0, 5, 5000, 200_000])
async def test_a_version_taken_from_another_node_is_read_there_as_here(source, target, size):
    data = os.urandom(size)
    carried = await source.carry(await put(source, data))
    assert await target.adopt(carried) == carried.id
    assert await target.adopt(carried) == carried.id
    found, here = await target.get(BASE, ["worker"]), await source.get(BASE, ["worker"])
    assert (found.content, found.version.header, found.version.raw) == (data, here.version.header, here.version.raw)
    assert (await target.carry(carried.id)) == carried


async def test_taking_needs_no_role_secret(source, make, tmp_path):
    stranger = await make("stranger", rolekeys=RoleKeys.load(tmp_path / "no-roles", MESH))
    carried = await source.carry(await put(source))
    await stranger.adopt(carried)
    assert (await stranger.history(BASE)).of == 1
    with pytest.raises(NotAllowed):
        await stranger.get(BASE, ["worker"])
    assert await stranger.carry(carried.id) == carried


async def test_what_comes_before_its_parents_is_put_in_order_when_they_come(source, target):
    first = await put(source, b"one")
    second = await put(source, b"two", parents=[first], at=NOW + 1)
    await target.adopt(await source.carry(second))
    await target.adopt(await source.carry(first))
    assert await target.history(BASE) == await source.history(BASE)


async def test_a_header_alone_tells_of_a_version_whose_content_comes_later(source, target):
    id = await put(source)
    await target.adopt(await source.carry(id, content=False))
    assert (await target.show(BASE)).here is False
    with pytest.raises(Unavailable, match="is not on this node"):
        await target.get(BASE, ["worker"])
    await target.adopt(await source.carry(id))
    assert (await target.get(BASE, ["worker"])).content == b"hello"


async def test_a_version_is_taken_inside_of_a_larger_transaction_or_not_at_all(source, target):
    pending = await target.verify(await source.carry(await put(source)))

    def both(connection):
        target.insert(connection, pending)
        raise NotFound("the other half failed")

    with pytest.raises(NotFound, match="other half"):
        await target._journal.write(both)
    assert await target.heads(BASE) == ()
    await target._journal.write(lambda connection: target.insert(connection, pending))
    assert await target.heads(BASE) == (pending.id,)


@pytest.mark.parametrize(
    ("chain", "error", "said"),
    [
        ((granted(OTHER), NODE_GRANT), NotAllowed, "do not name"),
        ((granted(id="bob"), NODE_GRANT), NotAllowed, "do not name"),
        ((granted(role="observer"), NODE_GRANT), GrantRefused, "may not grant"),
        ((granted(issuer=OTHER), NODE_GRANT), GrantRefused, "was not issued by"),
        ((granted(),), GrantRefused, "does not lead"),
        ((granted(valid_s=30), NODE_GRANT), GrantRefused, "expired|did not hold"),
        ((b"junk",), InvalidEnvelope, "grant"),
    ],
)
async def test_a_writer_without_a_fitting_grant_is_refused(source, target, chain, error, said):
    carried = await source.carry(await put(source))
    with pytest.raises(error, match=said):
        await target.adopt(replace(carried, chain=chain))
    assert await target.heads(BASE) == ()


@pytest.mark.parametrize("address", ["ucxl://bob:worker@demo:t1/*^/", "ucxl://any:worker@demo:t1/*^/"])
async def test_an_address_that_is_not_the_writers_own_is_policys_to_give(source, make, address):
    carried = await source.carry(await put(source))
    foreign = replace(carried, header=signed(b"hello", address=address))
    strict = await make("strict")
    with pytest.raises(NotAllowed):
        await strict.adopt(foreign)
    lenient = await make("lenient", may_write=lambda writer, address: writer.role == "worker")
    if "any" in address:
        with pytest.raises(NotAllowed, match="never written"):
            await lenient.adopt(foreign)
    else:
        assert await lenient.adopt(foreign) == foreign.id


async def test_content_and_header_that_do_not_belong_together_are_refused(source, target):
    carried = await source.carry(await put(source))
    for wrong in (
        replace(carried, data=carried.data + b"x"),
        replace(carried, data=b"x", size=1, hash=name_of(b"x")),
        replace(carried, hash=bytes(32)),
        replace(carried, header=carried.header[:-1] + b"x"),
        replace(carried, size=1_000_000, data=None),
        replace(carried, header=signed(b"hello", at=NOW + 60)),
    ):
        with pytest.raises(InvalidEnvelope):
            await target.adopt(wrong)
    assert await target.heads(BASE) == ()


async def test_what_was_written_before_a_grant_ended_stays_and_nothing_after(source, make):
    old = await source.carry(await put(source, b"before"))
    later = await make("later", clock=NOW + 1e6)
    assert await later.adopt(old) == old.id
    trust = Trust(MESH, AUTHORITY.public, Revocations(number=1, keys={KEY.public: NOW + 10}))
    strict = await make("strict", trust=trust, clock=NOW + 100)
    assert await strict.adopt(old) == old.id
    with pytest.raises(GrantRefused, match="removed"):
        await strict.adopt(replace(old, header=signed(b"before", at=NOW + 20)))
