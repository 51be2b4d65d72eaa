"""The log of this node, read on while it is in view."""

from __future__ import annotations

from msgspec.structs import replace

from bzzzd.hap.handlers.soon import soon
from bzzzd.hap.handling import Args, Handlers, Result
from bzzzd.hap.messages import Ask, Effects, Tag
from bzzzd.hap.orders import say
from bzzzd.hap.values import lists, logbook
from bzzzd.hap.values.logbook import LEVELS, MOST, Logbook, Tail
from bzzzd.hap.values.model import Model
from bzzzd.hap.values.things import Fault

EVERY_S = 1.0
FIRST = 1000


def entering(model: Model) -> Result:
    """The view is shown: read what is new, and go on at the newest entry."""
    if model.me.guest and model.link.state == "online":
        mend = f": {model.me.mend}" if model.me.mend else ""
        return replace(model, logbook=replace(model.logbook, fault=f"reading the log needs a person's grant{mend}")), ()
    return _at_end(model), questions(model)


def questions(model: Model) -> Effects:
    """What came since it was read last."""
    if not model.let_in:
        return ()
    after = model.logbook.number
    return (Ask("logs.tail", {"lines": MOST if after else FIRST, "after": after}, ("logs",)),)


def came(model: Model, tag: Tag, value: Tail) -> Result:
    """Entries have come; while the log is in view and followed, they are asked for again."""
    newest = _stands_at_end(model)
    if value.lines:
        model = replace(model, logbook=logbook.read(model.logbook, value, model.now))
        model = _at_end(model) if newest and model.logbook.follow else lists.settled(model, "logs")
    else:
        model = replace(model, logbook=replace(model.logbook, number=value.number, seen=model.now, fault=""))
    return going_on(model)


def going_on(model: Model) -> Result:
    """Ask again in a moment, if somebody looks."""
    if model.view != "logs" or not model.logbook.follow:
        return model, ()
    return soon(model, "logs", EVERY_S)


def asked(model: Model) -> Result:
    """The moment has come."""
    return model, questions(model) if model.view == "logs" else ()


def refused(model: Model, tag: Tag, fault: Fault) -> Result:
    """The log cannot be read; the reason stands in its place."""
    told = f"the log cannot be read: {fault.message} ({fault.code})"
    return replace(model, logbook=replace(model.logbook, fault=told)), ()


def _stands_at_end(model: Model) -> bool:
    rows = lists.ids(model, "logs")
    return not rows or model.lists["logs"].chosen in ("", rows[-1])


def _at_end(model: Model) -> Model:
    rows = lists.ids(model, "logs")
    state = replace(model.lists["logs"], chosen=rows[-1] if rows else "")
    return lists.settled(lists.with_list(model, "logs", state), "logs")


def _with_book(model: Model, changed: Logbook) -> Model:
    newest = _stands_at_end(model)
    model = replace(model, logbook=changed)
    return _at_end(model) if newest else lists.settled(model, "logs")


def _level(model: Model, args: Args) -> Result:
    named = str(args.get("level") or "")
    if named and named not in LEVELS:
        return say(model, f"no level {named}; there are {', '.join(LEVELS)}", "warn"), ()
    changed = logbook.arranged(replace(model.logbook, level=named)) if named else logbook.louder(model.logbook)
    told = "every entry" if changed.level == LEVELS[0] else f"entries from {changed.level} up"
    return say(_with_book(model, changed), f"shown: {told}"), ()


def _follow(model: Model, _: Args) -> Result:
    changed = replace(model.logbook, follow=not model.logbook.follow)
    if not changed.follow:
        return say(replace(model, logbook=changed), "the log stands still; f follows it again"), ()
    return say(_at_end(replace(model, logbook=changed)), "the log is followed"), questions(model)


HANDLERS: Handlers = {"level": _level, "follow": _follow}
