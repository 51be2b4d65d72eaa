"""Prompts in ``--plain``: questions in words, and answers typed as one command.

Nothing is answered by a single word alone: ``answer`` names what is answered, and what is of high risk is
approved by the name of what will be done.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bzzzd.errors import UNREADABLE, BadInput
from bzzzd.hap import words
from bzzzd.hap.values.asked import WAITING, Asked, Prompt
from bzzzd.hap.values.model import Model
from bzzzd.hap.writing.answering import SETTLED, refusal, word_of

_WIDTH = 100


def answer_args(text: str, model: Model) -> dict[str, Any]:
    """The arguments of ``answer``, from what was typed behind it; raises ``BadInput`` with what to type."""
    page = model.page
    prompt = model.prompts.get(page.id) if page is not None and page.kind == "inbox" else None
    asked = model.asked.get(prompt.id) if prompt is not None else None
    if prompt is None or asked is None:
        raise BadInput("open a prompt first: inbox lists them, and a number opens one")
    if not text:
        raise BadInput(f"type {how(prompt, asked)}")
    if prompt.state == "unknown" or asked.kind == "choose":
        first, _, rest = text.partition(" ")
        return {"choice": first, "word": rest.strip()}
    if asked.kind == "text":
        return {"text": text}
    if asked.kind == "form":
        try:
            return {"fields": msgspec.json.decode(text, type=dict[str, str])}
        except UNREADABLE as error:
            raise BadInput(f"the fields are JSON, like: {how(prompt, asked)}") from error
    if text != (word_of(asked) if asked.risk == "high" else "approve"):
        raise BadInput(f"type {how(prompt, asked)}")
    return {"choice": "approve", "word": text}


def how(prompt: Prompt, asked: Asked) -> str:
    """What to type to answer it."""
    if prompt.state == "unknown":
        return " or ".join(f"answer {id} ({meaning})" for id, meaning in SETTLED)
    word = f" {word_of(asked)}" if asked.risk == "high" else ""
    match asked.kind:
        case "choose":
            return f"answer CHOICE{word}, where CHOICE is {' or '.join(choice.id for choice in asked.choices)}; or deny"
        case "text":
            return "answer and your text; or deny"
        case "form":
            names = ", ".join(f'"{field.name}": "…"' for field in asked.form)
            return f"answer {{{names}}}; or deny"
    return f"answer{word or ' approve'}; or deny"


def changes(old: Model, new: Model) -> list[str]:
    """New questions, what became of known ones, and the text of the one that is open."""
    found: list[str] = []
    if old.prompts is not new.prompts:
        for id, prompt in new.prompts.items():
            before = old.prompts.get(id)
            if prompt.for_me and (before is None or (before.state, before.for_me) != (prompt.state, True)):
                found.append(_told(new, prompt))
    page = new.page
    if page is None or page.kind != "inbox" or (asked := new.asked.get(page.id)) is None:
        return found
    opened = old.page is None or (old.page.kind, old.page.id) != (page.kind, page.id)
    if opened or old.asked.get(page.id) != asked:
        found += _text(new, asked)
    return found


def _told(model: Model, prompt: Prompt) -> str:
    if prompt.state in WAITING:
        left = words.left(prompt.expires - model.now)
        return f"prompt {prompt.id} from {prompt.by}, {prompt.risk} risk, {left} left: {prompt.title or 'no title yet'}"
    return f"prompt {prompt.id}: {prompt.state}"


def _text(model: Model, asked: Asked) -> list[str]:
    if asked.fault:
        return [f"error: this prompt is not proven, do not answer it: {asked.fault}"]
    if not asked.readable:
        return ["warning: its text is encrypted for other readers than you"]
    lines = ["question:", *asked.body.split("\n")]
    lines += [f"choice {choice.id}: {choice.text}" for choice in asked.choices]
    for field in asked.form:
        offered = f", one of {', '.join(field.choices)}" if field.choices else ""
        lines.append(
            f"field {field.name}: {field.label}, {field.kind}{offered}{'' if field.required else ', optional'}"
        )
    lines.append(f"what will be done: {asked.op}{f' on {asked.target}' if asked.target else ''}")
    lines += [f"  {line}" for line in asked.args.split("\n") if line]
    lines += [f"evidence: {version}" for version in asked.evidence]
    lines.append(f"proven: asked by {asked.by}, role {asked.role}, by the authority pinned here; digest {asked.digest}")
    prompt = model.prompts.get(asked.id)
    why = refusal(model, prompt)
    return [
        *lines,
        f"it takes no answer: {why}" if why or prompt is None else f"to answer it type {how(prompt, asked)}",
    ]
