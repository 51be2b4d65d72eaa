"""The life of invitations as a state machine: whatever comes in whatever order, no more are let in than invited."""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.membership.invite_params import CodeParams, ConfirmParams, InvitationParams
from bzzzd.errors import BzzzError
from bzzzd.identity.invitation import Token, seal_ask
from bzzzd.mesh.values import JoinTry
from bzzzd.storage.invitations import SCHEMA
from bzzzd.storage.journal.journal import Journal
from tests.daemon.membership.test_inviting import CHALLENGE, Desk

JOINERS = [SigningKey.from_seed(bytes([number]) * 32) for number in range(1, 5)]
NAMES = ("n2", "n3")

ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("invite"), st.integers(1, 3), st.booleans()),
        st.tuples(st.just("ask"), st.integers(0, 2), st.integers(0, 3), st.sampled_from(NAMES)),
        st.tuples(st.just("guess"), st.integers(0, 2), st.integers(0, 3)),
        st.tuples(st.just("confirm"), st.integers(0, 3)),
        st.tuples(st.just("refuse"), st.integers(0, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 2)),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 4000.0, 100_000.0])),
        st.tuples(st.just("restart")),
    ),
    max_size=25,
)


class Life:
    """Acts on a desk, and remembers what a joiner was ever given."""

    def __init__(self, desk: Desk, journal: Journal) -> None:
        self.desk = desk
        self.journal = journal
        self.tokens: list[tuple[Token, int]] = []
        self.asks: dict[tuple[int, int, str], bytes] = {}
        self.given: dict[bytes, dict[bytes, tuple[bytes, ...]]] = {}

    async def act(self, name: str, *args: Any) -> None:
        await getattr(self, name)(*args)

    async def invite(self, uses: int, unattended: bool) -> None:
        self.tokens.append((await self.desk.invite(uses=uses, yes=unattended), uses))

    async def ask(self, which: int, who: int, name: str) -> None:
        if which >= len(self.tokens):
            return
        token, joiner = self.tokens[which][0], JOINERS[who]
        raw = self.asks.setdefault((which, who, name), seal_ask(joiner, token, id=name, age=None))
        chain = (await self.desk.ask(token, raw, carrier=joiner)).chain
        if chain:
            before = self.given.setdefault(token.id, {}).setdefault(joiner.public, chain)
            assert before == chain, "one joiner was given two grants by one invitation"

    async def guess(self, which: int, who: int) -> None:
        if which < len(self.tokens):
            token = self.tokens[which][0]
            await self.desk.ask(token, carrier=JOINERS[who], proof=b"x" * 32)

    async def confirm(self, which: int) -> None:
        rows = await self.desk.waiting()
        if which < len(rows):
            await self.desk.desk.confirm(self.desk.call, ConfirmParams(code=rows[which]["code"]))

    async def refuse(self, which: int) -> None:
        rows = await self.desk.waiting()
        if which < len(rows):
            self.desk.desk.refuse(self.desk.call, CodeParams(code=rows[which]["code"]))

    async def cancel(self, which: int) -> None:
        if which < len(self.tokens):
            params = InvitationParams(invitation=self.tokens[which][0].id.hex())
            await self.desk.desk.cancel(self.desk.call, params)

    async def wait(self, seconds: float) -> None:
        self.desk.now += seconds

    async def restart(self) -> None:
        self.desk.restart(self.journal)
        await self.desk.desk.open()

    def check(self) -> None:
        for token, uses in self.tokens:
            assert len(self.given.get(token.id, {})) <= uses
        nodes = [row for row in self.desk.members.rows() if row["kind"] == "node" and row["id"] in NAMES]
        keys = {bytes.fromhex(row["key"]) for row in nodes}
        assert keys <= {joiner.public for joiner in JOINERS}
        nodes = [row for row in nodes if row["not_after"] >= self.desk.now]
        assert len({row["id"] for row in nodes}) == len(nodes), "one id has two keys"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ACTS)
def test_no_more_are_let_in_than_were_invited_and_no_id_twice(acts: list[tuple[Any, ...]]) -> None:
    async def live() -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            journal = await Journal.open(folder / "state" / "journal.sqlite", (SCHEMA,))
            try:
                desk = Desk(folder, journal)
                life = Life(desk, journal)
                for act in acts:
                    with suppress(BzzzError):  # refused: what follows from it is checked below
                        await life.act(*act)
                    if act[0] == "restart":
                        desk.delegate(["node"], 9e6)
                    life.check()
            finally:
                await journal.close()

    asyncio.run(live())


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=40), st.binary(max_size=20), st.booleans())
def test_whatever_a_stranger_sends_is_refused_with_an_error_of_ours(
    ask: bytes, proof: bytes, invitation: bytes, known: bool
) -> None:
    async def receive() -> None:
        with tempfile.TemporaryDirectory() as name:
            journal = await Journal.open(Path(name) / "state" / "journal.sqlite", (SCHEMA,))
            try:
                desk = Desk(Path(name), journal)
                token = await desk.invite(yes=True)
                raw = seal_ask(JOINERS[0], token, id="n2", age=None) if known else ask
                tried = JoinTry("12D3KooW", "192.0.2.9", invitation, CHALLENGE, raw, proof)
                refused = False
                try:
                    await desk.desk.answer(tried)
                except BzzzError:
                    refused = True
                assert refused
                assert not desk.members.is_member(JOINERS[0].public)
            finally:
                await journal.close()

    asyncio.run(receive())
