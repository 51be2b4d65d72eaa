"""Message composition templates: a form's fields, what they accept, and the message that they become.

A form is data that somebody else wrote, so it can say little: fields of known kinds, conditions on other
fields, and texts with variables (``wording.py``). No expressions, no patterns, no programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from bzzzd.config.faults import Path, Problem
from bzzzd.errors import BzzzError
from bzzzd.hmmm import wording
from bzzzd.ucxl.address import parse

FieldKind = Literal["text", "lines", "choice", "number", "date", "address", "file", "person", "role"]
Sends = Literal["task", "proposal", "question", "answer", "agreement", "concern", "objection", "summary", "escalation"]

LINE_LIMIT: Final = 500
LINES_LIMIT: Final = 400_000
FILE_LIMIT: Final = 262_144

Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z", title="a word of a-z 0-9 _ that begins with a letter")]
# Forms are shown in terminals: nothing in them may move a cursor or turn a line around.
_BIDI: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
Line = Annotated[
    str,
    Meta(
        max_length=LINE_LIMIT,
        pattern=rf"^[^\x00-\x1f\x7f-\x9f{_BIDI}]*\Z",
        title="text of one line, without control characters",
    ),
]
Text = Annotated[
    str,
    Meta(
        max_length=65_536,
        pattern=rf"^[^\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}]*\Z",
        title="text without control characters",
    ),
]
_NAME: Final = r"[A-Za-z0-9_-]{1,64}"


def _doc(text: str) -> Meta:
    return Meta(description=text)


class _Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class When(_Part, frozen=True):
    """A condition on a field before: it has one of these values, or, without ``equals``, any value at all."""

    field: Annotated[Word, _doc("the field that decides")]
    equals: Annotated[tuple[Line, ...], _doc("the values that fulfil it; left out: any value")] = ()


class Field(_Part, frozen=True):
    """One field. Bounds: characters for texts, the number itself for ``number``."""

    name: Annotated[Word, _doc("its variable in the message")]
    label: Annotated[Line, _doc("what stands before it")]
    kind: Annotated[FieldKind, _doc("what it accepts")] = "text"
    help: Annotated[Line, _doc("one line that says what is wanted")] = ""
    required: Annotated[bool, _doc("whether it must have a value")] = False
    default: Annotated[Text, _doc("its value at the start")] = ""
    choices: Annotated[tuple[Line, ...], _doc("the values of a `choice`")] = ()
    least: Annotated[float | None, _doc("smallest number, or fewest characters")] = None
    most: Annotated[float | None, _doc("largest number, or most characters")] = None
    when: Annotated[When | None, _doc("the field is shown only then")] = None


class Part(_Part, frozen=True):
    """A piece of the message's body."""

    text: Annotated[Text, _doc("text with variables")]
    when: Annotated[When | None, _doc("left out of the body unless this holds")] = None


class MessageText(_Part, frozen=True):
    """What the fields become; every text may have variables."""

    title: Annotated[Line, _doc("title of the task, subject of the thread")]
    body: Annotated[tuple[Part, ...], _doc("pieces that follow each other, separated by an empty line")]
    role: Annotated[Line, _doc("role that may take the task")] = ""
    capability: Annotated[Line, _doc("capability that the task needs")] = ""
    kind: Annotated[Line, _doc("kind of the message where a field decides it; empty: what `sends` says")] = ""
    to: Annotated[tuple[Line, ...], _doc("people, and roles as role:NAME, that are mentioned or called")] = ()
    reason: Annotated[Line, _doc("why an escalation calls them")] = ""
    window_min: Annotated[Line, _doc("minutes within which a proposal may be objected to")] = ""
    references: Annotated[tuple[Line, ...], _doc("UCXL addresses that it refers to")] = ()


class Form(_Part, frozen=True):
    """A template as its file has it."""

    version: Annotated[Literal[1], _doc("major number of this format")]
    title: Annotated[Line, _doc("its name in the list of forms")]
    sends: Annotated[Sends, _doc("a task, or a kind of message on a thread")]
    fields: Annotated[tuple[Field, ...], _doc("the fields, in their order")]
    message: Annotated[MessageText, _doc("the message that they become")]
    help: Annotated[Line, _doc("when to use it")] = ""


class Composed(Struct, frozen=True):
    """A message ready to be shown and sent."""

    sends: Sends
    title: str
    body: str
    role: str = ""
    capability: str = ""
    to: tuple[str, ...] = ()
    reason: str = ""
    window_s: float = 0.0
    references: tuple[str, ...] = ()


MAX_FIELDS: Final = 40
_TEXTS: Final = frozenset({"text", "lines"})


def problems(form: Form) -> Iterator[Problem]:
    """Broken rules that the shape alone does not show."""
    if not 0 < len(form.fields) <= MAX_FIELDS:
        yield Problem(("fields",), f"a form has 1 to {MAX_FIELDS} fields", "split it, or add one")
    before: dict[str, Field] = {}
    for index, field in enumerate(form.fields):
        at = ("fields", index)
        if field.name in before:
            yield Problem((*at, "name"), f"there is a field {field.name} already", "give each field its own name")
        if field.when is not None:
            yield from _condition(field.when, before, (*at, "when"))
        yield from _field(field, at)
        before[field.name] = field
    known = frozenset(before)
    message = form.message
    texts: list[tuple[Path, str]] = [
        (("message", name), getattr(message, name))
        for name in ("title", "role", "capability", "kind", "reason", "window_min")
    ]
    texts += [(("message", "to", index), text) for index, text in enumerate(message.to)]
    texts += [(("message", "references", index), text) for index, text in enumerate(message.references)]
    texts += [(("message", "body", index, "text"), part.text) for index, part in enumerate(message.body)]
    for path, text in texts:
        for fault in wording.faults(text, known):
            yield Problem(path, fault, "correct the variable, or add a field of that name")
    for index, part in enumerate(message.body):
        if part.when is not None:
            yield from _condition(part.when, before, ("message", "body", index, "when"))


def _condition(when: When, before: Mapping[str, Field], at: Path) -> Iterator[Problem]:
    field = before.get(when.field)
    if field is None:
        names = ", ".join(before) or "none"
        yield Problem((*at, "field"), f"no field {when.field} stands before", f"name one that does ({names})")
        return
    for index, value in enumerate(when.equals):
        if field.kind == "choice" and value not in field.choices:
            yield Problem(
                (*at, "equals", index), f"{field.name} is never “{value}”", f"use one of {', '.join(field.choices)}"
            )


def _field(field: Field, at: Path) -> Iterator[Problem]:
    if field.kind == "choice" and not field.choices:
        yield Problem((*at, "choices"), "a choice needs its values", "add `choices: [first, second]`")
    if field.kind != "choice" and field.choices:
        yield Problem((*at, "choices"), f"a field of kind {field.kind} has no choices", "set `kind: choice`")
    if field.kind not in (*_TEXTS, "number"):
        for name in ("least", "most"):
            if getattr(field, name) is not None:
                yield Problem((*at, name), f"a field of kind {field.kind} has no bounds", "take it away")
    if field.least is not None and field.most is not None and field.least > field.most:
        yield Problem((*at, "least"), "the lower bound is over the upper one", "exchange them")
    if field.default and not field.default.startswith("$") and (fault := fault_of(field, field.default)):
        yield Problem((*at, "default"), fault, "correct the default")


def start(form: Form, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """The values of a form that is opened: its defaults, where ``$name`` takes one of ``known``."""
    return {
        field.name: wording.fill(field.default, known or {}) if "$" in field.default else field.default
        for field in form.fields
    }


def holds(when: When | None, values: Mapping[str, str]) -> bool:
    if when is None:
        return True
    value = values.get(when.field, "").strip()
    return value in when.equals if when.equals else bool(value)


def shown(form: Form, values: Mapping[str, str]) -> tuple[Field, ...]:
    """The fields that are asked for, given ``values``. One whose condition hangs on a hidden field is hidden too."""
    seen: dict[str, str] = {}
    found: list[Field] = []
    for field in form.fields:
        if holds(field.when, seen):
            seen[field.name] = values.get(field.name, "")
            found.append(field)
    return tuple(found)


def fault_of(field: Field, value: str) -> str:
    """Why ``field`` does not accept ``value``, or nothing."""
    text = value.strip()
    if not text:
        return f"{field.label} is needed" if field.required else ""
    if field.kind != "lines" and ("\n" in text or "\r" in text):
        return f"{field.label} has one line"
    match field.kind:
        case "text" | "lines":
            return _length(field, value)
        case "choice":
            return "" if text in field.choices else f"{field.label} is one of {', '.join(field.choices)}"
        case "number":
            return _number(field, text)
        case "date":
            return _date(field, text)
        case "address":
            try:
                parse(text)
            except BzzzError as error:
                return f"{field.label}: {error.message}"
        case "file":
            return "" if text.startswith(("/", "~/")) else f"{field.label} is a path from / (or ~/) on"
        case "person" | "role":
            try:
                msgspec.convert(text, Annotated[str, Meta(pattern=f"^{_NAME}\\Z")])
            except msgspec.ValidationError:
                return f"{field.label} is a name of 1 to 64 of A-Z a-z 0-9 _ -"
    return ""


def limit(field: Field) -> int:
    """How many characters a field holds."""
    most = LINES_LIMIT if field.kind == "lines" else LINE_LIMIT if field.kind == "text" else 1024
    return int(min(most, field.most)) if field.most is not None and field.kind in _TEXTS else most


def _length(field: Field, value: str) -> str:
    most = limit(field)
    if len(value) > most:
        return f"{field.label} has at most {most} characters, and these are {len(value)}"
    if field.least is not None and len(value.strip()) < field.least:
        return f"{field.label} has at least {int(field.least)} characters"
    return ""


def _number(field: Field, text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        return f"{field.label} is a number"
    if number != number or abs(number) > 1e15:
        return f"{field.label} is a number"
    if field.least is not None and number < field.least:
        return f"{field.label} is at least {field.least:g}"
    if field.most is not None and number > field.most:
        return f"{field.label} is at most {field.most:g}"
    return ""


def _date(field: Field, text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return f"{field.label} is a date like 2026-03-01, or 2026-03-01 14:30"
    return ""


def faults(form: Form, values: Mapping[str, str]) -> dict[str, str]:
    """What keeps the form from being sent, by field; hidden fields are not asked for."""
    return {
        field.name: fault for field in shown(form, values) if (fault := fault_of(field, values.get(field.name, "")))
    }


def compose(form: Form, values: Mapping[str, str], files: Mapping[str, str] | None = None) -> Composed:
    """The message that the values make; hidden fields count as empty.

    ``files`` are the texts of ``file`` fields by name; without one the path itself stands there.
    """
    visible = shown(form, values)
    given = {field.name: _trimmed(field, values.get(field.name, "")) for field in visible}
    said = {**given, **{name: text for name, text in (files or {}).items() if name in given}}
    message = form.message
    body = [wording.fill(part.text, said).strip("\n").rstrip() for part in message.body if holds(part.when, given)]
    kind = wording.fill(message.kind, given).strip()
    sends = next((known for known in get_args(Sends) if known == kind), form.sends)
    return Composed(
        sends=sends,
        title=_one_line(wording.fill(message.title, given)),
        body="\n\n".join(part for part in body if part.strip()),
        role=wording.fill(message.role, given).strip(),
        capability=wording.fill(message.capability, given).strip(),
        to=_filled(message.to, given),
        reason=_one_line(wording.fill(message.reason, given)) if sends == "escalation" else "",
        window_s=_minutes(wording.fill(message.window_min, given)) if sends == "proposal" else 0.0,
        references=_filled(message.references, given),
    )


def _trimmed(field: Field, value: str) -> str:
    """A value without the space around it; the first line of a text of lines keeps its indent."""
    return value.strip("\n").rstrip() if field.kind == "lines" else value.strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())[:LINE_LIMIT]


def _minutes(text: str) -> float:
    try:
        return max(0.0, float(text) * 60.0)
    except ValueError:
        return 0.0


def _filled(texts: tuple[str, ...], values: Mapping[str, str]) -> tuple[str, ...]:
    """Each text that says something; one whose variables are all empty is left out, whatever stands around them.

    A value of several words is several addressees.
    """
    said: list[str] = []
    for text in texts:
        names = wording.variables(text)
        if not names or any(values.get(name, "").strip() for name in names):
            said += wording.fill(text, values).replace(",", " ").split()
    return tuple(dict.fromkeys(said))
