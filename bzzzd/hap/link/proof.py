"""A prompt as it may be shown: from its proven document alone (``slurp/proof.py``), or with what does not hold.

Every invisible character of the action is written out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from bzzzd.errors import BzzzError
from bzzzd.hap.feeds.fields import mapping
from bzzzd.hap.feeds.prompts import prompt as read_prompt
from bzzzd.hap.text import clean, clean_block
from bzzzd.hap.values.asked import Asked, Choice, Field
from bzzzd.identity.grants import Grant, Trust
from bzzzd.slurp.proof import proven
from bzzzd.slurp.question import Question

_SHOWN_ARGS: Final = 20_000


def exact(text: str) -> str:
    r"""The text with everything that a screen would hide or reorder written as ``\uXXXX``; line breaks stay."""
    return "".join(char if char.isprintable() or char == "\n" else _written_out(char) for char in text)


def _written_out(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def shown_args(args: Mapping[str, Any]) -> str:
    """The arguments of an action as JSON; nothing of them is left out without saying so."""
    if not args:
        return ""
    text = exact(json.dumps(args, ensure_ascii=False, indent=2, default=_other))
    if len(text) <= _SHOWN_ARGS:
        return text
    return f"{text[:_SHOWN_ARGS]}\n… {len(text) - _SHOWN_ARGS} more characters are not shown: do not approve it here"


def _other(value: object) -> str:
    return f"hex:{value.hex()}" if isinstance(value, bytes) else repr(value)


def prove(value: object, trust: Trust | None, now: float) -> Asked:
    """The answer of ``prompt.show`` as what may be shown; ``fault`` says what does not hold. ``now`` is Unix time."""
    row = mapping(value)
    prompt = read_prompt(mapping(row.get("prompt")))
    known = Asked(id=prompt.id, digest=prompt.digest, task=prompt.task, by=prompt.by, kind=prompt.kind,
                  risk=prompt.risk, expires=prompt.expires, default=prompt.default)  # fmt: skip
    if row.get("document") is None:
        return Asked(**{**_fields(known), "readable": False})
    try:
        question, grant = proven(row, trust, now)
    except BzzzError as error:
        return Asked(**{**_fields(known), "fault": clean(error.message, 500)})
    return _asked(question, prompt.digest, grant)


def _fields(asked: Asked) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in asked.__struct_fields__}


def _asked(question: Question, digest: str, grant: Grant) -> Asked:
    return Asked(
        id=question.id,
        digest=digest,
        task=question.task,
        by=question.by,
        role=clean(grant.role, 64),
        kind=question.kind,
        risk=question.risk,
        title=clean(question.title, 500),
        body=clean_block(question.body),
        choices=tuple(Choice(choice.id, clean(choice.text, 200)) for choice in question.choices),
        form=tuple(
            Field(field.name, clean(field.label, 200), field.kind, field.required,
                  tuple(exact(choice) for choice in field.choices), clean(field.help, 500))
            for field in question.form
        ),
        op=question.action.op,
        args=shown_args(question.action.args),
        target=exact(question.action.target),
        evidence=question.evidence,
        expires=question.expires,
        default=question.default,
    )  # fmt: skip
