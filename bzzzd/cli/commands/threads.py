"""hmmm: list, show and post on threads."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from bzzzd.cli.output import clean, duration, mapping, number, rows_of, table, when, words
from bzzzd.cli.paging import PAGE, listed
from bzzzd.cli.person import Person, person_of
from bzzzd.cli.run import Run
from bzzzd.errors import BadInput, Unavailable, UnknownOutcome
from bzzzd.hmmm.message import SUMMARY_TYPE, Text, new_thread_id, summary_address
from bzzzd.ucxl.address import parse

NEW = "new"


def listing(run: Run) -> int:
    rows, following, _ = listed(
        person_of(run), "hmmm.list", "threads", run.args["limit"], open=run.args["open"] or None
    )
    head = ("THREAD", "STATE", "SAID", "LAST", "BY", "KIND", "SUBJECT")
    run.answer(
        {"threads": rows, "next": following},
        lambda: table(head, [_row(row) for row in rows], run.out) if rows else run.print("no thread is here"),
    )
    return 0


def _row(row: Mapping[str, Any]) -> tuple[object, ...]:
    mark = "* " if row.get("for_me") else ""
    return (
        row.get("id"), row.get("state"), row.get("count"), duration(max(0.0, time.time() - number(row.get("last_at")))),
        row.get("last_by"), row.get("last_kind"), f"{mark}{clean(row.get('subject'))}",
    )  # fmt: skip


def show(run: Run) -> int:
    person = person_of(run)
    found: Mapping[str, Any] = {}
    said: list[Mapping[str, Any]] = []
    after: object = None
    while True:
        asked = {"thread": run.args["thread"], "limit": PAGE, **({"after": after} if after else {})}
        found = mapping(person.read("hmmm.show", asked))
        said += rows_of(found, "messages")
        after = found.get("next")
        if not after:
            break
    run.answer({"thread": found.get("thread"), "messages": said}, lambda: _print(run, mapping(found["thread"]), said))
    return 0


def _print(run: Run, thread: Mapping[str, Any], said: Sequence[Mapping[str, Any]]) -> None:
    ends = f", objections until {when(thread['window_ends'])}" if thread.get("window_ends") else ""
    subject = clean(thread.get("subject")) or "(its subject is for other roles)"
    run.print(f"{subject}\n{clean(thread.get('id'))}  {clean(thread.get('state'))}{ends}")
    run.print(f"with {words(thread.get('participants'))}")
    for message in said:
        _print_message(run, message)


def _print_message(run: Run, message: Mapping[str, Any]) -> None:
    by = mapping(message.get("by"))
    marks = [clean(message.get(name)) for name in ("standing",) if message.get(name)]
    if message.get("aside"):
        marks.append(f"set aside: {clean(message['aside'])}")
    note = f"  [{', '.join(marks)}]" if marks else ""
    run.print(
        f"\n{when(message.get('at'))}  {clean(by.get('id'))} ({clean(by.get('role'))})  "
        f"{clean(message.get('kind')).upper()}{note}\n{clean(message.get('id'))}"
        + (f"  replies to {clean(message['reply_to'])}" if message.get("reply_to") else "")
    )
    for name, value in (("to", words(message.get("to"))), ("reason", clean(message.get("reason")))):
        if value:
            run.print(f"{name}: {value}")
    text = clean(message.get("text"), lines=True) if message.get("readable") else "(this text is for other roles)"
    run.print("\n".join(f"  {line}" for line in text.splitlines()))
    for ref in message.get("refs") or ():
        run.print(f"  -> {clean(ref)}")


def post(run: Run) -> int:
    person, now = person_of(run), time.time()
    begun = run.args["thread"] == NEW
    thread = new_thread_id(now) if begun else run.args["thread"]
    project = run.args["project"] if begun or not thread.startswith("t-") else _project(person, thread)
    kind = run.args["kind"] or ("answer" if run.args["reply_to"] else "question")
    text = run.text("text").decode("utf-8", "replace").strip()
    refs = _split(run.args["refs"])
    if kind == "summary" and not text:
        raise BadInput("a summary says how the thread ended; an empty one closes nothing")
    if kind == "summary":
        refs = [*refs, *_keep_summary(person, project, thread, text)]
    found = mapping(
        person.say(
            Text(text=text, subject=run.args["subject"], refs=tuple(refs), to=tuple(_split(run.args["to"])),
                 reason=run.args["reason"]),
            thread=thread, kind=kind, project=project, reply_to=run.args["reply_to"],
            window_s=run.args["window"] or 0.0, readers=_split(run.args["readers"]),
        )
    )  # fmt: skip
    said = mapping(found.get("message"))
    run.answer(found, lambda: run.print(f"{clean(said.get('id'))}\nread on: bzzz hmmm show {thread}"))
    return 0


def _project(person: Person, task: str) -> str:
    """The task's project; where the ledger cannot be asked now, the default one."""
    try:
        found = mapping(person.read("task.show", {"id": task}))
    except (Unavailable, UnknownOutcome):
        return "default"
    return str(mapping(found.get("task")).get("project") or "default")


def _keep_summary(person: Person, project: str, thread: str, text: str) -> list[str]:
    """Keep what closes a thread as context, where it is found without the thread; gives address and version."""
    address = parse(summary_address(person.id, person.role, project, thread))
    found = mapping(person.put(address, text.encode(), SUMMARY_TYPE))
    return [address.canonical, str(found.get("version_id"))]


def _split(value: object) -> list[str]:
    return [part.strip() for part in str(value).split(",") if part.strip()] if value else []
