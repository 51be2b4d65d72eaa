"""Human interaction prompts: the texts with which agents ask people, as templates with variables.

The library decides the words, never the question: what is asked for, of whom and at what risk comes from the
agent and the mesh's policy, so a changed text cannot turn an approval into another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from bzzzd.config.faults import Problem
from bzzzd.hmmm import wording
from bzzzd.hmmm.forms import Line, Text

Occasion = Literal["approve_task", "approve_action", "missing_input", "unknown_outcome", "plan", "decision", "failure"]

# What an agent knows at each occasion.
VARIABLES: Final[Mapping[Occasion, frozenset[str]]] = {
    "approve_task": frozenset({"agent", "task", "title", "author", "action"}),
    "approve_action": frozenset({"agent", "task", "title", "author", "action", "detail"}),
    "missing_input": frozenset({"agent", "task", "title", "author", "missing"}),
    "unknown_outcome": frozenset({"agent", "task", "title", "author", "action", "detail"}),
    "plan": frozenset({"agent", "task", "title", "author", "steps"}),
    "decision": frozenset({"agent", "task", "title", "author", "result", "why"}),
    "failure": frozenset({"agent", "task", "title", "author", "why"}),
}


class Wording(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The words for one occasion, as their file has them."""

    version: Annotated[Literal[1], Meta(description="major number of this format")]
    occasion: Annotated[Occasion, Meta(description="when an agent says this")]
    title: Annotated[Line, Meta(description="one line, with variables")]
    body: Annotated[Text, Meta(description="the text, with variables")] = ""


class Said(Struct, frozen=True):
    """A title of one line and a body, ready to be shown."""

    title: str
    body: str


def problems(found: Wording) -> Iterator[Problem]:
    """Variables that the occasion does not have."""
    known = VARIABLES[found.occasion]
    for name, text in (("title", found.title), ("body", found.body)):
        for fault in wording.faults(text, known):
            yield Problem((name,), fault, "use one of those variables")
    if not found.title.strip():
        yield Problem(("title",), "a prompt needs a title", "say in one line what is asked")


DEFAULTS: Final[Mapping[Occasion, Wording]] = {
    found.occasion: found
    for found in (
        Wording(
            version=1, occasion="approve_task", title="May I begin “$title”?",
            body="$author asked for this task and for a person's word before it begins.\n\nI would do: $action",
        ),
        Wording(
            version=1, occasion="approve_action", title="May I $action for “$title”?",
            body="The policy of this mesh wants a person's word for this.\n\n$detail",
        ),
        Wording(
            version=1, occasion="missing_input", title="Something is missing for “$title”",
            body="I cannot go on without: $missing",
        ),
        Wording(
            version=1, occasion="unknown_outcome", title="Was this done? $action for “$title”",
            body="Whoever was doing it was cut off between beginning and result, so nobody knows whether it "
            "happened. It is not done again by itself.\n\n$detail\n\nLook at what it would have changed, then decide.",
        ),
        Wording(version=1, occasion="plan", title="Plan for “$title”", body="$steps"),
        Wording(version=1, occasion="decision", title="Done: “$title”", body="$result\n\n$why"),
        Wording(version=1, occasion="failure", title="Not done: “$title”", body="$why"),
    )
}  # fmt: skip


class Library:
    """The words by occasion; what a folder does not have comes from ``DEFAULTS``."""

    def __init__(self, found: Mapping[str, Wording] | None = None) -> None:
        self._found = {**DEFAULTS, **{one.occasion: one for one in (found or {}).values()}}

    def say(self, occasion: Occasion, values: Mapping[str, str]) -> Said:
        """The words, with ``values`` as data in them."""
        words = self._found[occasion]
        title = " ".join(wording.fill(words.title, values).split())
        return Said(title=title[:500], body=wording.fill(words.body, values).strip()[:65_536])
