"""Message composition templates: what a form asks for, accepts and becomes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzzd.config.settings import Surroundings
from bzzzd.hmmm import forms
from bzzzd.hmmm.folders import check_texts, read_forms
from bzzzd.hmmm.forms import Field, Form, MessageText, Part, When, compose, fault_of, faults, problems, shown, start

ETC = Path(__file__).parents[2] / "etc"


def form(*fields: Field, title: str = "$what", body: tuple[Part, ...] = (), **message: object) -> Form:
    return Form(
        version=1,
        title="A form",
        sends="task",
        fields=fields or (Field(name="what", label="What"),),
        message=MessageText(title=title, body=body, **message),  # type: ignore[arg-type]
    )


def field(kind: forms.FieldKind, **more: object) -> Field:
    return Field(name="it", label="It", kind=kind, **more)  # type: ignore[arg-type]


def test_every_form_that_ships_is_sound_and_makes_a_message_of_its_defaults() -> None:
    found, wrong = read_forms([ETC / "templates"])
    assert wrong == []
    assert set(found) == {"task-request", "proposal", "concern", "decision-record", "incident", "hand-over"}
    for one in found.values():
        values = {f.name: value or "x" for f, value in zip(one.fields, start(one).values(), strict=True)}
        assert compose(one, values).title


@pytest.mark.parametrize(
    ("one", "value", "fault"),
    [
        (field("text", required=True), "  ", "It is needed"),
        (field("text"), "a\nb", "It has one line"),
        (field("text", most=3), "four", "It has at most 3 characters, and these are 4"),
        (field("lines", least=3), "a", "It has at least 3 characters"),
        (field("choice", choices=("a", "b")), "c", "It is one of a, b"),
        (field("number"), "nan", "It is a number"),
        (field("number", least=1), "0.5", "It is at least 1"),
        (field("number", most=9), "10", "It is at most 9"),
        (field("date"), "tomorrow", "It is a date like 2026-03-01, or 2026-03-01 14:30"),
        (field("file"), "notes.txt", "It is a path from / (or ~/) on"),
        (field("person"), "al ice", "It is a name of 1 to 64 of A-Z a-z 0-9 _ -"),
    ],
)
def test_a_value_is_refused_with_its_reason(one: Field, value: str, fault: str) -> None:
    assert fault_of(one, value) == fault


def test_an_address_is_refused_with_the_address_rule_it_breaks() -> None:
    assert fault_of(field("address"), "http://x").startswith("It: ")
    assert fault_of(field("address"), "ucxl://a:b@c:d/*^/x") == ""


@pytest.mark.parametrize(
    ("kind", "value"), [("date", "2026-03-01"), ("date", "2026-03-01 14:30"), ("number", "-2.5"), ("role", "worker")]
)
def test_a_good_value_is_accepted(kind: forms.FieldKind, value: str) -> None:
    assert fault_of(field(kind), value) == ""


RISKY = (
    Field(name="risk", label="Risk", kind="choice", choices=("low", "high")),
    Field(name="undo", label="Undo", required=True, when=When(field="risk", equals=("high",))),
    Field(name="who", label="Who", when=When(field="undo")),
)


def test_a_hidden_field_is_not_asked_for_and_says_nothing() -> None:
    one = form(*RISKY, title="$risk", body=(Part(text="undo: $undo", when=When(field="undo")), Part(text="who: $who")))
    values = {"risk": "low", "undo": "left over", "who": "left over"}
    assert [f.name for f in shown(one, values)] == ["risk"]
    assert faults(one, values) == {}
    assert compose(one, values).body == "who:"
    values["risk"] = "high"
    assert compose(one, values).body == "undo: left over\n\nwho: left over"
    assert faults(one, {"risk": "high"}) == {"undo": "Undo is needed"}


def test_the_message_is_made_of_texts_and_values() -> None:
    fields = (Field(name="what", label="What"), Field(name="log", label="Log", kind="file"))
    one = form(*fields, title="$what\n", body=(Part(text="$log"),), role="$what", to=("$what", "$what", "$log"))
    made = compose(one, {"what": "worker", "log": "/var/log/x"}, {"log": "a $what line"})
    assert (made.title, made.role, made.to) == ("worker", "worker", ("worker", "/var/log/x"))
    assert made.body == "a $what line"


def test_defaults_may_take_what_the_portal_knows() -> None:
    one = form(Field(name="what", label="What", default="for $me"))
    assert start(one, {"me": "alice"}) == {"what": "for alice"}


@pytest.mark.parametrize(
    ("one", "at", "words"),
    [
        (form(Field(name="a", label="A"), Field(name="a", label="A"), title="x"), ("fields", 1, "name"), "already"),
        (form(title="$nobody"), ("message", "title"), "`$nobody` has no value"),
        (form(body=(Part(text="$ 5"),)), ("message", "body", 0, "text"), "begins no variable"),
        (form(field("choice"), title="x"), ("fields", 0, "choices"), "needs its values"),
        (form(field("text", choices=("a",)), title="x"), ("fields", 0, "choices"), "has no choices"),
        (form(field("date", least=1), title="x"), ("fields", 0, "least"), "no bounds"),
        (form(field("number", least=2, most=1), title="x"), ("fields", 0, "least"), "over the upper one"),
        (form(field("choice", choices=("a",), default="b"), title="x"), ("fields", 0, "default"), "one of a"),
        (form(field("text", when=When(field="later")), title="x"), ("fields", 0, "when", "field"), "stands before"),
        (form(*RISKY, body=(Part(text="x", when=When(field="risk", equals=("no",))),), title="x"),
         ("message", "body", 0, "when", "equals", 0), "never"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named_with_its_place(one: Form, at: tuple[object, ...], words: str) -> None:
    assert any(found.at == at and words in found.message for found in problems(one)), list(problems(one))


def test_a_faulty_file_is_refused_with_its_line_and_takes_nothing_else_with_it(tmp_path: Path) -> None:
    good = (ETC / "templates" / "proposal.yaml").read_text()
    (tmp_path / "good.yaml").write_text(good)
    (tmp_path / "typo.yaml").write_text(good.replace("label: Steps", "lable: Steps"))
    (tmp_path / "alias.yaml").write_text("a: &b 1\nc: *b\n")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "huge.yaml").write_text("#" * 300_000)
    (tmp_path / "other.txt").write_text("not a form")
    found, wrong = read_forms([tmp_path, tmp_path / "missing"])
    assert set(found) == {"good"}
    said = {Path(fault.file).name: str(fault) for fault in wrong if "lable" in fault.key or "typo" not in fault.file}
    assert set(said) == {"typo.yaml", "alias.yaml", "bytes.yaml", "list.yaml", "huge.yaml"}
    line = good[: good.index("label: Steps")].count("\n") + 1
    assert f"typo.yaml:{line}:" in said["typo.yaml"]
    assert "did you mean `label`?" in said["typo.yaml"]


def test_the_persons_own_form_wins_over_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "proposal.yaml").write_text(
        "version: 1\ntitle: Mine\nsends: task\nfields: [{name: a, label: A}]\nmessage: {title: $a, body: []}\n"
    )
    found, wrong = read_forms([ETC / "templates", tmp_path])
    assert (wrong, found["proposal"].title) == ([], "Mine")


def test_what_lies_beside_a_configuration_is_checked_with_it() -> None:
    files, wrong = check_texts([ETC], [], Surroundings.here())
    assert wrong == []
    assert len(files) == 13


@given(st.dictionaries(st.sampled_from(["what", "risk", "undo", "steps", "effect", "evidence"]), st.text(), max_size=6))
def test_any_values_are_judged_and_composed_without_an_error(values: dict[str, str]) -> None:
    one = read_forms([ETC / "templates"])[0]["proposal"]
    faults(one, values)
    assert "\n" not in compose(one, values).title
