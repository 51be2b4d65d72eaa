"""prompt: list, show and answer what agents ask people."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from bzzzd.cli.output import clean, duration, facts, mapping, number, rows_of, table, when, words
from bzzzd.cli.paging import listed
from bzzzd.cli.person import Person, person_of
from bzzzd.cli.run import Run
from bzzzd.errors import BadInput, BzzzError, NotFound
from bzzzd.slurp.proof import proven
from bzzzd.slurp.question import Question, write_value

_DIGITS = 8


def listing(run: Run) -> int:
    rows, following, _ = listed(
        person_of(run), "prompt.list", "prompts", run.args["limit"], state=run.args["state"], task=run.args["task"],
        live=not (run.args["all"] or run.args["state"]) or None, for_me=run.args["mine"] or None,
    )  # fmt: skip
    head = ("ID", "STATE", "RISK", "KIND", "AGE", "FROM", "TITLE")
    run.answer(
        {"prompts": rows, "next": following},
        lambda: table(head, [_row(row) for row in rows], run.out) if rows else run.print("nobody asks anything"),
    )
    return 0


def _row(row: Mapping[str, Any]) -> tuple[object, ...]:
    mark = "* " if row.get("for_me") else ""
    age = duration(max(0.0, time.time() - number(row.get("created"))))
    return (
        row.get("id"), row.get("state"), row.get("risk"), row.get("kind"), age, row.get("from"),
        f"{mark}{clean(row.get('title'))}",
    )  # fmt: skip


def show(run: Run) -> int:
    """What is not proven to be an agent's question is not shown; the prompt's own line is, and then it fails."""
    person = person_of(run)
    found = mapping(person.read("prompt.show", {"id": run.args["id"]}))
    question, refused = None, None
    if found.get("document") is not None:
        try:
            question = _proven(person, found)
        except BzzzError as error:
            refused, found = error, {**found, "document": None}
    run.answer(found, lambda: _print(run, found, question, refused))
    if refused is not None:
        raise refused
    return 0


def _proven(person: Person, found: Mapping[str, Any]) -> Question:
    """The question as ``prompt.show`` gave it; raises the reason why it must not be answered, as the portal says it."""
    try:
        return proven(found, person.trust(), time.time())[0]
    except BzzzError as error:
        raise type(error)(f"do not answer it: {error.message}", **error.data) from error


def _print(run: Run, found: Mapping[str, Any], question: Question | None, refused: BzzzError | None) -> None:
    prompt = mapping(found.get("prompt"))
    to = mapping(prompt.get("to"))
    facts(
        (
            ("prompt", prompt.get("id")),
            ("state", prompt.get("state")),
            ("verdict", prompt.get("verdict")),
            ("task", prompt.get("task")),
            ("from", prompt.get("from")),
            (
                "to",
                " ".join([*map(clean, to.get("people") or ()), *(f"role:{clean(r)}" for r in to.get("roles") or ())]),
            ),
            ("kind", prompt.get("kind")),
            ("risk", prompt.get("risk")),
            ("people needed", prompt.get("quorum")),
            ("asked", when(prompt.get("created"))),
            ("expires", f"{when(prompt.get('expires'))}, then {clean(prompt.get('default'))}"),
            ("seen by", words(prompt.get("seen_by"))),
            ("digest", prompt.get("digest")),
        ),
        run.out,
    )
    for answer in rows_of(prompt, "answers"):
        run.print(f"{when(answer.get('at'))}  {clean(answer.get('by'))}: {clean(answer.get('choice'))}")
    if question is not None:
        _print_question(run, question)
    elif refused is None:
        run.print("\n(its text is for other roles, or whoever holds it is away)")


def _print_question(run: Run, question: Question) -> None:
    run.print(f"\n{clean(question.title)}\n")
    if question.body:
        run.print(clean(question.body, lines=True))
    # JSON in ASCII: nothing of what is to be done can hide behind a character that a terminal does not show.
    args = json.dumps(question.action.args, indent=1, default=repr)
    run.print(f"\nACTION {clean(question.action.op)} {clean(question.action.target)}\n{args}")
    for choice in question.choices:
        run.print(f"  --choice {clean(choice.id)}: {clean(choice.text)}")
    for field in question.form:
        run.print(
            f"  --field {clean(field.name)}=…: {clean(field.label)}{'' if field.required else ' (may be left out)'}"
        )


def answer(run: Run) -> int:
    """Exits 0 once the ledger has the answer, or this node keeps it for the coordinator."""
    person = person_of(run)
    found = mapping(person.read("prompt.show", {"id": run.args["id"]}))
    prompt = mapping(found.get("prompt"))
    if prompt.get("state") == "unknown":
        return _settle(run, person, prompt)
    if found.get("document") is None:
        raise NotFound("the text of this prompt is for other roles or cannot be had now, so it cannot be answered")
    question = _proven(person, found)
    choice, value = _said(run, question)
    if choice != "deny":
        _confirm(run, question, str(prompt.get("digest")))
    content = None if value is None else write_value(question, value)
    done = mapping(person.answer(prompt, choice, str(found.get("address") or ""), content))
    _tell(run, done)
    return 0


def _said(run: Run, question: Question) -> tuple[str, str | dict[str, str] | None]:
    """The choice and the value that the options give, which must fit the kind of question."""
    choice, text, fields = run.args["choice"], run.args["text"], run.args["field"]
    given = [name for name, value in (("--choice", choice), ("--text", text), ("--field", fields)) if value]
    if len(given) != 1:
        raise BadInput(f"answer with one of --choice, --text and --field, not with {' and '.join(given) or 'nothing'}")
    if choice:
        return str(choice), None
    if (question.kind == "text") != bool(text):
        raise BadInput(f"this prompt is of the kind {question.kind}; see: bzzz prompt show {question.id}")
    if text:
        return "value", run.text("text").decode("utf-8", "replace")
    pairs = [str(field).partition("=") for field in fields]
    bad = [name for name, sign, _ in pairs if not sign]
    if bad:
        raise BadInput(f"--field takes NAME=VALUE, not {', '.join(bad)}")
    return "value", {name: value for name, _, value in pairs}


def _confirm(run: Run, question: Question, digest: str) -> None:
    """High risk takes the first digits of the digest, as the person read them from the question they mean."""
    if question.risk != "high":
        return
    if run.args["yes"] != digest[:_DIGITS]:
        raise BadInput(
            f"this prompt is of high risk: read it (bzzz prompt show {question.id}), then repeat the answer with "
            f"--yes and the first {_DIGITS} digits of its digest"
        )


def _settle(run: Run, person: Person, prompt: Mapping[str, Any]) -> int:
    """What a person found of an action whose outcome nobody saw."""
    choice = run.args["choice"]
    if choice not in ("executed", "failed"):
        raise BadInput(
            "whether this action was done is not known: look, then answer with --choice executed or --choice failed"
        )
    _tell(run, mapping(person.settle(prompt, choice)))
    return 0


def _tell(run: Run, done: Mapping[str, Any]) -> None:
    prompt, receipt = mapping(done.get("prompt")), mapping(done.get("receipt"))
    state = clean(prompt.get("state"))
    if receipt.get("state") == "waiting":
        state = f"kept on {clean(prompt.get('waits_at'))} until the coordinator is back"
    run.answer(done, lambda: run.print(f"{clean(prompt.get('id'))} is {state}"))
