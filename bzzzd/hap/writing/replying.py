"""An answer on its way: the seconds in which it can be taken back, the disk, the ledger's receipt."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from msgspec.structs import replace

from bzzzd.hap import orders
from bzzzd.hap.handling import Args, Handlers, Result
from bzzzd.hap.messages import Due, Effects, Later, SaveAnswer, SaveCache, SendAnswer
from bzzzd.hap.orders import say
from bzzzd.hap.values.asked import Prompt, Reception, Sending
from bzzzd.hap.values.lists import with_needs
from bzzzd.hap.values.model import UNDO_S, Model
from bzzzd.hap.words import called

_KEPT_RECEPTIONS: Final = 200


def name_of(prompt: Prompt | None, id: str, title: str = "") -> str:
    """How a prompt is called in a sentence."""
    return called((prompt.title if prompt is not None else "") or title, id)


def begin(model: Model, sending: Sending, *, now: bool) -> Result:
    """A confirmed answer: it goes now, or when the time to take it back is over."""
    prompt = model.prompts.get(sending.prompt)
    # What would be over before the waiting is done goes at once.
    if now or sending.expires - model.now < 2 * UNDO_S:
        return perform(model, sending)
    waiting = Reception(sending.prompt, sending.id, sending.choice, "waiting", model.now, model.now + UNDO_S)
    model = _received(replace(model, answers=(*model.answers, sending)), waiting)
    named = name_of(prompt, sending.prompt, sending.title)
    model = say(model, f"answering {named}: {sending.choice}", "warn", UNDO_S)
    return model, (Later(UNDO_S, Due("answer", sending.id)),)


def _received(model: Model, reception: Reception) -> Model:
    kept = {**model.receptions, reception.prompt: reception}
    while len(kept) > _KEPT_RECEPTIONS:
        del kept[next(iter(kept))]
    return with_needs(replace(model, receptions=kept))


def perform(model: Model, sending: Sending) -> Result:
    """Sign it, put it on disk, and send it."""
    reception = Reception(sending.prompt, sending.id, sending.choice, "waiting", model.now)
    model = replace(_received(model, reception), flying=model.flying | {sending.id})
    return model, (SendAnswer(sending),)


def due(model: Model, id: str) -> Result:
    """The time in which it could be taken back is over."""
    found = next((one for one in model.answers if one.id == id), None)
    if found is None:
        return model, ()
    model = replace(model, answers=tuple(one for one in model.answers if one.id != id))
    if why := _overtaken(model, found):
        return say(_forgotten(model, found.prompt), f"not sent: {why}", "bad", 30.0), ()
    return perform(model, found)


def _overtaken(model: Model, sending: Sending) -> str:
    """Why an answer that waited must not go: the question changed meanwhile."""
    prompt = model.prompts.get(sending.prompt)
    if prompt is not None and prompt.digest != sending.digest:
        return "the question has another text now"
    if prompt is not None and prompt.state in ("superseded", "expired", "canceled"):
        return f"the question is {prompt.state}"
    return ""


def _forgotten(model: Model, prompt: str) -> Model:
    return with_needs(replace(model, receptions={id: one for id, one in model.receptions.items() if id != prompt}))


def undo(model: Model, _: Args) -> Result:
    """Take back the newest thing that still waits: an answer, a cancel or a retry."""
    if not model.answers or (model.pending and model.pending[-1].due > _due_of(model, model.answers[-1])):
        return orders.undo(model)
    *rest, last = model.answers
    model = _forgotten(replace(model, answers=tuple(rest)), last.prompt)
    return say(model, f"taken back: your answer {last.choice}", "ok"), ()


def flush(model: Model) -> Result:
    """Send every answer that waits, because the person is leaving."""
    effects: Effects = ()
    for sending in model.answers:
        model, more = perform(model, sending)
        effects += more
    return replace(model, answers=()), effects


def kept(model: Model, id: str, prompt: str) -> Result:
    """It is on disk: from here on it arrives, whatever ends."""
    reception = model.receptions.get(prompt)
    if reception is None or reception.command != id or reception.state != "waiting":
        return model, ()
    model = _received(model, replace(reception, state="kept"))
    written = {name: texts for name, texts in model.written.items() if name != prompt}
    away = "" if model.link.state == "online" else "; it goes when bzzzd is back"
    model = say(replace(model, written=written), f"sent: {reception.choice}{away}", "ok")
    return model, (SaveAnswer(prompt, ()),)


def lying(model: Model, found: Iterable[Reception], gone: Collection[str]) -> Model:
    """What lies in the outbox is on its way, and what an earlier portal had noted and does not lie there is not.

    That portal may have been killed between an answer's file and its note of it, or after a refusal. ``gone`` are
    answers of this portal that another one took out.
    """
    waiting = {one.command: one for one in found}
    mine = f"{model.run}-"
    receptions = {
        prompt: one
        for prompt, one in model.receptions.items()
        if one.state not in ("kept", "held")
        or one.command in waiting
        or (one.command.startswith(mine) and one.command not in gone)
    }
    for one in waiting.values():
        known = receptions.get(one.prompt)
        if known is None or (known.state == "refused" and known.command != one.command):
            receptions[one.prompt] = one
    return model if receptions == model.receptions else with_needs(replace(model, receptions=receptions))


def done(model: Model, id: str, reception: Reception) -> Result:
    """The ledger's word on an answer: its receipt or its refusal."""
    before = model.receptions.get(reception.prompt)
    if before is not None and before.entry and not reception.entry:  # the stream was quicker
        reception = replace(reception, entry=before.entry)
    model = replace(_received(model, reception), flying=model.flying - {id})
    named = name_of(model.prompts.get(reception.prompt), reception.prompt)
    if reception.state == "held":
        return say(model, f"kept by this node until the coordinator is back: {reception.choice}", "info"), ()
    if reception.state == "refused":
        return say(model, f"not counted: {reception.why}", "bad", 30.0), ()
    entry = f", entry {reception.entry}" if reception.entry else ""
    return say(model, f"answered {named}: {reception.choice}{entry}", "ok"), (SaveCache(),)


def failed(model: Model, id: str, why: str) -> Result:
    """It could not even be put on disk, or not be signed: nothing was sent."""
    model = replace(model, flying=model.flying - {id})
    prompt = next((name for name, one in model.receptions.items() if one.command == id), "")
    return say(_forgotten(model, prompt), f"not sent: {why}", "bad", 30.0), ()


def _due_of(model: Model, sending: Sending) -> float:
    reception = model.receptions.get(sending.prompt)
    return reception.due if reception is not None else 0.0


HANDLERS: Handlers = {"undo": undo}
