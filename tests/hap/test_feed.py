from __future__ import annotations

import msgpack
import pytest

from bzzzd.hap.feeds import content as content_feed
from bzzzd.hap.feeds import feed
from bzzzd.hap.feeds import tasks as task_feed
from bzzzd.hap.values.things import Progress


def test_a_task_list_becomes_tasks() -> None:
    (task,) = task_feed.tasks(
        {"tasks": [{"id": "t-1", "state": "working", "title": "a\x1b[2Jb", "agent": None}], "next": None}
    )
    assert (task.id, task.title, task.agent) == ("t-1", "ab", "")


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, {"tasks": None}, {"tasks": [3, None, []]}, {"tasks": [{}]}])
def test_a_list_of_another_shape_has_no_tasks(value: object) -> None:
    assert task_feed.tasks(value) == ()


@pytest.mark.parametrize("method", sorted(feed.PARSERS))
@pytest.mark.parametrize("value", [None, 3, "text", [1], {"x": float("nan")}, {"services": [{"name": 3}]}])
def test_no_answer_of_a_wrong_shape_breaks_a_parser(method: str, value: object) -> None:
    feed.PARSERS[method](value)


def test_stream_items_are_changes_and_progress() -> None:
    found = feed.items(
        "tasks",
        [
            {"kind": "completed", "number": 5, "at": 1.0, "by": "w", "task": {"id": "t-1", "state": "completed"}},
            {"kind": "progress", "id": "t-2", "at": 1.0, "progress": {"done": 1, "total": None, "note": "x"}},
            {"kind": "unheard of"},
            7,
        ],
    )
    assert [type(item).__name__ for item in found] == ["TaskChanged", "TaskProgressed"]
    assert found[1] == task_feed.TaskProgressed("t-2", Progress(1, 0, "x"))


def test_a_numbers_nonsense_is_zero() -> None:
    (task,) = task_feed.tasks([{"id": "t", "created": float("inf"), "updated": "soon", "strikes": True}])
    assert (task.created, task.updated) == (0, 0)


def test_content_in_messagepack_is_read_as_lines_with_its_text_first() -> None:
    packed = msgpack.packb({"model": "smollm2", "text": "The answer.\nOn two lines.", "usage": {"tokens": 12}})
    found = content_feed.content({"content": packed, "content_type": "application/msgpack", "number": 2, "of": 3})
    assert found.text == "The answer.\nOn two lines.\n\nmodel: smollm2\nusage: tokens: 12"
    assert (found.number, found.of) == (2, 3)


def test_content_in_text_is_shown_as_it_is_and_bytes_that_are_no_text_do_no_harm() -> None:
    assert content_feed.content({"content": "# Títle\r\nbody".encode()}).text == "# Títle\nbody"
    assert "\x1b" not in content_feed.content({"content": b"\xff\xfe\x1b[31m\x00end"}).text


def test_a_brief_shows_its_body_and_its_arguments_without_its_title() -> None:
    shown = task_feed.shown(
        {"task": {"id": "t"}, "brief": {"title": "T", "body": "Do it.", "args": {"argv": ["ls", "-l"]}}}
    )
    assert shown.brief is not None
    assert shown.brief.text == "Do it.\n\nargs:\n  argv:\n    - ls\n    - -l"


def test_content_nested_without_end_is_cut() -> None:
    deep: object = "x"
    for _ in range(100):
        deep = {"a": deep}
    assert "…" in content_feed.readable(deep)


def test_content_over_the_limit_is_cut_and_says_how_to_get_all() -> None:
    found = content_feed.content({"content": b"a" * (content_feed.CONTENT_LIMIT + 1)})
    assert found.text.endswith("`bzzz context get` saves all of it")
