"""publish and subscribe: raw topics, for scripts and tests."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from bzzzd.cli.output import clean, mapping, number, to_json_line, when
from bzzzd.cli.person import person_of
from bzzzd.cli.run import Run
from bzzzd.errors import BadInput, Unavailable
from bzzzd.rpc.follower import Snapshot

_TOPIC = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def publish(run: Run) -> int:
    topic = _topic(run)
    body = run.text("message")
    found = mapping(person_of(run).publish(topic, _text(body)))
    run.answer(found, lambda: run.print(f"sent as number {number(found.get('number')):.0f}"))
    return 0


def _topic(run: Run) -> str:
    name = str(run.args["topic"])
    if not _TOPIC.fullmatch(name):
        raise BadInput(f"{name[:64]!r} is no topic: a name has 1 to 64 of A-Z a-z 0-9 . _ -")
    return name


def _text(body: bytes) -> str | bytes:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body


def subscribe(run: Run) -> int:
    """Runs until Ctrl-C, or until ``--count`` messages came; with ``--json`` one JSON value a line."""
    topic, left = _topic(run), run.args["count"]
    if left == 0:
        return 0
    timeout = run.args["timeout"]
    until = time.monotonic() + timeout if timeout else None
    for event in person_of(run).events(f"topic:{topic}", until=until):
        if isinstance(event, Snapshot):
            lost = "; messages were missed here: they came faster than they were read" if event.missed else ""
            run.say(f"listening to {topic}{lost}")
            continue
        for item in event.items:
            run.print(to_json_line(item) if run.json else _line(mapping(item)))
            run.out.flush()
            if left is not None and (left := left - 1) == 0:
                return 0
    if left:
        raise Unavailable(f"the time was over and {left} of {run.args['count']} messages had not come")
    return 0


def _line(item: Mapping[str, Any]) -> str:
    payload = item.get("payload")
    body = mapping(payload).get("body", payload)
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    return f"{when(item.get('at'))}  {clean(item.get('author'))}  {clean(text)}"
