"""YAML texts as values with positions, and everything of YAML that is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.config.source import MAX_DEPTH, Mark, read_source


def read(text: str):
    return read_source("file.yaml", text.encode())


def test_every_value_keeps_line_and_column():
    source = read("agent:\n  id: a\n  handlers:\n    - kind: answer\n")
    assert source.data == {"agent": {"id": "a", "handlers": [{"kind": "answer"}]}}
    assert source.values["agent", "id"] == Mark(2, 7)
    assert source.keys["agent", "id"] == Mark(2, 3)
    assert source.values["agent", "handlers", 0, "kind"] == Mark(4, 13)
    assert source.given("agent", "id")
    assert not source.given("agent", "role")


def test_an_empty_file_is_an_empty_section():
    assert read("").data == {}
    assert read("# only a comment\n").data == {}


def test_a_fault_of_a_missing_key_points_at_what_should_hold_it():
    fault = read("a: 1\nagent:\n  id: x\n").fault(("agent", "role"), "missing", "add it")
    assert (fault.line, fault.key) == (2, "agent.role")


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("a: &x 1\n", 1, 4, "anchor &x"),
        ("a: 1\nb: *x\n", 2, 4, "alias"),
        ("a: !!python/object:os.system 1\n", 1, 4, "tag !!python/object:os.system"),
        ("a: !mine 1\n", 1, 4, "tag !mine"),
        ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", 4, 3, "stands on line 3 already"),
        ("a: [1, 2\nb: 3\n", 2, 2, "not YAML"),
        ("a:\n\t- b\n", 2, 1, "not YAML"),
        ("? [a]\n: b\n", 1, 3, "a key must be a word"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), 1, MAX_DEPTH + 1, "nested deeper"),
        ("[" * 100_000, 1, MAX_DEPTH + 1, "nested deeper"),
        ("a: \x00\n", 0, 0, "not YAML"),
    ],
)
def test_what_hides_meaning_is_refused_at_its_place(text, line, column, part):
    fault = read(text).faults[0]
    assert part in str(fault)
    assert (fault.line, fault.column) == (line, column)
    assert fault.fix


def test_repeated_keys_are_all_reported():
    assert len(read("a: 1\na: 2\nb: 1\nb: 2\n").faults) == 2


def test_bytes_that_are_not_utf8_are_reported_with_their_line():
    fault = read_source("file.yaml", b"a: 1\nb: \xff\n").faults[0]
    assert (fault.line, fault.column, "UTF-8" in fault.message) == (2, 4, True)


def test_a_huge_file_is_refused():
    assert "more than" in read("#" * 1_048_577).faults[0].message


@pytest.mark.parametrize("text", ["1:30", "010", "2026-01-02", "1" * 5000, "=", "<<"])
def test_scalars_with_a_surprising_meaning_stay_text(text):
    assert read(f"a: {text}\n").data == {"a": text}


def test_plain_scalars_have_their_types():
    assert read("{a: 1, b: -2, c: 1.5, d: true, e: null, f: '1', g: 0}\n").data == {
        "a": 1, "b": -2, "c": 1.5, "d": True, "e": None, "f": "1", "g": 0,
    }  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(alphabet="ab:-[]{}*&!?'\"|>#%@ \n\t", max_size=60).map(str.encode)))
def test_garbage_gives_faults_or_data_and_never_an_exception(raw):
    source = read_source("file.yaml", raw)
    assert source.faults or source.data is not None
