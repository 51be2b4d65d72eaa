from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bzzzd.errors import BadInput
from bzzzd.slurp.question import (
    Action,
    Choice,
    Field,
    Question,
    To,
    action_digest,
    check_digest,
    digest_of,
    open_question,
    open_value,
    write_question,
    write_value,
)
from bzzzd.slurp.refusals import (
    OtherPrompt,
    ValueChanged,
)

RM = Action("command", {"argv": ["rm", "-r", "build"], "stdin": ""}, "t-1")
APPROVAL = Question(
    id="p-1", mesh="mesh-1", task="t-1", by="agent-1", to=To(roles=("operator",)), kind="approve",
    title="May I remove the build folder?", action=RM, expires=2e9, nonce=b"n" * 16,
)  # fmt: skip
FORM = replace(
    APPROVAL, kind="form",
    form=(Field("where", "Where to", "choice", choices=("here", "there")), Field("n", "How many", "number", False)),
)  # fmt: skip


def test_a_document_comes_back_as_it_was_written_and_its_bytes_have_one_digest() -> None:
    raw = write_question(APPROVAL)
    assert open_question(raw) == APPROVAL
    assert check_digest(raw, digest_of(raw)) == APPROVAL


def test_any_other_byte_is_another_digest() -> None:
    raw = write_question(APPROVAL)
    for changed in (
        replace(APPROVAL, nonce=b"m" * 16),
        replace(APPROVAL, action=Action("command", {"argv": ["rm", "-r", "/"]}, "t-1")),
    ):
        with pytest.raises(OtherPrompt):
            check_digest(write_question(changed), digest_of(raw))


@pytest.mark.parametrize(
    "change",
    [
        {"default": "approve"},
        {"kind": "choose"},
        {"kind": "form"},
        {"choices": (Choice("a", "A"),)},
        {"kind": "choose", "choices": (Choice("deny", "No"),)},
        {"kind": "choose", "choices": (Choice("approve", "Yes"),)},
        {"kind": "choose", "choices": (Choice("a", "A"), Choice("a", "B"))},
        {"kind": "choose", "choices": (Choice("a", "A"),), "risk": "high", "default": "a"},
        {"kind": "choose", "choices": (Choice("a", "A"),), "default": "b"},
        {"kind": "text", "quorum": 2},
        {"to": To()},
        {"quorum": 0},
        {"nonce": b"short"},
        {"title": ""},
    ],
    ids=str,
)
def test_a_question_that_breaks_a_rule_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        write_question(replace(APPROVAL, **change))


def test_what_is_no_document_is_refused() -> None:
    for raw in (b"", b"\xc1", b"\x80", b"\x93\x01\x02\x03", write_question(APPROVAL) + b"x", b"x" * 300_000):
        with pytest.raises(BadInput):
            open_question(raw)


@given(st.dictionaries(st.text(max_size=5), st.lists(st.text(max_size=5), max_size=3), max_size=4))
def test_an_actions_digest_does_not_depend_on_the_order_of_its_arguments(args: dict[str, Any]) -> None:
    turned = dict(reversed(list(args.items())))
    assert action_digest(Action("command", args), "t-1") == action_digest(Action("command", turned), "t-1")


def test_an_actions_digest_tells_every_part_of_it() -> None:
    parts = {
        action_digest(RM, "t-1"),
        action_digest(RM, "t-2"),
        action_digest(replace(RM, op="external"), "t-1"),
        action_digest(replace(RM, target="t-2"), "t-1"),
        action_digest(replace(RM, args={**RM.args, "stdin": "y"}), "t-1"),
    }
    assert len(parts) == 5


def test_an_action_whose_arguments_have_no_order_has_no_digest() -> None:
    for keys in ({1: "a"}, {b"k": "a"}, {(): "a"}):
        with pytest.raises(BadInput, match="named by text"):
            action_digest(replace(RM, args={"deep": [keys]}), "t-1")


def test_a_form_takes_what_it_asks_for_and_nothing_else() -> None:
    value = {"where": "here", "n": "3"}
    assert open_value(FORM, write_value(FORM, value)) == value
    assert open_value(FORM, write_value(FORM, {"where": "there"})) == {"where": "there"}
    for wrong in (
        {}, {"where": "nowhere"}, {"where": "here", "n": "three"}, {"where": "here", "n": "nan"},
        {"where": "here", "surprise": "x"},
    ):  # fmt: skip
        with pytest.raises(ValueChanged):
            write_value(FORM, wrong)
    with pytest.raises(ValueChanged):
        open_value(FORM, b'"a text"')


def test_a_text_is_any_text() -> None:
    question = replace(APPROVAL, kind="text")
    assert open_value(question, write_value(question, "Zwei Zeilen\nund 漢字")) == "Zwei Zeilen\nund 漢字"
    for raw in (b"{}", b"7", b'"' + b"x" * 300_000 + b'"', b"\xff"):
        with pytest.raises(ValueChanged):
            open_value(question, raw)
