"""Prompts as they come and change, and opening one: its page pins what is on the screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from bzzzd.hap.feeds.prompts import PromptChanged
from bzzzd.hap.handlers import talking
from bzzzd.hap.handlers.opened import onward, open_task
from bzzzd.hap.handling import Result
from bzzzd.hap.messages import Ask, Due, Effects, Later, Look, Open, SaveCache, Tag
from bzzzd.hap.orders import say
from bzzzd.hap.values.asked import ENDED, WAITING, Asked, Prompt, Reception
from bzzzd.hap.values.lists import with_needs
from bzzzd.hap.values.model import Model, Page
from bzzzd.hap.values.things import Fault
from bzzzd.hap.writing import answering, replying

KEPT_PROMPTS: Final = 1000
KEPT_ASKED: Final = 100
KEPT_TEXT: Final = 2_000_000
"""Code points of the texts that are kept for the time without bzzzd."""
LIMIT: Final = 500
_ENDS: Final[Mapping[str, tuple[str, str]]] = {
    "executed": ("ok", "was done"),
    "failed": ("bad", "was tried and failed"),
    "unknown": ("bad", "may have been done or not: look, and say so in the inbox"),
}
QUESTION: Final = Ask("prompt.list", {"live": True, "limit": LIMIT}, ("prompts",))
"""Brings titles, which the stream may leave out."""


def merged(old: Prompt | None, new: Prompt) -> Prompt:
    """The newer of two pictures of one prompt; what only a list made for this person tells is kept."""
    if old is None:
        return new
    if new.updated < old.updated:
        old, new = new, old
    return replace(new, title=new.title or old.title, for_me=new.for_me or (old.for_me and new.state not in ENDED))


def with_prompts(model: Model, prompts: dict[str, Prompt]) -> Model:
    """The model with these prompts, no more than are kept; ended ones go first."""
    if len(prompts) > KEPT_PROMPTS:
        rows = sorted(prompts.values(), key=lambda row: (row.state in ENDED, -row.created))[:KEPT_PROMPTS]
        prompts = {row.id: row for row in rows}
    return answering.checked(with_needs(_repinned(replace(model, prompts=prompts))))


def _repinned(model: Model) -> Model:
    """A page whose text is not the ledger's any more takes no answer until it is opened again."""
    page = model.page
    if page is None or page.kind != "inbox" or not page.ready or page.id not in model.prompts:
        return model
    same = model.prompts[page.id].digest == page.pinned
    return model if same else replace(model, page=replace(page, ready=False))


def for_whom(model: Model, prompt: Prompt) -> Prompt:
    """The prompt with whether it asks this person: streams tell everybody the same."""
    mine = model.me.id in prompt.people or (bool(model.me.role) and model.me.role in prompt.roles)
    return prompt if prompt.for_me or not mine or model.me.guest else replace(prompt, for_me=True)


def snapshot(model: Model, found: Iterable[Prompt]) -> Model:
    """The prompts that are not over; of the others, what was seen of them stays."""
    prompts = {id: row for id, row in model.prompts.items() if row.state in ENDED}
    for new in found:
        prompts[new.id] = for_whom(model, merged(model.prompts.get(new.id), new))
    return with_prompts(model, prompts)


def listed(model: Model, found: Iterable[Prompt]) -> Model:
    prompts = dict(model.prompts)
    for new in found:
        prompts[new.id] = for_whom(model, merged(prompts.get(new.id), new))
    return with_prompts(model, prompts)


def came(model: Model, items: Iterable[PromptChanged]) -> tuple[Model, bool]:
    """Items of the stream; and whether a title must be asked for."""
    prompts, receptions, untitled = dict(model.prompts), dict(model.receptions), False
    told: tuple[str, str] | None = None
    for item in items:
        new = for_whom(model, merged(prompts.get(item.prompt.id), item.prompt))
        prompts[new.id] = new
        untitled = untitled or (new.for_me and not new.title)
        mine = receptions.get(new.id)
        # The answer's own entry tells its number, also where another portal of this person sent it.
        if item.what == "answered" and item.entry and item.by.partition(":")[2] == model.me.id:
            choice = next((one.choice for one in new.answers if one.by == model.me.id), "")
            known = mine or Reception(new.id, "", choice, "done", model.now)
            receptions[new.id] = replace(known, entry=item.entry)
        if mine is not None and mine.state == "done" and item.what in _ENDS:
            level, words = _ENDS[item.what]
            told = f"{replying.name_of(new, new.id)} {words}", level
    model = with_prompts(replace(model, receptions=receptions), prompts)
    # What answers a person's own doing stays until its time is over.
    return (say(model, *told) if told and not model.notice.text else model), untitled


def opening(model: Model, id: str) -> Result:
    """Open what a row of the inbox stands for."""
    need = next((need for need in model.needs if need.id == id), None)
    if need is not None and need.kind == "task":
        return open_task(model, need.target)
    if need is not None and need.kind == "mention":
        return talking.opening(model, need.target)
    if id not in model.prompts:
        return say(model, f"no prompt {id} is known here", "warn"), ()
    return open_prompt(model, id)


def marked(model: Model) -> Model:
    """The model in which the thread in view counts as read up to its newest message."""
    page = model.page
    if page is None or page.kind != "threads" or (thread := model.talk.threads.get(page.id)) is None:
        return model
    if thread.last_at <= model.read.get(thread.id, 0.0):
        return model
    read = {id: at for id, at in model.read.items() if id in model.talk.threads}
    return with_needs(replace(model, read={**read, thread.id: thread.last_at}))


def questions(model: Model) -> Effects:
    """What an opened prompt asks for, when it opens and when the daemon is back."""
    page = model.page
    if page is None or not model.let_in or page.id not in model.prompts:
        return ()
    prompt = model.prompts[page.id]
    fresh = prompt.for_me and prompt.state in WAITING and model.me.id not in prompt.seen_by
    return (Open(page.id), *((Look(page.id, prompt.task),) if fresh else ()))


def open_prompt(model: Model, id: str) -> Result:
    """Show a prompt. What is known of its text is in view at once; the daemon is asked for it all the same."""
    model = replace(onward(model), view="inbox", page=Page(kind="inbox", id=id, tab="prompt"), overlay=None)
    effects = questions(model)
    if id in model.asked:
        model, more = _in_view(model, model.asked[id])
        effects += more
    return model, effects


def _in_view(model: Model, asked: Asked) -> Result:
    """The text is on the screen now: the page pins it, and takes answers after the dead time."""
    page = model.page
    if page is None or page.kind != "inbox" or page.id != asked.id or page.pinned == asked.digest:
        return model, ()
    pinned = replace(page, pinned=asked.digest, ready=False)
    return replace(model, page=pinned), (Later(answering.DEAD_S, Due("ready", f"{asked.id} {asked.digest}")),)


def ready(model: Model, id: str) -> Result:
    """The dead time of a page is over, when it is still the same page with the same text."""
    page = model.page
    if page is None or f"{page.id} {page.pinned}" != id:
        return model, ()
    return replace(model, page=replace(page, ready=True)), ()


def arrived(model: Model, asked: Asked) -> Result:
    """A document was read and proven, or found wanting."""
    same = model.asked.get(asked.id) == asked
    kept = {id: one for id, one in model.asked.items() if id != asked.id}
    while kept and (len(kept) >= KEPT_ASKED or _size(kept.values()) > KEPT_TEXT):
        del kept[next(iter(kept))]
    model = answering.checked(replace(model, asked={**kept, asked.id: asked}))
    model, effects = _in_view(model, asked)
    return model, effects if same else (*effects, SaveCache())


def _size(kept: Iterable[Asked]) -> int:
    return sum(len(one.body) + len(one.args) for one in kept)


def unread(model: Model, id: str, why: str) -> Result:
    """A document could not be read."""
    if model.page is None or model.page.id != id:
        return model, ()
    faults: Mapping[str, str] = {**model.page.faults, "prompt": why}
    return replace(model, page=replace(model.page, faults=faults)), ()


# What the rooms' table names.


def answered(model: Model, tag: Tag, value: Any) -> Result:
    """An answer about prompts has come."""
    match tag[0]:
        case "prompts":
            return listed(model, value), ()
        case "prompt":
            return arrived(model, value)
        case "kept":
            return replying.kept(model, tag[1], tag[2])
        case "outbox":
            return replying.lying(model, value, tag[1:]), ()
    return replying.done(model, tag[1], value)


def refused(model: Model, tag: Tag, fault: Fault) -> Result:
    """A question about prompts, or an answer that could not even be sent, was refused."""
    text = f"{fault.message} ({fault.code})"
    if tag[0] == "reply":
        return replying.failed(model, tag[1], text)
    if tag[0] == "prompts":  # an older daemon has none
        older = fault.code in ("UNKNOWN_METHOD", "NOT_FOUND", "UNREACHABLE")
        return (model if older or model.me.guest else say(model, f"could not read prompts: {text}", "warn")), ()
    return unread(model, tag[1], text) if tag[0] == "prompt" else (model, ())


def asked(model: Model) -> Result:
    """The list is asked for again, once for all the news until then."""
    return model, (QUESTION,)
