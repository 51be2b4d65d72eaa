"""Joining by invitation as the mesh carries it: one try, between two nodes of different meshes."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bzzzd.errors import BadInput, InvitationRefused, Overloaded, Unavailable
from bzzzd.mesh.values import JoinTry
from tests.mesh.kit import Node, Realm, Town, eventually

INVITATION = b"i" * 8


def prove(challenge: bytes) -> bytes:
    return challenge[::-1]


async def lone(town: Town) -> Node:
    """A node of a mesh of its own, as every machine is before it joins."""
    return await town.node("lone", realm=Realm(b"l" * 32))


def plain(node: Node) -> list[str]:
    return [address.split("/p2p/")[0] for address in node.mesh.addresses]


def keeping(tries: list[JoinTry]) -> Callable[[JoinTry], Awaitable[bytes]]:
    async def decide(tried: JoinTry) -> bytes:
        tries.append(tried)
        return b"granted"

    return decide


async def visit(joiner: Node, inviter: Node) -> bytes:
    return await joiner.mesh.visit(inviter.mesh.peer_id, plain(inviter), INVITATION, b"ask", prove)


async def test_a_try_brings_the_ask_and_its_proof_and_takes_the_outcome(town: Town) -> None:
    inviter, joiner = await town.node("inviter"), await lone(town)
    tries: list[JoinTry] = []
    inviter.mesh.welcome(keeping(tries))
    assert await visit(joiner, inviter) == b"granted"
    (tried,) = tries
    assert (tried.peer_id, tried.address, tried.invitation) == (joiner.mesh.peer_id, "127.0.0.1", INVITATION)
    assert (tried.ask, tried.proof, len(tried.challenge)) == (b"ask", prove(tried.challenge), 32)
    assert await visit(joiner, inviter) == b"granted"
    assert tries[1].challenge != tried.challenge
    assert inviter.mesh.counters.join_tries == 2


async def test_a_joiner_is_no_member_before_during_or_after_its_try(town: Town) -> None:
    inviter, joiner = await town.node("inviter"), await lone(town)
    inside, go = asyncio.Event(), asyncio.Event()

    async def decide(tried: JoinTry) -> bytes:
        inside.set()
        await go.wait()
        return b"granted"

    inviter.mesh.welcome(decide)
    trying = asyncio.create_task(visit(joiner, inviter))
    await inside.wait()
    for asked in (joiner, inviter):
        with pytest.raises(Unavailable):
            await asked.mesh.request((inviter if asked is joiner else joiner).mesh.peer_id, "/bzzz/echo/1", b"x")
        assert not any(peer.connected for peer in asked.mesh.peers())
    go.set()
    await trying
    assert "joined" not in inviter.kinds() + joiner.kinds()


async def test_a_refusal_comes_with_its_reason(town: Town) -> None:
    inviter, joiner = await town.node("inviter"), await lone(town)

    async def decide(tried: JoinTry) -> bytes:
        raise InvitationRefused("it has expired", reason="expired")

    inviter.mesh.welcome(decide)
    with pytest.raises(InvitationRefused) as error:
        await visit(joiner, inviter)
    assert (error.value.message, error.value.data["reason"]) == ("it has expired", "expired")
    assert inviter.mesh.counters.join_refused == 1


async def test_a_wrong_guess_makes_its_address_wait(town: Town) -> None:
    inviter, joiner = await town.node("inviter"), await lone(town)
    asked = []

    async def decide(tried: JoinTry) -> bytes:
        asked.append(tried)
        raise InvitationRefused("wrong", reason="proof")

    inviter.mesh.welcome(decide)
    with pytest.raises(InvitationRefused):
        await visit(joiner, inviter)
    with pytest.raises(Overloaded):
        await visit(joiner, inviter)
    assert len(asked) == 1


async def test_somebody_else_at_the_inviters_address_is_not_the_inviter(town: Town) -> None:
    inviter, other, joiner = await town.node("inviter"), await town.node("other"), await lone(town)
    tries: list[JoinTry] = []
    other.mesh.welcome(keeping(tries))
    with pytest.raises(Unavailable, match="does not answer as the inviter"):
        await joiner.mesh.visit(inviter.mesh.peer_id, plain(other), INVITATION, b"ask", prove)
    assert tries == []


async def test_an_inviter_that_is_away_is_said_to_be(town: Town) -> None:
    joiner = await lone(town)
    with pytest.raises(Unavailable, match="cannot be reached"):
        await joiner.mesh.visit(Node(town.realm, "n").mesh.peer_id, ["/ip4/127.0.0.1/tcp/9"], INVITATION, b"a", prove)
    with pytest.raises(BadInput, match="very node"):
        await visit(joiner, joiner)


async def test_the_next_address_is_tried_when_one_leads_nowhere(town: Town) -> None:
    inviter, joiner = await town.node("inviter"), await lone(town)
    inviter.mesh.welcome(keeping([]))
    addresses = ["/ip4/127.0.0.1/tcp/9", *plain(inviter)]
    assert await joiner.mesh.visit(inviter.mesh.peer_id, addresses, INVITATION, b"ask", prove) == b"granted"


async def test_a_member_carries_an_ask_over_the_connection_it_has_and_stays_a_member(town: Town) -> None:
    first, second = await town.pair()
    tries: list[JoinTry] = []
    first.mesh.welcome(keeping(tries))
    assert await second.mesh.visit(first.mesh.peer_id, plain(first), INVITATION, b"ask", prove) == b"granted"
    await eventually("the members", lambda: first.mesh.peers()[0].connected and second.mesh.peers()[0].connected)
    assert "left" not in first.kinds() + second.kinds()
