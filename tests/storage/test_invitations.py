"""Invitations in the journal: uses are counted once each, whatever happens at the same time."""

import asyncio
import time

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import InvitationRefused, NotFound
from bzzzd.identity.invitation import Ask, Invitation, Standing
from bzzzd.storage.invitations import KEEP_S, SCHEMA, Invitations
from bzzzd.storage.journal.journal import Journal
from tests.storage.conftest import Opener

NOW = time.time()
ID = b"i" * 8


def invitation(**changes: object) -> Invitation:
    values: dict[str, object] = {
        "id": ID, "proof_key": b"k" * 32, "kind": "node", "role": "node", "uses": 3, "valid_s": 60.0,
        "by": b"a" * 32, "created": NOW, "expires": NOW + 600.0,
    }  # fmt: skip
    return Invitation(**{**values, **changes})  # type: ignore[arg-type]


def ask(number: int) -> Ask:
    key = SigningKey.from_seed(number.to_bytes(32, "big")).public
    return Ask(invitation=ID, kind="node", id=f"n{number}", key=key, nonce=b"n" * 16)


@pytest.fixture
async def kept(open_journal: Opener) -> Invitations:
    return Invitations(await open_journal(schemas=(SCHEMA,)))


async def test_of_many_at_once_only_as_many_as_it_has_uses_are_let_in(kept: Invitations) -> None:
    await kept.add(invitation(), NOW)
    tries = [kept.spend(ask(number % 20), (b"grant %d" % number,), NOW) for number in range(60)]
    found = await asyncio.gather(*tries, return_exceptions=True)
    let_in = {one for one in found if isinstance(one, tuple)}
    refused = [one for one in found if isinstance(one, InvitationRefused)]
    assert len(let_in) == 3
    assert {error.data["reason"] for error in refused} == {"used"}
    assert (await kept.find(ID)).standing == Standing(used=3)
    assert len(await kept.chains()) == 3


async def test_a_use_is_there_after_a_restart(open_journal: Opener) -> None:
    journal: Journal = await open_journal(schemas=(SCHEMA,))
    first = Invitations(journal)
    await first.add(invitation(), NOW)
    await first.spend(ask(1), (b"grant",), NOW)
    await first.wrong(ID)
    await journal.close()
    again = Invitations(await open_journal(schemas=(SCHEMA,)))
    assert (await again.find(ID)).standing == Standing(used=1, wrong=1)
    assert await again.granted(ask(1)) == (b"grant",)
    assert await again.spend(ask(1), (b"another",), NOW) == (b"grant",)


async def test_what_has_long_ended_is_forgotten(kept: Invitations) -> None:
    await kept.add(invitation(), NOW)
    await kept.spend(ask(1), (b"grant",), NOW)
    later = NOW + 600.0 + KEEP_S + 1.0
    await kept.add(invitation(id=b"j" * 8, expires=later + 60.0), later)
    with pytest.raises(InvitationRefused):
        await kept.find(ID)
    assert await kept.chains() == []
    assert [one.invitation.id for one in await kept.all(later)] == [b"j" * 8]


async def test_a_cancelled_one_is_over(kept: Invitations) -> None:
    await kept.add(invitation(), NOW)
    await kept.cancel(ID)
    assert await kept.all(NOW) == []
    with pytest.raises(InvitationRefused):
        await kept.spend(ask(1), (b"grant",), NOW)
    with pytest.raises(NotFound):
        await kept.cancel(b"x" * 8)
