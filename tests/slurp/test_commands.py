from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzzd.crypto.envelope import seal
from bzzzd.errors import InvalidAddress, InvalidEnvelope, NotAllowed, TooLarge
from bzzzd.identity.grants import Grant
from bzzzd.slurp.commands import (
    Claim,
    Complete,
    Submit,
    author_of,
    new_command_id,
    new_id,
    new_task_id,
    open_command,
    seal_command,
)

from .kit import HELD_OPS, MESH, OPS, Clock, Maker, agent, raw_of

BOB = agent("bob")
SUBMIT: dict[str, Any] = {"op": "submit", "id": "c", "task": "t", "at": 1.0, "brief": "a" * 64}
COMPLETE: dict[str, Any] = {
    "op": "complete", "id": "c", "task": "t", "at": 1.0, "token": [1, 1], "result": "a" * 64,
    "address": "ucxl://a:b@c:d/*^/decision",
}  # fmt: skip


def opened(fields: dict[str, Any]) -> object:
    return open_command(seal(BOB.key, "command", MESH, msgspec.msgpack.encode(fields)), MESH)[1]


@pytest.mark.parametrize("op", OPS)
def test_every_command_comes_out_of_its_envelope_as_it_went_in(op: str) -> None:
    maker = Maker(Clock())
    held = op in HELD_OPS
    fields = {"new_task": "t-2"} if op == "retry" else {}
    command = maker.command(op, "t-1", (3, 4) if held else None, **fields)
    raw = raw_of(BOB, command)
    envelope, again = open_command(raw, MESH)
    assert again == command
    assert (envelope.author, envelope.raw) == (BOB.key.public, raw)


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": "x" * 65},
        {"id": "a b"},
        {"id": "ä"},
        {"id": "a\n"},
        {"task": "../etc"},
        {"at": float("nan")},
        {"at": -1.0},
        {"at": float("inf")},
        {"at": "now"},
        {"brief": "A" * 64},
        {"brief": "a" * 63},
        {"priority": 10},
        {"priority": -1},
        {"priority": 5.5},
        {"role": "a/b"},
        {"role": None},
        {"capability": "x" * 65},
        {"project": ""},
        {"deadline_s": 0},
        {"deadline_s": 1e12},
        {"approve": 1},
        {"op": "destroy"},
        {"op": 3},
        {"surprise": True},
    ],
    ids=str,
)
def test_a_submit_outside_its_bounds_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidEnvelope, match="shape"):
        opened({**SUBMIT, **change})


@pytest.mark.parametrize(
    "change",
    [{"token": [1]}, {"token": [1, -1]}, {"token": [1, 2, 3]}, {"token": None}, {"token": ["1", 2]}, {"address": ""}],
    ids=str,
)
def test_a_completion_outside_its_bounds_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidEnvelope, match="shape"):
        opened({**COMPLETE, **change})


def test_a_completion_names_a_well_formed_address() -> None:
    assert isinstance(opened(COMPLETE), Complete)
    with pytest.raises(InvalidAddress):
        opened({**COMPLETE, "address": "ucxl://a:b@c/d"})


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x90", b"\x81\xa2op\xa6submit", b"\x81\xa1\xff\x01", b"\x80" * 9])
def test_a_payload_that_is_no_command_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidEnvelope):
        open_command(seal(BOB.key, "command", MESH, payload), MESH)


@given(st.binary(max_size=200))
def test_no_payload_does_more_than_be_refused(payload: bytes) -> None:
    with pytest.raises(InvalidEnvelope):
        open_command(seal(BOB.key, "command", MESH, payload), MESH)


def test_a_command_of_another_mesh_is_refused() -> None:
    raw = seal_command(BOB.key, "elsewhere", Claim(id="c", task="t", at=1.0))
    with pytest.raises(InvalidEnvelope):
        open_command(raw, MESH)


def test_a_command_is_bounded_in_size() -> None:
    with pytest.raises(TooLarge):
        opened({**SUBMIT, "surprise": "x" * 20_000})


def grant(key: bytes) -> Grant:
    return Grant(
        kind="agent", id="bob", mesh_id=MESH, key=key, role="worker", capabilities=("answer",), serial=1,
        not_before=0.0, not_after=9e9, issuer=b"i" * 32,
    )  # fmt: skip


def test_the_author_is_who_the_grant_of_the_signing_key_says() -> None:
    envelope, _ = open_command(seal_command(BOB.key, MESH, Claim(id="c", task="t", at=1.0)), MESH)
    assert author_of(envelope, grant(BOB.key.public)) == BOB.author
    with pytest.raises(NotAllowed):
        author_of(envelope, grant(b"x" * 32))


def test_defaults_are_left_out_of_the_bytes() -> None:
    raw = msgspec.msgpack.encode(Submit(id="c", task="t", at=1.0, brief="a" * 64))
    assert set(msgspec.msgpack.decode(raw)) == {"op", "id", "task", "at", "brief"}


@given(st.floats(0, 1e11), st.floats(0, 1e11), st.binary(min_size=5, max_size=5))
def test_ids_sort_by_time(first: float, second: float, noise: bytes) -> None:
    early, late = sorted((first, second))
    if int(early * 1000) // 2**45 == int(late * 1000) // 2**45 and int(early * 1000) < int(late * 1000):
        assert new_id("t", early, lambda n: noise) < new_id("t", late, lambda n: noise)


def test_ids_fit_every_place_that_names_a_task() -> None:
    task, command = new_task_id(1_700_000_000.0), new_command_id(1_700_000_000.0)
    assert (task[:2], command[:2]) == ("t-", "c-")
    assert len(task) == 19
    assert isinstance(opened({**SUBMIT, "task": task, "id": command}), Submit)
    assert len({new_task_id(1.0) for _ in range(1000)}) == 1000
