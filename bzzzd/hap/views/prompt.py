"""An opened prompt: who asks, what exactly will be done, and whether it is proven."""

from __future__ import annotations

from bzzzd.hap import words
from bzzzd.hap.rows import Row, Segment, joined
from bzzzd.hap.text import fit, wrap
from bzzzd.hap.values.asked import Asked, Prompt, Reception
from bzzzd.hap.values.model import Model, Page
from bzzzd.hap.writing.answering import refusal

_DOT: Segment = ("dim", " · ")
_LABEL = 12
_RISK = {"high": "bad", "medium": "warn", "low": "ok"}


def head(model: Model, page: Page, columns: int, height: int) -> list[Row]:
    """Title, state and risk, and what keeps it from being answered."""
    prompt, asked = model.prompts.get(page.id), model.asked.get(page.id)
    title = (asked.title if asked is not None else "") or (prompt.title if prompt is not None else "") or page.id
    rows: list[Row] = [
        (("strong", " " + line),) for line in wrap(title, max(1, columns - 2))[: 2 if height > 11 else 1]
    ]
    if prompt is None:
        return [*rows, (("warn", " this prompt is not known here any more"),)]
    if height >= 5:
        rows.append(_state(model, prompt))
    if height >= 3 and (why := _stop(model, prompt, asked)):
        rows += [(("bad", f" ▲ {line}"),) for line in wrap(why, max(1, columns - 4))[:2]]
    return rows


def _state(model: Model, prompt: Prompt) -> Row:
    sign = words.prompt_sign(prompt.state)
    left = words.left(prompt.expires - model.now)
    count = f"{len(prompt.answers)} of {prompt.quorum} answers" if prompt.quorum > 1 else ""
    parts: list[Row] = [
        ((sign.style, f" {sign.sign} {sign.word}"),),
        ((_RISK.get(prompt.risk, "bad"), f"{prompt.risk} risk"),),
        (("base", f"from {prompt.by}"),),
        (("warn", f"{left} left"),) if prompt.state in ("open", "seen") and left != "over" else (),
        (("bad", "time is over"),) if prompt.state in ("open", "seen") and left == "over" else (),
        (("dim", count),) if count else (),
    ]
    return joined(parts, _DOT)


def _stop(model: Model, prompt: Prompt, asked: Asked | None) -> str:
    """What a person must know before anything else: that it is not what it says, or not to be answered."""
    if asked is not None and asked.fault:
        return f"NOT PROVEN, do not answer it: {asked.fault}"
    return "" if prompt.id in model.receptions else refusal(model, prompt)


def text(model: Model, page: Page, columns: int) -> list[Row]:
    """Every row below the head."""
    prompt, asked = model.prompts.get(page.id), model.asked.get(page.id)
    if prompt is None:
        return []
    rows: list[Row] = [()]
    if (mine := model.receptions.get(prompt.id)) is not None:
        rows += [*_received(model, prompt, mine, columns), ()]
    if asked is None:
        return rows + _missing(model, page, columns)
    if not asked.readable:
        return rows + _told("Its text is encrypted for other readers than you.", columns, "warn")
    if asked.body:
        rows += [*_told(asked.body, columns, "base"), ()]
    rows += _choices(asked, columns)
    rows += _action(asked, columns)
    return rows + _facts(model, prompt, asked, columns)


def _told(text_: str, columns: int, style: str = "dim") -> list[Row]:
    return [((style, f" {line}"),) for line in wrap(text_, max(1, columns - 2))]


def _missing(model: Model, page: Page, columns: int) -> list[Row]:
    if "prompt" in page.faults:
        return _told(f"▲ {page.faults['prompt']}", columns, "warn")
    if model.me.guest and model.link.state == "online":
        return _told(f"▲ reading a prompt needs a person's grant. {model.me.mend}", columns, "warn")
    return _told("reading…" if model.link.state == "online" else "Not seen before bzzzd went away.", columns)


def _received(model: Model, prompt: Prompt, mine: Reception, columns: int) -> list[Row]:
    """The receipt: what was answered, where the ledger has it, and what came of it."""
    at = words.clock(mine.at, model.now, model.utc_offset)
    match mine.state:
        case "waiting":
            left = max(0, round(mine.due - model.now)) if mine.due else 0
            told = f"▲ your answer {mine.choice} goes in {left} s; u takes it back" if left else "sending…"
            return _told(told, columns, "warn")
        case "kept":
            return _told(f"● your answer {mine.choice} is on its way (kept on disk since {at})", columns, "info")
        case "held":
            return _told(f"● your answer {mine.choice} waits at this node for the coordinator", columns, "info")
        case "refused":
            return _told(f"✗ your answer {mine.choice} did not count: {mine.why}", columns, "bad")
    entry = f", entry {mine.entry}" if mine.entry else ""
    came = {"executed": "; it was done", "failed": "; it was tried and failed", "claimed": "; it is being done"}
    return _told(f"✓ you answered {mine.choice} at {at}{entry}{came.get(prompt.state, '')}", columns, "ok")


def _section(name: str) -> Row:
    return (("columns", f" {name}"),)


def _fact(label: str, value: str, columns: int, style: str = "base") -> list[Row]:
    lines = wrap(value, max(1, columns - _LABEL - 2))
    return [
        (("dim", " " + fit(label if not number else "", _LABEL)), (style, line)) for number, line in enumerate(lines)
    ]


def _choices(asked: Asked, columns: int) -> list[Row]:
    rows: list[Row] = []
    for number, choice in enumerate(asked.choices, 1):
        mark = "  (if nobody answers)" if choice.id == asked.default else ""
        rows += _fact(f"{number} {choice.id}", choice.text + mark, columns)
    for field in asked.form:
        what = f"{field.label}{'' if field.required else ' (optional)'}, {field.kind}"
        rows += _fact(field.name, what + (f": {', '.join(field.choices)}" if field.choices else ""), columns)
    return [_section("You are asked for"), *rows, ()] if rows else []


def _action(asked: Asked, columns: int) -> list[Row]:
    """Exactly what will be done once the answer is yes."""
    rows = [_section("What will be done"), *_fact("operation", asked.op, columns, "accent")]
    if asked.target:
        rows += _fact("target", asked.target, columns)
    for number, line in enumerate(asked.args.split("\n")) if asked.args else ():
        rows += _fact("arguments" if number == 0 else "", line, columns)
    return [*rows, ()]


def _facts(model: Model, prompt: Prompt, asked: Asked, columns: int) -> list[Row]:
    proven = ("bad", f"✗ {asked.fault}") if asked.fault else (
        "ok", f"✓ text, signature and grant of {asked.by} lead to the authority pinned here"
    )  # fmt: skip
    to = " and ".join([*prompt.people, *(f"role {role}" for role in prompt.roles)])
    answered = ", ".join(f"{reply.by}: {reply.choice}" for reply in prompt.answers)
    rows = [
        *_fact("proof", proven[1], columns, proven[0]),
        *_fact("asked by", f"{asked.by}{f', role {asked.role}' if asked.role else ''}", columns),
        *_fact("asks", to, columns),
        *_fact("task", prompt.task, columns),
        *_fact("expires", f"{words.clock(prompt.expires, model.now, model.utc_offset)}; then it counts as "
                          f"{prompt.default}", columns),
    ]  # fmt: skip
    for number, version in enumerate(asked.evidence):
        rows += _fact("evidence" if number == 0 else "", version, columns)
    if prompt.seen_by:
        rows += _fact("seen by", ", ".join(prompt.seen_by), columns)
    if answered:
        rows += _fact("answers", answered, columns)
    if model.me.id:
        rows += _fact("you", f"{model.me.id}, role {model.me.role or model.me.kind}", columns)
    return [*rows, *_fact("digest", asked.digest, columns, "dim"), *_fact("id", prompt.id, columns, "dim")]
