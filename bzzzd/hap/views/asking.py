"""The prompts of one task: what was asked of whom, and what came of it."""

from __future__ import annotations

from bzzzd.hap import words
from bzzzd.hap.rows import Row, Segment, joined
from bzzzd.hap.text import wrap
from bzzzd.hap.values.asked import Prompt
from bzzzd.hap.values.model import Model, Page
from bzzzd.hap.views.prose import told

_DOT: Segment = ("dim", " · ")


def of_task(model: Model, task: str) -> tuple[Prompt, ...]:
    """Its prompts, the newest first."""
    found = (prompt for prompt in model.prompts.values() if prompt.task == task)
    return tuple(sorted(found, key=lambda prompt: (-prompt.created, prompt.id)))


def text(model: Model, page: Page, columns: int) -> list[Row]:
    """Every prompt of the opened task, every row of it."""
    found = of_task(model, page.id)
    if not found:
        online = model.link.state == "online"
        return told("Nobody was asked anything." if online else "None was seen before bzzzd went away.", columns)
    return [row for prompt in found for row in (*_rows(model, prompt, columns), ())]


def _rows(model: Model, prompt: Prompt, columns: int) -> list[Row]:
    sign = words.prompt_sign(prompt.state)
    head: list[Row] = [
        ((sign.style, f" {sign.sign} {sign.word}"),),
        (("base", prompt.kind),),
        (("bad" if prompt.risk == "high" else "dim", f"{prompt.risk} risk"),),
        (("base", prompt.by),),
        (("dim", words.clock(prompt.created, model.now, model.utc_offset)),),
        (("warn", "for me"),) if prompt.for_me else (),
    ]
    rows: list[Row] = [joined(head, _DOT)]
    rows += [(("strong", f"   {line}"),) for line in wrap(prompt.title or prompt.id, max(1, columns - 5))]
    rows += [(("dim", f"   {line}"),) for said in facts(model, prompt) for line in wrap(said, max(1, columns - 5))]
    return rows


def facts(model: Model, prompt: Prompt) -> list[str]:
    """What is known of a prompt, a sentence each."""
    to = ", ".join((*prompt.people, *(f"role:{role}" for role in prompt.roles))) or "nobody"
    quorum = f", {prompt.quorum} of them" if prompt.quorum > 1 else ""
    found = [f"asked of {to}{quorum}"]
    found += [
        f"{reply.by} answered {reply.choice or 'with a text'}, {words.clock(reply.at, model.now, model.utc_offset)}"
        for reply in prompt.answers
    ]
    if prompt.verdict and not prompt.answers:
        found.append(f"what counts: {prompt.verdict}")
    if prompt.expires and prompt.state in ("open", "seen"):
        found.append(f"{words.left(prompt.expires - model.now)} left, then {prompt.default}")
    if prompt.seen_by:
        found.append(f"seen by {', '.join(prompt.seen_by)}")
    return [*found, prompt.id]


def plain(model: Model, task: str) -> list[str]:
    """The prompts of a task in words."""
    found: list[str] = []
    for prompt in of_task(model, task):
        found.append(f"{prompt.state}, {prompt.kind}, {prompt.risk} risk, by {prompt.by}: {prompt.title or prompt.id}")
        found += [f"  {said}" for said in facts(model, prompt)]
    return found or ["nobody was asked anything"]
