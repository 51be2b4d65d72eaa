from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from bzzzd.hap.link.proof import exact, prove, shown_args
from bzzzd.slurp.question import Action

from .asking import AGENT, FORGERIES, TRUST, Asking


def test_an_honest_question_is_proven_and_shown_as_it_is() -> None:
    asked = prove(Asking().shown(), TRUST, time.time())
    assert asked.fault == ""
    assert (asked.by, asked.role, asked.op, asked.target) == ("worker-1", "worker", "delete", "host-3:/srv/backup")


@pytest.mark.parametrize("name", FORGERIES)
def test_what_does_not_hold_is_refused_with_its_reason(name: str) -> None:
    forge, _, words = FORGERIES[name]
    asked = prove(forge(Asking()), TRUST, time.time())
    assert asked.fault
    assert words in asked.fault
    assert asked.op == ""


def test_without_a_pinned_authority_nothing_is_proven() -> None:
    assert "no authority of the mesh is pinned" in prove(Asking().shown(), None, time.time()).fault


def test_a_text_for_other_readers_is_told_as_such() -> None:
    asked = prove(Asking().shown(document=None), TRUST, time.time())
    assert not asked.readable
    assert asked.fault == ""


@pytest.mark.parametrize("value", [None, 3, [], {}, {"prompt": 4}, {"prompt": {}, "document": "text"}])
def test_an_answer_of_any_shape_breaks_nothing(value: object) -> None:
    asked = prove(value, TRUST, time.time())
    assert asked.fault or not asked.readable


def test_arguments_are_shown_whole_or_the_cut_is_said() -> None:
    assert shown_args({}) == ""
    assert '"a": "hex:00ff"' in shown_args({"a": b"\x00\xff"})
    assert "do not approve it here" in shown_args({"a": "x" * 30_000})


def test_what_a_screen_would_hide_is_written_out() -> None:
    assert exact("a\u202eb\tc\n\U000e0041") == "a\\u202eb\\u0009c\n\\U000e0041"


def test_a_revoked_asker_is_not_believed() -> None:
    asking = Asking()
    trust = type(TRUST)(TRUST.mesh_id, TRUST.authority, replace(TRUST.revocations, keys={AGENT.public: time.time()}))
    assert "revoked" in prove(asking.shown(), trust, time.time()).fault
    assert isinstance(asking.question.action, Action)
