"""What the agent says and understands, by rule: plans from brief and handler, remarks of others, the summary.

No model is asked here: a talk must not depend on a small one's cleverness. What others say is data: it is
bounded, quoted, and no word of it becomes a command.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from msgspec.structs import replace as changed

from bzzzd.agent.handlers.base import Handler, Job
from bzzzd.agent.handlers.model import Answering, Summarise
from bzzzd.agent.handlers.programs import Command, External
from bzzzd.agent.handlers.prose import prose, shorten
from bzzzd.agent.text import clean

_LINE_CHARS: Final = 300
_REMARKS: Final = 12
_SUMMARY_LINES: Final = 60
_TITLE_CHARS: Final = 120
# Kinds that may tell an agent to do its work otherwise.
_HEEDED: Final = ("question", "answer", "agreement", "concern", "objection", "proposal")

Message = Mapping[str, Any]


def one_line(text: str, limit: int = _LINE_CHARS) -> str:
    """A text in one clean line."""
    return shorten(" ".join(clean(text).split()), limit)


def plan_of(handler: Handler, job: Job) -> str:
    """What the agent is about to do."""
    title = one_line(job.brief.title, _TITLE_CHARS)
    if isinstance(handler, Command):
        argv = job.brief.args.get("argv")
        words = " ".join(map(str, argv)) if isinstance(argv, list) else "nothing: the task names no program"
        step = f"I run this in the sandbox, as it stands: {one_line(words)}"
    elif isinstance(handler, External):
        step = "I give the task to the program that I am configured with, in the sandbox, and hand in what it returns."
    elif isinstance(handler, Summarise):
        size = len(prose(_text(job)))
        step = f"I ask my model for a short summary of the text ({size} characters), and hand that in."
    elif isinstance(handler, Answering):
        step = "I ask my model, with the task and what was said here, and hand in its answer."
    else:
        capability = one_line(str(job.task.get("capability") or ""), 64)
        step = f"I do it with my handler for {capability or 'tasks of any kind'}, and hand in what it gives."
    heard = "\n\nWhat was said here goes into it:\n\n" + "\n".join(f"- {line}" for line in job.remarks)
    return f"My plan for “{title}”:\n\n{step}{heard if job.remarks and heeds(handler) else ''}"


def heeds(handler: Handler) -> bool:
    """Whether what is said can change what the handler does, other than keep it from doing it."""
    return isinstance(handler, Answering | Summarise)


def question_of(handler: Handler, job: Job) -> str:
    """What the agent is missing, as a question; empty when it has all that it needs."""
    if isinstance(handler, Summarise) and not prose(_text(job)):
        return f"“{one_line(job.brief.title, _TITLE_CHARS)}” came without a text. Which text shall I summarise?"
    return ""


def answered(job: Job, text: str) -> Job:
    """The job with what was missing."""
    return replace(job, brief=changed(job.brief, args={**job.brief.args, "text": text}))


def _text(job: Job) -> str:
    text = job.brief.args.get("text", "")
    return (text if isinstance(text, str) else "") or job.brief.body


def remarks_of(messages: Sequence[Message], me: str, readers: Sequence[str]) -> tuple[str, ...]:
    """What others said that may bear on the work, newest last: ``NAME (ROLE), KIND: TEXT``, a line each.

    Only what all ``readers`` of the result may read: it goes into the result.
    """
    lines = [
        f"{_by(message)}, {message['kind']}: {one_line(str(message['text']))}"
        for message in messages
        if message["by"]["id"] != me and message["kind"] in _HEEDED and quotable(message, readers)
    ]
    return tuple(lines[-_REMARKS:])


def quotable(message: Message, readers: Sequence[str]) -> bool:
    """Whether a message may be quoted in something that ``readers`` read."""
    return bool(message.get("readable")) and not message.get("aside") and set(readers) <= set(message["readers"])


def answer_to(messages: Sequence[Message], question: Message, me: str) -> Message | None:
    """The first answer after a question: a reply to it, or an answer that replies to nothing."""
    for message in messages:
        other = message["by"]["id"] != me and message.get("readable") and not message.get("aside")
        loose = message["reply_to"] is None and message["at"] >= question["at"]
        if other and message["kind"] == "answer" and (loose or message["reply_to"] == question["id"]):
            return message
    return None


def objections_of(messages: Sequence[Message], plan: Message) -> list[Message]:
    """The objections that stand against a plan."""
    return [message for message in messages if message["id"] in plan["objections"]]


def names_of(messages: Sequence[Message]) -> str:
    return ", ".join(dict.fromkeys(_by(message) for message in messages)) or "somebody"


def summary_of(title: str, messages: Sequence[Message], readers: Sequence[str], ended: str, decision: str) -> str:
    """A thread in Markdown: how the task ended, where its decision is, and what was said in order."""
    lines = [
        f"# {one_line(title, _TITLE_CHARS)}",
        "",
        one_line(ended),
        *([f"Decision: {decision}"] if decision else []),
    ]
    said = [message for message in messages if not message.get("aside")]
    lines += ["", f"What was said ({len(said)}):", ""]
    for message in said[-_SUMMARY_LINES:]:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(message["at"]))
        text = one_line(str(message["text"])) if quotable(message, readers) else "(for some roles only)"
        standing = f" [{message['standing']}]" if message.get("standing") else ""
        lines.append(f"- {at}Z {_by(message)}, {message['kind']}{standing}: {text}")
    return "\n".join(lines) + "\n"


def _by(message: Message) -> str:
    by = message["by"]
    return f"{by['id']} ({by['role']})"
