"""What an agent says of its progress is bounded where it enters the daemon."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from bzzzd.daemon.reference import listed
from bzzzd.errors import UNREADABLE, InvalidParams
from bzzzd.rpc.registry import params_fault

SAID = {"task": "t-1", "token": [1, 1], "done": 3, "total": 10.0, "note": "reading page 3: «drei»"}


def told(**changed: Any) -> Any:
    """The parameters as the server reads them, or the error that the agent gets."""
    method = listed()[0].find("task.progress")
    try:
        return method.decode(msgspec.msgpack.encode({**SAID, **changed}))
    except UNREADABLE as error:
        raise params_fault(method, error) from error


@pytest.mark.parametrize(
    "said",
    [{}, {"done": 0}, {"done": 1e15, "total": 1e15}, {"total": None}, {"total": 0}, {"note": ""}, {"note": "ü" * 200}],
)
def test_numbers_and_a_line_are_taken(said: dict[str, Any]) -> None:
    assert told(**said).task == "t-1"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, -0.001, 1.1e15, 1e300, 2**63, True, "3", [3]])
@pytest.mark.parametrize("field", ["done", "total"])
def test_a_number_that_is_none_or_out_of_bounds_is_bad_input(field: str, value: Any) -> None:
    with pytest.raises(InvalidParams, match=field) as refused:
        told(**{field: value})
    assert (refused.value.code, refused.value.exit_status) == ("INVALID_PARAMS", 2)


@pytest.mark.parametrize("note", ["x" * 201, "two\nlines", "bell\x07", "\x1b[2J", "tab\t", "a\u2028b", "\x9b31m", 5])
def test_a_note_that_is_no_line_is_bad_input(note: Any) -> None:
    with pytest.raises(InvalidParams, match="note"):
        told(note=note)


@pytest.mark.parametrize("token", [[-1, 1], [1], [1, 2, 3], [1.5, 1], [2**63, 1]])
def test_a_token_that_is_none_is_bad_input(token: Any) -> None:
    with pytest.raises(InvalidParams, match="token"):
        told(token=token)
