"""A method without a rule cannot be listed, and the page of methods says what the code says."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest
from msgspec import Struct

from bzzzd.errors import InvalidParams, NotReady, UnknownMethod
from bzzzd.rpc.access import Access, attached, guest, kinds
from bzzzd.rpc.reference import reference
from bzzzd.rpc.registry import NoParams, Registry, params_fault
from bzzzd.rpc.streams import Stream, StreamTable

from .harness import Bench


class Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    priority: int = 5
    kind: Literal["a", "b"] | None = None
    parts: list[bytes] = []


class Lax(Struct):
    title: str


def nothing(call: Any, params: Any) -> dict[str, Any]:
    """Do nothing at all.

    And say so.
    """
    return {}


def test_every_method_of_a_server_has_an_access_rule(bench: Bench) -> None:
    methods = list(bench.registry)
    assert {"hello", "subscribe", "unsubscribe", "session.goodbye"} <= {method.name for method in methods}
    assert all(isinstance(method.access, Access) for method in methods)
    assert [method.name for method in methods if method.access.greeting] == ["hello"]


@pytest.mark.parametrize("rule", [None, "guest", object()])
def test_a_method_without_a_rule_cannot_be_listed(rule: Any) -> None:
    with pytest.raises(TypeError, match="access rule"):
        Registry().add("x", rule, None, nothing)
    with pytest.raises(TypeError, match="access rule"):
        StreamTable().add("x", rule, Stream("i"))


def test_parameters_that_would_let_unknown_names_through_cannot_be_listed() -> None:
    for params in (Lax, dict, 5):
        with pytest.raises(TypeError):
            Registry().add("x", guest(), params, nothing)  # type: ignore[arg-type]


def test_a_name_is_listed_once_and_well_formed() -> None:
    registry = Registry()
    registry.add("task.show", guest(), None, nothing)
    for name in ("task.show", "Task.Show", "task..show", ""):
        with pytest.raises(ValueError, match="not a method name"):
            registry.add(name, guest(), None, nothing)


def test_what_a_method_is() -> None:
    registry = Registry()

    async def submit(call: Any, params: Wanted) -> dict[str, Any]:
        """Submit a task."""
        return {}

    registry.add("task.submit", attached(), Wanted, submit, result="{task}")
    plain = registry.add("status", guest(), None, nothing, reads=True)
    found = registry.find("task.submit")
    assert (found.handler, found.is_async, found.doc, found.group, found.reads) == (
        submit, True, "Submit a task.", "task", False,
    )  # fmt: skip
    assert (plain.params, plain.is_async, plain.doc, plain.group, plain.reads) == (
        NoParams, False, "Do nothing at all.", "core", True,
    )  # fmt: skip
    assert registry.extensions == ("core", "task")


def test_unknown_methods() -> None:
    registry = Registry()
    registry.add("task.submit", guest(), None, nothing)
    with pytest.raises(UnknownMethod, match=r"did you mean task.submit"):
        registry.find("task.sumbit")
    with pytest.raises(UnknownMethod) as caught:
        registry.find("z" * 10_000)
    assert len(caught.value.message) < 200
    registry.starting = True
    with pytest.raises(NotReady, match="still starting"):
        registry.find("task.list")


def test_faults_of_parameters_are_explained() -> None:
    method = Registry().add("task.submit", guest(), Wanted, nothing)
    none = Registry().add("status", guest(), None, nothing)

    def fault(of: Any, data: bytes) -> str:
        with pytest.raises((msgspec.DecodeError, ValueError)) as caught:
            of.decode(data)
        found = params_fault(of, caught.value)
        assert isinstance(found, InvalidParams)
        return found.message

    assert fault(method, b"\x81\xa5titel\xa1x") == "task.submit: there is no parameter 'titel'; did you mean title?"
    assert fault(none, b"\x81\xa1x\x01") == "status: there is no parameter 'x'; it takes none"
    assert "Expected `str`, got `int` - at `$.title`" in fault(method, b"\x81\xa5title\x01")
    assert "not UTF-8" in fault(method, b"\x81\xa5title\xa1\xff")


def test_the_reference_lists_methods_with_rules_parameters_and_results() -> None:
    registry = Registry()
    registry.add("task.submit", kinds("person"), Wanted, nothing, result="{task}")
    registry.add("status", guest(), None, nothing, reads=True, result="{phase}")
    streams = StreamTable()
    streams.add("topic:", attached(), Stream("i"), "messages of a topic")
    page = reference(registry, streams)
    assert page.index("## core") < page.index("### `status`") < page.index("## task") < page.index("## Streams")
    assert "| `title` | str | required |" in page
    assert "| `priority` | int | `5` |" in page
    assert "| `kind` | `a` or `b` or nil | `null` |" in page
    assert "| `parts` | array of bytes | `[]` |" in page
    assert "Access: person." in page
    assert "Access: guest. Changes nothing." in page
    assert "Result: `{task}`" in page
    assert "| `topic:NAME` | attached | messages of a topic |" in page
