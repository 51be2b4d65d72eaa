from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from bzzzd.crypto.keys import SigningKey
from bzzzd.hap.proof import exact, prove, shown_args
from bzzzd.slurp.question import Action

from .asking import AGENT, TRUST, Asking, granted


def test_an_honest_question_is_proven_and_shown_as_it_is() -> None:
    asked = prove(Asking().shown(), TRUST, time.time())
    assert asked.fault == ""
    assert (asked.by, asked.role, asked.op, asked.target) == ("worker-1", "worker", "delete", "host-3:/srv/backup")


def _changed_prompt(**fields: Any) -> Callable[[Asking], dict[str, Any]]:
    return lambda asking: asking.shown(prompt=asking.row(**fields))


OTHER = SigningKey.from_seed(b"\x07" * 32)

FORGERIES: dict[str, tuple[Callable[[Asking], dict[str, Any]], str]] = {
    "another text": (lambda a: a.shown(document=Asking(title="Something else").document), "not the text"),
    "another digest": (_changed_prompt(digest="ab" * 32), "not the text"),
    "another version": (_changed_prompt(version="ab" * 32), "header belongs to another"),
    "another task": (_changed_prompt(task="t-0002"), "do not agree about task"),
    "another asker": (_changed_prompt(**{"from": "worker-9"}), "asker in the ledger"),
    "a milder risk": (_changed_prompt(risk="low"), "agree about risk"),
    "another action": (_changed_prompt(action="cd" * 32), "agree about action"),
    "no chain": (lambda a: a.shown(chain=[]), "no grant"),
    "another authority": (
        lambda a: a.shown(chain=[granted("agent", "worker-1", AGENT.public, "worker", by=OTHER)]), "authority",
    ),
    "a key without a grant": (lambda a: Asking(key=OTHER).shown(), "not signed by the key"),
    "a person who asks": (
        lambda a: a.shown(chain=[granted("person", "worker-1", AGENT.public, "worker")]), "only agents ask",
    ),
    "no header": (lambda a: a.shown(header=b""), ""),
    "no proof at all": (lambda a: a.shown(header=None, chain=None), "no proof"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_what_does_not_hold_is_refused_with_its_reason(name: str) -> None:
    forge, words = FORGERIES[name]
    asked = prove(forge(Asking()), TRUST, time.time())
    assert asked.fault
    assert words in asked.fault
    assert asked.op == ""


def test_without_a_pinned_authority_nothing_is_proven() -> None:
    assert "knows no authority" in prove(Asking().shown(), None, time.time()).fault


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
