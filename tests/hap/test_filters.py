"""Filters: words, terms about one field, and the few words that stand for many."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bzzzd.hap.messages import Act
from bzzzd.hap.values import filters, lists

from .builders import LENA, after, keys, online
from .rooms import logged, talking


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("state:work", ["t-0005"]),
        ("state:completed", ["t-0003"]),
        ("project:parser", ["t-0002"]),
        ("agent:worker-2 state:failed", ["t-0002"]),
        ("open", ["t-0005", "t-0004", "t-0001"]),
        ("mine", ["t-0005", "t-0004", "t-0001"]),
        ("mine -state:submitted", ["t-0005", "t-0001"]),
        ("-mine", ["t-0003", "t-0002"]),
        ("MINE Firewall", ["t-0004"]),
        ("nothing:like this", []),
    ],
)
def test_tasks_are_found_by_state_project_agent_and_author(filter: str, found: list[str]) -> None:
    model = after(replace(online(), me=LENA), *keys("2"), Act("filter", {"text": filter}))
    assert list(lists.ids(model)) == found


def test_one_key_steps_through_what_is_mostly_looked_for() -> None:
    model = after(online(), *keys("2"))
    seen = []
    for _ in filters.PRESETS:
        model = after(model, *keys("f"))
        seen.append(model.lists["tasks"].filter)
    assert seen == [*filters.PRESETS[1:], ""]
    assert after(model, *keys("/ x enter f")).lists["tasks"].filter == ""


def test_a_filter_goes_on_holding_for_what_comes() -> None:
    model = after(logged(), Act("filter", {"text": "level:error"}))
    assert [row.level for row in model.logbook.rows] == ["error"]
    assert list(lists.ids(after(talking(), Act("filter", {"text": "state:closed"})))) == ["t-0003"]
