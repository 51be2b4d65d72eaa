"""Prompts as JSON lines: ``prompt``, ``question``, ``receipt`` and ``needs``; the arguments that answer them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bzzzd.errors import BadInput, Conflict
from bzzzd.hap.messages import Act, Message
from bzzzd.hap.values.model import Model

Line = dict[str, Any]

ARGUMENTS: Final[Mapping[str, frozenset[str]]] = {
    "answer": frozenset({"choice", "text", "fields", "word", "now", "prompt", "digest"}),
    "deny": frozenset({"now", "prompt", "digest"}),
}


def first(model: Model) -> list[Line]:
    """The prompts that were seen before this start, what became of the person's answers, and the inbox."""
    found = [{"type": "prompt", "prompt": msgspec.to_builtins(row)} for row in model.prompts.values()]
    found += [{"type": "receipt", "receipt": msgspec.to_builtins(one)} for one in model.receptions.values()]
    return found + ([{"type": "needs", "needs": msgspec.to_builtins(model.needs)}] if model.needs else [])


def lines(old: Model, new: Model, message: Message) -> list[Line]:
    """Prompts, proven texts and the person's answers that are new or have changed.

    The text of an opened prompt is told also when an earlier start, or an earlier opening, had read it already.
    """
    found: list[Line] = []
    opened = new.page.id if isinstance(message, Act) and message.action == "open" and new.page is not None else ""
    if opened in new.asked and new.asked[opened] == old.asked.get(opened):
        found.append({"type": "question", "question": msgspec.to_builtins(new.asked[opened])})
    for kind, before, now in (
        ("prompt", old.prompts, new.prompts),
        ("question", old.asked, new.asked),
        ("receipt", old.receptions, new.receptions),
    ):
        if before is not now:
            changed = [row for id, row in now.items() if row != before.get(id)]
            found += [{"type": kind, kind: msgspec.to_builtins(row)} for row in changed]
    # One that was taken back is none any more.
    gone = [id for id in old.receptions if id not in new.receptions]
    found += [{"type": "receipt", "receipt": {"prompt": id, "state": "taken_back"}} for id in gone]
    if old.needs != new.needs:
        found.append({"type": "needs", "needs": msgspec.to_builtins(new.needs)})
    return found


def answering(model: Model, args: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an answer as the model takes them.

    ``prompt`` and ``digest`` name the question, and its text, that the answer is for. They are compared with what is
    open here, so that an answer cannot meet another question, opened meanwhile by somebody else. Raises ``BadInput``
    or ``Conflict``.
    """
    fields = args.get("fields")
    if fields is not None and not (
        isinstance(fields, dict) and all(isinstance(value, str) for value in fields.values())
    ):
        raise BadInput("the fields of an answer are texts by their names")
    page = model.page
    prompt, digest = args.pop("prompt", None), args.pop("digest", None)
    if prompt is not None and (page is None or page.kind != "inbox" or page.id != prompt):
        raise Conflict("another page has been opened meanwhile; open the question again")
    if digest is not None and (page is None or page.pinned != digest):
        raise Conflict("the question has another text now; open it again and read it")
    args.setdefault("now", False)  # a program answers at once, without the steps of a window
    return args
