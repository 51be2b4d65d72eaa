"""Texts with variables."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bzzzd.hmmm.wording import faults, fill, variables


def test_variables_are_replaced_and_a_doubled_sign_is_one_dollar() -> None:
    assert fill("$what for ${who}: $$5", {"what": "tea", "who": "alice"}) == "tea for alice: $5"


def test_a_variable_without_a_value_is_left_empty() -> None:
    assert fill("[$nothing]", {}) == "[]"


@given(st.text(), st.text())
def test_what_a_value_holds_is_never_read_as_a_text(first: str, second: str) -> None:
    assert fill("$a|$b", {"a": f"$b{first}", "b": f"${{a}}{second}"}) == f"$b{first}|${{a}}{second}"


def test_unknown_variables_and_lonely_signs_are_named() -> None:
    found = list(faults("$known\n$other costs $ 5", frozenset({"known"})))
    assert found == [
        "`$other` has no value here; the variables are known",
        "line 2 has a `$` that begins no variable; write `$$` for a dollar sign",
    ]


def test_capital_letters_begin_no_variable() -> None:
    assert variables("$HOME") == frozenset()
    assert list(faults("$HOME", frozenset())) == [
        "line 1 has a `$` that begins no variable; write `$$` for a dollar sign"
    ]


@given(st.text())
def test_any_text_is_either_faulty_or_filled(text: str) -> None:
    if not list(faults(text, variables(text))):
        assert isinstance(fill(text, {}), str)
