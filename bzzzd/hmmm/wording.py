"""Texts with variables: ``$name`` or ``${name}`` stands for a value, ``$$`` for one dollar sign.

Substitution is one pass of ``string.Template`` over the author's text: what a value holds is never read again,
so no value can name another one or change the text around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from string import Template
from typing import Final

VARIABLE: Final = r"[a-z][a-z0-9_]{0,63}"


class _Text(Template):
    idpattern = VARIABLE
    flags = re.RegexFlag(0)  # lower case alone: `$HOME` in an example is a fault that is shown, not a variable


def faults(text: str, known: frozenset[str]) -> Iterator[str]:
    """What is wrong with ``text`` when only ``known`` variables have a value, one sentence each."""
    for found in _Text.pattern.finditer(text):
        if found["invalid"] is not None:
            line = text.count("\n", 0, found.start()) + 1
            yield f"line {line} has a `$` that begins no variable; write `$$` for a dollar sign"
            continue
        name = found["named"] or found["braced"]
        if name is not None and name not in known:
            yield f"`${name}` has no value here; the variables are {', '.join(sorted(known)) or 'none'}"


def variables(text: str) -> frozenset[str]:
    """The variables that ``text`` names."""
    return frozenset(name for found in _Text.pattern.finditer(text) if (name := found["named"] or found["braced"]))


def fill(text: str, values: Mapping[str, str]) -> str:
    """``text`` with its variables replaced; one that has no value is left empty."""
    return _Text(text).safe_substitute({name: values.get(name, "") for name in variables(text)})
