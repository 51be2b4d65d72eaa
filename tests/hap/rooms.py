"""The rooms of threads, context, events and the log with something in them."""

from __future__ import annotations

from bzzzd.hap.feeds import context, feed, logs, talk
from bzzzd.hap.messages import Answered, Began, Came
from bzzzd.hap.values.model import Model

from .builders import NOW, after, keys, online

HIDE = "ucxl://worker-2:worker@default:t-0003/*^/decision"
ENTRIES = [
    {"address": HIDE, "versions": 3, "author": "worker-2", "at": NOW - 3600, "size": 214, "content_type": "text/plain",
     "readers": ["operator", "worker"], "conflict": False},
    {"address": "ucxl://worker-2:worker@default:t-0003/*^/notes/first-look", "versions": 1, "author": "worker-2",
     "at": NOW - 3700, "size": 90, "content_type": "text/markdown", "readers": ["worker"]},
    {"address": "ucxl://worker-1:worker@parser:t-0002/*^/decision", "versions": 2, "author": "worker-1",
     "at": NOW - 90000, "size": 4_096_000, "content_type": "application/octet-stream", "readers": ["operator"],
     "conflict": True},
    {"address": "ucxl://lena:operator@default:t-0001/*^/thread/summary", "versions": 1, "author": "lena",
     "at": NOW - 100, "size": 900, "content_type": "text/markdown", "readers": ["operator", "worker"]},
    {"address": "no address at all", "versions": 1},
]  # fmt: skip
TEXTS = {
    1: "The backups of the mail server\n\nThey hold the queues.\nThey hold the keys.\nNothing is missing.",
    2: "The backups of the mail server\n\nThey hold the queues.\nNothing is missing.",
    3: "The backups of the mail server\n\nThey hold the queues.\nThey do not hold the keys: 鍵がない 👩‍👩‍👧 "
       "and that is a line which is long enough to be broken in two, whatever the window.\nSomething is missing.",
}  # fmt: skip
HISTORY = {
    "address": HIDE, "of": 3, "next": None, "complete": True, "replicas": 3,
    "versions": [
        {"number": number, "version_id": f"{number}f" * 32, "author": "worker-2", "at": NOW - 7200 + 300 * number**2,
         "size": len(TEXTS[number]), "content_type": "text/plain", "readers": ["operator", "worker"], "epoch": 1,
         "parents": [f"{number - 1}f" * 32] if number > 1 else [], "head": number == 3,
         "holders": ["node-1", "node-2"]}
        for number in TEXTS
    ],
}  # fmt: skip
THREADS = [
    {"id": "t-0001", "task": "t-0001", "subject": "", "participants": ["keeper", "lena"], "count": 6,
     "last_at": NOW - 40, "last_kind": "question", "last_by": "keeper", "state": "closing",
     "window_ends": NOW + 250, "for_me": True},
    {"id": "x-0009", "task": "", "subject": "Who looks after the firewall at night?", "participants": ["otto"],
     "count": 1, "last_at": NOW - 5000, "last_kind": "question", "last_by": "otto", "state": "open"},
    {"id": "t-0003", "task": "t-0003", "subject": "要約の長さ", "participants": ["worker-2", "otto"], "count": 3,
     "last_at": NOW - 90000, "last_kind": "summary", "last_by": "otto", "state": "closed"},
]  # fmt: skip


def _said(id: str, kind: str, by: str, at: float, text: str, **more: object) -> dict[str, object]:
    who = {"id": by, "kind": "person" if by in ("lena", "otto") else "agent", "role": "operator"}
    return {"id": id, "kind": kind, "by": who, "at": NOW + at, "text": text, "readable": True, **more}


MESSAGES = [
    _said("h-1", "proposal", "keeper", -600, "I delete every backup that is older than 90 days.\nThere are 41.",
          window_ends=NOW + 250, standing="objected", refs=[HIDE, "ab" * 32]),
    _said("h-2", "objection", "lena", -500, "Not the one of the first of the month.", reply_to="h-1"),
    _said("h-3", "question", "keeper", -40, "Of which month? \x1b[31m‮drowssap\x07 要約の長さ", reply_to="h-2",
          to=["lena"]),
    _said("h-4", "concern", "otto", -300, "", reply_to="h-1", readable=False),
    _said("h-5", "escalation", "keeper", -20, "Somebody has to say which.", to=["role:operator"],
          reason="the plan is objected to and the deadline is near"),
    _said("h-6", "answer", "worker-1", -10, "All of them?", reply_to="h-9", aside="hops"),
]  # fmt: skip
EVENTS = [
    {"source": "mesh", "kind": "joined", "id": "node-2", "at": NOW - 7200},
    {"source": "ledger", "kind": "term", "detail": "term 4: node-1 is the coordinator", "at": NOW - 7100},
    {"source": "ledger", "kind": "decision", "task": "t-0003", "agent": "worker-2", "address": HIDE, "at": NOW - 3600},
    {"source": "storage", "kind": "damaged", "version_id": "ab" * 32, "at": NOW - 90000},
    {"source": "mesh", "kind": "cut_off", "id": "node-9", "detail": "it forged a message", "at": NOW - 60},
]
LOG = [
    "2025-10-09T08:53:20.000000Z info     node started  phase=monitoring seconds=1.2",
    "2025-10-09T08:53:21.000000Z debug    lease renewed  task=t-0005 agent=worker-1",
    "2025-10-09T08:53:25.000000Z warning  holders were not looked at  error=\"the disk is full\"",
    "2025-10-09T08:53:29.000000Z error    service died  service=mesh\n    Traceback (most recent call last):\n"
    "    OSError: gone",
    "words that no renderer has written",
]  # fmt: skip


def shelved(width: int = 80, height: int = 24) -> Model:
    """The context in view, its tree folded."""
    model = after(online(width, height), *keys("4"))
    return after(model, Answered(("context", ""), context.listing({"entries": ENTRIES, "next": None})))


def unfolded(width: int = 80, height: int = 24) -> Model:
    """As ``shelved``, the worker with two addresses unfolded and its decision chosen."""
    return after(shelved(width, height), *keys("j j enter j"))


def book(width: int = 80, height: int = 24) -> Model:
    """An opened address with everything that was asked for."""
    model = after(unfolded(width, height), *keys("enter"))
    model = after(model, Answered(("editions", HIDE), context.editions(HISTORY)))
    for number, text in TEXTS.items():
        answer = {"version_id": f"{number}f" * 32, "number": number, "content": text.encode(), "content_type": "text/x"}
        model = after(model, Answered(("reading", HIDE, str(number)), context.reading(answer)))
    return model


def talking(width: int = 80, height: int = 24) -> Model:
    """The threads in view."""
    model = after(online(width, height), *keys("3"))
    return after(model, Answered(("threads", ""), talk.threads({"threads": THREADS, "next": None})))


def conversation(width: int = 80, height: int = 24) -> Model:
    """An opened thread with its messages."""
    model = after(talking(width, height), *keys("enter"))
    spoken = talk.spoken({"thread": THREADS[0], "messages": MESSAGES, "next": None})
    return after(model, Answered(("spoken", "t-0001", ""), spoken))


def eventful(width: int = 80, height: int = 24) -> Model:
    """The events in view: some from before, one that came since."""
    model = after(online(width, height), Began("events", feed.items("events", EVENTS[:-1])))
    return after(model, Came("events", feed.items("events", EVENTS[-1:]), 7), *keys("8"))


def logged(width: int = 80, height: int = 24) -> Model:
    """The log in view."""
    model = after(online(width, height), *keys("9"))
    return after(model, Answered(("logs",), logs.tail({"lines": LOG, "number": len(LOG)})))
