"""``--headless``: the portal as JSON lines, one object a line, both ways.

Lines out, by ``type``:

| type | fields | when |
|---|---|---|
| `hello` | `schema` 1, `version` | first line |
| `link` | `state` connecting/online/offline, `why`, `socket`, `number`, `seen` | the connection changes |
| `me` | `id`, `kind`, `role`, `mend` | it is known who the daemon takes the caller for |
| `status` | `status` | the node tells another status |
| `task` | `task` | a task is new or has changed |
| `gone` | `id` | a task is not listed any more |
| `agents`, `peers`, `health` | a field of the same name | they changed |
| `page` | `page` (`kind`, `id`, `tab`, `brief`, `decision`, `history`, `trace`, `faults`) | what was opened changes |
| `prompt` | `prompt` (what every member may see, `title`, `for_me`) | a prompt is new or has changed |
| `question` | `question` (the text, the exact action, `fault` when it is not proven) | it is opened, or changes |
| `receipt` | `receipt` (`prompt`, `command`, `choice`, `state`, `entry`, `why`) | first, and when it changes |
| `thread`, `message` | `thread`; `thread` and `message` | a thread is new or has changed; something was said |
| `entry`, `book` | a field of the same name | an address of the context; an opened one with versions and texts |
| `log` | `log` (`at`, `level`, `text`, `fields`, `rest`) | an entry of the log, while it is followed |
| `event` | `kind`, `level` ok/info/warn/bad, `text` | something happened on the mesh |
| `notice` | `level` ok/info/warn/bad, `text` | something to tell |
| `pending` | `pending` (each `id`, `kind`, `task`, `due`, `reason`) | which orders can be undone has changed |
| `needs` | `needs` (each `id`, `kind`, `title`, `by`, `at`, `expires`, `risk`, `target`) | first, and as it changes |
| `handled` | `re`, `action`, ids: `commands` begun, `pending` to undo, `waits` new; `notice` | after each line in |
| `outcome` | `command`, `ok`, `task` or `message` (its id), or `code` and `message` | a command was answered |
| `error` | `re`, `code`, `message` | a line in cannot be used |

Lines in: ``{"action": NAME, "id": any value given back as "re", ...arguments}``. The names are those of the action
registry; with arguments: ``submit`` (`form`, `thread`, `reply_to`, and the fields of the form; without `form` a
task's: `title`, `body`, `role`, `capability`), ``cancel`` and ``retry`` (`task`, `reason`, `now` true to leave out
the 5 s in which ``undo`` takes it back), ``open`` (`task`, `prompt`, or in another list its id as `row`, with that list
as `view` when it is not in view), ``answer`` of the opened prompt (`choice`, or `text`, or `fields` by name; `word`,
the name of the action, when the risk is high; `now`; `prompt` and `digest`, which must be those of the text in view),
``deny`` (`now`, `prompt`, `digest`), ``unlock`` (`passphrase`), ``filter`` (`text`), ``theme`` (`name`), ``look``
(`pattern`, a UCXL address), ``group`` (`by`), ``reference`` (`to`), ``conversation`` (`task`), ``level`` (`level`),
``save`` (`path`, `over` "yes" to write over a file). The end of input is ``quit``, unless the configuration makes the
portal a service (``interface.mode: headless``), which ends with SIGTERM.

Text in it is as safe as on the screen: no control, escape or bidirectional characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bzzzd.errors import UNREADABLE, BadInput, BzzzError
from bzzzd.hap.feeds.events import Happened
from bzzzd.hap.lines import headless_prompts, headless_rooms
from bzzzd.hap.messages import Act, Answered, Came, Message, Online, Refused
from bzzzd.hap.values.model import Model
from bzzzd.hap.values.sheets import BUILT_IN
from bzzzd.hap.values.things import Task
from bzzzd.hap.writing.composing import PLACE, sheet_of

SCHEMA = 1
_ARGUMENTS: Mapping[str, frozenset[str]] = {
    "cancel": frozenset({"task", "reason", "now"}),
    "retry": frozenset({"task", "reason", "now"}),
    "open": frozenset({"task", "prompt", "row", "view"}),
    "filter": frozenset({"text"}),
    "theme": frozenset({"name"}),
    "look": frozenset({"pattern"}),
    "group": frozenset({"by"}),
    "level": frozenset({"level"}),
    "reference": frozenset({"to"}),
    "conversation": frozenset({"task"}),
    "save": frozenset({"path", "over"}),
    "reply": frozenset({"reply_to", "kind", "text", "to"}),
    **headless_prompts.ARGUMENTS,
    "unlock": frozenset({"passphrase"}),
}

# The actions that write, and the form that each means unless it is told another one.
_FORMS: Mapping[str, str] = {"submit": "task", "new": "task", "write": "task", "message": "message"}

Line = dict[str, Any]


def encode(line: Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def read(line: bytes, model: Model) -> tuple[Act, Any]:
    """The action of a line and the value to answer it with; raises ``BadInput``, or ``Conflict`` for an answer."""
    try:
        given = msgspec.json.decode(line)
    except UNREADABLE as error:
        raise BadInput(f"this line is not JSON: {error}") from error
    if not isinstance(given, dict) or not isinstance(given.get("action"), str):
        raise BadInput('a line is an object like {"action": "tasks"}')
    name, re = given["action"], given.get("id")
    action = model.registry.by_name.get(name)
    if action is None:
        raise BadInput(f"there is no action {name[:64]!r}", re=re)
    args = {key: value for key, value in given.items() if key not in ("action", "id")}
    known = _arguments(name, str(args.get("form") or _FORMS.get(name, "task")), model)
    if unknown := sorted(set(args) - known):
        takes = ", ".join(sorted(known)) or "no arguments"
        raise BadInput(f"{name} has no argument {unknown[0][:64]!r}; it takes {takes}", re=re)
    if wrong := [key for key, value in args.items() if not isinstance(value, str) and key not in ("now", "fields")]:
        raise BadInput(f"the argument {wrong[0]} of {name} is text", re=re)
    if name in headless_prompts.ARGUMENTS:
        try:
            args = headless_prompts.answering(model, args)
        except BzzzError as error:
            error.data["re"] = re
            raise
    if "row" in args:
        args["id"] = args.pop("row")
    return Act(name, args), re


def _arguments(name: str, form: str, model: Model) -> frozenset[str]:
    """What an action takes; one that writes takes the fields of its form."""
    if name not in _FORMS:
        return _ARGUMENTS.get(name, frozenset())
    sheet = sheet_of(model, form)
    if sheet is None:
        raise BadInput(f"there is no form {form[:40]!r}; there are {', '.join([*BUILT_IN, *model.sheets])}")
    return PLACE | {field.name for field in sheet.fields}


def first(model: Model) -> list[Line]:
    """What is known before the daemon has answered: the last view of the person's portal before this one."""
    found: list[Line] = [{"type": "link", **msgspec.to_builtins(model.link)}]
    found += [{"type": "task", "task": msgspec.to_builtins(row)} for row in model.tasks.values()]
    for name in ("agents", "peers"):
        if rows := getattr(model, name):
            found.append({"type": name, name: msgspec.to_builtins(rows)})
    return found + headless_prompts.first(model) + headless_rooms.first(model)


def begun(old: Model, new: Model, act: Act, re: Any) -> Line:
    """The answer to a line in: which commands it has begun, and which orders wait until they cannot be undone."""
    return {
        "type": "handled",
        "re": re,
        "action": act.action,
        "commands": sorted(new.flying - old.flying),
        "pending": _undoable(new),
        "waits": sorted(set(_undoable(new)) - set(_undoable(old))),
        "notice": new.notice.text if new.notice != old.notice else "",
    }


def _undoable(model: Model) -> list[str]:
    return [*(order.id for order in model.pending), *(answer.id for answer in model.answers)]


def lines(old: Model, new: Model, message: Message) -> list[Line]:
    """What changed, in the order in which it makes sense to read it."""
    found: list[Line] = []
    if (old.link.state, old.link.why) != (new.link.state, new.link.why):
        link = msgspec.to_builtins(new.link)
        found.append({"type": "link", **link})
    if old.me != new.me or isinstance(message, Online):
        found.append({"type": "me", **msgspec.to_builtins(new.me)})
    if old.status != new.status:
        found.append({"type": "status", "status": msgspec.to_builtins(new.status)})
    found += _tasks(old, new)
    for name in ("agents", "peers", "health"):
        if getattr(old, name) != getattr(new, name):
            found.append({"type": name, name: msgspec.to_builtins(getattr(new, name))})
    if old.pending != new.pending:
        found.append({"type": "pending", "pending": msgspec.to_builtins(new.pending)})
    if new.page is not None and new.page != old.page:
        page = msgspec.to_builtins(new.page)
        found.append({"type": "page", "page": {name: page[name] for name in page if name not in ("scroll", "wanted")}})
    if new.notice.text and new.notice != old.notice:
        found.append({"type": "notice", "level": new.notice.level, "text": new.notice.text})
    return (
        found
        + headless_prompts.lines(old, new, message)
        + headless_rooms.lines(old, new)
        + _events(message)
        + _outcome(message)
    )


def _tasks(old: Model, new: Model) -> list[Line]:
    if old.tasks is new.tasks:
        return []
    changed = [
        {"type": "task", "task": msgspec.to_builtins(row)} for row in new.tasks.values() if row != old.tasks.get(row.id)
    ]
    return [*changed, *({"type": "gone", "id": id} for id in old.tasks if id not in new.tasks)]


def _events(message: Message) -> list[Line]:
    """Each thing that happened, however many came at once."""
    items = message.items if isinstance(message, Came) else ()
    told = [item for item in items if isinstance(item, Happened)]
    return [
        {"type": "event", "kind": one.what, "level": one.news.level, "text": one.news.text}
        for one in told
        if one.news is not None
    ]


def _outcome(message: Message) -> list[Line]:
    match message:
        case Answered(tag=("submit" | "order", id), value=Task() as task):
            return [{"type": "outcome", "command": id, "ok": True, "task": task.id}]
        case Answered(tag=("post", id), value=str() as said):
            return [{"type": "outcome", "command": id, "ok": True, "message": said}]
        case Refused(tag=("submit" | "post" | "order", id), fault=fault):
            return [{"type": "outcome", "command": id, "ok": False, "code": fault.code, "message": fault.message}]
    return []
