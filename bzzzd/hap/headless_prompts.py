"""Prompts as JSON lines: ``prompt``, ``question`` and ``receipt``."""

from __future__ import annotations

from typing import Any

import msgspec

from bzzzd.hap.model import Model

Line = dict[str, Any]


def first(model: Model) -> list[Line]:
    """The prompts that were seen before this start."""
    return [{"type": "prompt", "prompt": msgspec.to_builtins(row)} for row in model.prompts.values()]


def lines(old: Model, new: Model) -> list[Line]:
    """Prompts, proven texts and the person's answers that are new or have changed."""
    found: list[Line] = []
    for kind, before, now in (
        ("prompt", old.prompts, new.prompts),
        ("question", old.asked, new.asked),
        ("receipt", old.receptions, new.receptions),
    ):
        if before is not now:
            changed = [row for id, row in now.items() if row != before.get(id)]
            found += [{"type": kind, kind: msgspec.to_builtins(row)} for row in changed]
    return found
