"""Prompts: what the ledger tells of them, and the items of their stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from bzzzd.hap.feeds.fields import mapping, names, number, rows, whole
from bzzzd.hap.text import clean
from bzzzd.hap.values.asked import Prompt, Reply


class PromptChanged(Struct, frozen=True):
    """A prompt as it is now; ``entry`` is the number of the ledger's entry, ``by`` whose command it was."""

    prompt: Prompt
    what: str = ""
    entry: int = 0
    by: str = ""


def prompt(row: Mapping[str, Any]) -> Prompt:
    to = mapping(row.get("to"))
    return Prompt(
        id=clean(row.get("id"), 64),
        task=clean(row.get("task"), 64),
        by=clean(row.get("from"), 64),
        people=names(to.get("people")),
        roles=names(to.get("roles")),
        quorum=whole(row.get("quorum"), 1),
        kind=clean(row.get("kind"), 16) or "approve",
        risk=clean(row.get("risk"), 16) or "high",  # what is not understood is taken for the worst
        created=number(row.get("created")),
        expires=number(row.get("expires")),
        updated=number(row.get("updated")),
        default=clean(row.get("default"), 64) or "deny",
        state=clean(row.get("state"), 24) or "open",
        step=whole(row.get("step")),
        seen_by=names(row.get("seen_by")),
        answers=tuple(
            Reply(clean(one.get("by"), 64), number(one.get("at")), clean(one.get("choice"), 64))
            for one in rows(row.get("answers"), "answers")
        ),
        verdict=clean(row.get("verdict"), 64),
        claimed_by=clean(row.get("claimed_by"), 64),
        digest=clean(row.get("digest"), 64),
        superseded_by=clean(row.get("superseded_by"), 64),
        settled_by=clean(row.get("settled_by"), 64),
        reason=clean(row.get("reason"), 64),
        title=clean(row.get("title"), 500),
        for_me=row.get("for_me") is True,
    )


def prompts(value: object) -> tuple[Prompt, ...]:
    """A list of prompts, or a snapshot of their stream."""
    return tuple(found for found in (prompt(row) for row in rows(value, "prompts")) if found.id)


def one_prompt(value: object) -> Prompt:
    return prompt(mapping(mapping(value).get("prompt")))


def item(row: Mapping[str, Any]) -> PromptChanged | None:
    """An item of the stream ``prompts``."""
    found = one_prompt(row)
    if not found.id:
        return None
    return PromptChanged(found, clean(row.get("kind"), 40), whole(row.get("number")), clean(row.get("by"), 100))
