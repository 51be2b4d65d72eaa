"""Answering a prompt: choose or write, confirm with another key than the one that opened it, and send.

::

    page ──a (d: no)──► pick (choose, settle) ──enter──┐
                      ► write (text, form) ──ctrl+s────┤
                      ► ───────────────────────────────┴► confirm ──y──► 5 s in which u takes it back ──► sent
                                                           │      ──Y──► sent now
                                                           └ high risk: the action's word is typed, then enter
    whatever is open ──the prompt is replaced, answered or over──► over: takes no key but esc

A prompt page takes no answer before its proven text has been in view for ``DEAD_S``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Final

from msgspec.structs import replace

from bzzzd.hap.handling import Args, Handler, Handlers, Result
from bzzzd.hap.messages import Effects, SaveAnswer
from bzzzd.hap.orders import say
from bzzzd.hap.values import buffer as buffers
from bzzzd.hap.values.asked import WAITING, Asked, Prompt, Sending
from bzzzd.hap.values.buffer import Buffer
from bzzzd.hap.values.model import Answering, Model, mode_below
from bzzzd.hap.writing import replying

DEAD_S: Final = 0.7
SETTLED: Final = (("executed", "it was done"), ("failed", "it was not done"))
_SHORT_WORD: Final = 3
_ON_ITS_WAY: Final = {
    "waiting": "your answer waits; `u` takes it back",
    "kept": "your answer is on its way",
    "held": "your answer waits for the coordinator",
}


def word_of(asked: Asked) -> str:
    """What is typed to confirm a prompt of high risk: the name of what will be done."""
    return asked.op if len(asked.op) >= _SHORT_WORD else "approve"


def refusal(model: Model, prompt: Prompt | None) -> str:
    """Why this prompt takes no answer of this person now, or nothing."""
    if prompt is None:
        return "this prompt is not known here any more"
    if prompt.state == "superseded":
        return f"another question stands in its place: {prompt.superseded_by or 'see the inbox'}"
    if prompt.state == "expired":
        return f"its time is over; what counts is {prompt.verdict or prompt.default}"
    if model.me.guest:
        return f"to answer you need a person's grant: {model.me.mend}" if model.me.mend else (
            "the daemon has not let you in yet"
        )  # fmt: skip
    kept = model.receptions.get(prompt.id)
    if kept is not None and kept.state != "refused" and not (prompt.state == "unknown" and kept.state == "done"):
        return _ON_ITS_WAY.get(kept.state, f"you have answered: {kept.choice}")
    if prompt.state == "unknown":
        return "" if prompt.for_me else "other people are asked what became of it"
    if prompt.answered_by(model.me.id):
        return "you have answered it"
    if prompt.state not in WAITING:
        return f"it is {prompt.state}"
    return "" if prompt.for_me else "it asks other people"


def open_prompt(model: Model) -> tuple[Prompt, Asked] | str:
    """The prompt on the page with its proven document, or why it cannot be answered."""
    page = model.page
    if page is None or mode_below(model) != "prompt page":
        return "open a prompt first"
    prompt = model.prompts.get(page.id)
    if prompt is None:
        return "this prompt is not known here any more"
    if why := refusal(model, prompt):
        return why
    asked = model.asked.get(page.id)
    if asked is None:
        return "its text has not arrived yet"
    if asked.fault:
        return f"do not answer it: {asked.fault}"
    if not asked.readable:
        return "its text is not readable for you"
    if asked.digest != prompt.digest or (page.pinned and page.pinned != asked.digest):
        return "the text on the screen is not the one that the ledger has now; open it again"
    return prompt, asked


def _begin(deny: bool) -> Handler:
    def apply(model: Model, args: Args) -> Result:
        found = open_prompt(model)
        if isinstance(found, str):
            return say(model, found, "warn"), ()
        prompt, asked = found
        assert model.page is not None
        if args:  # typed or sent by a program: no key pressed by accident
            return _directly(model, prompt, asked, deny, args)
        if not model.page.ready:
            return say(model, "a moment: read it first", "info", 1.5), ()
        if prompt.state == "unknown":
            if deny:
                return say(model, "say what became of it with `a`", "info"), ()
            return _show(model, Answering(prompt=prompt.id, digest=asked.digest, what="settle", step="pick"))
        if deny:
            return _show(model, Answering(prompt=prompt.id, digest=asked.digest, what="deny", step="confirm"))
        match asked.kind:
            case "choose":
                return _show(model, Answering(prompt=prompt.id, digest=asked.digest, what="choose", step="pick"))
            case "text" | "form":
                return _show(model, _writing(model, prompt, asked))
        return _show(model, _confirming(Answering(prompt=prompt.id, digest=asked.digest, what="approve"), asked))

    return apply


def _show(model: Model, overlay: Answering) -> Result:
    return replace(model, overlay=overlay), ()


def _writing(model: Model, prompt: Prompt, asked: Asked) -> Answering:
    kept = model.written.get(prompt.id, ())
    count = len(asked.form) if asked.kind == "form" else 1
    texts = kept if len(kept) == count else ("",) * count
    return Answering(
        prompt=prompt.id, digest=asked.digest, what=asked.kind, step="write",
        buffers=tuple(buffers.of(text) for text in texts),
    )  # fmt: skip


def _confirming(overlay: Answering, asked: Asked) -> Answering:
    """The last step: a key, or for what is of high risk a word."""
    weighty = asked.risk == "high" and overlay.what not in ("deny", "settle")
    return replace(overlay, step="word" if weighty else "confirm", word=Buffer(), fault="")


def _directly(model: Model, prompt: Prompt, asked: Asked, deny: bool, args: Args) -> Result:
    """A program's or a typed answer, in one step; one of high risk names the word."""
    overlay = Answering(prompt=prompt.id, digest=asked.digest, what="deny" if deny else asked.kind, step="confirm")
    choice = str(args.get("choice") or "")
    if prompt.state == "unknown":
        place = next((number for number, (id, _) in enumerate(SETTLED) if id == choice), None)
        if place is None:
            return say(model, f"say what became of it: {' or '.join(id for id, _ in SETTLED)}", "warn"), ()
        overlay = replace(overlay, what="settle", chosen=place)
    elif not deny and asked.kind == "choose":
        place = next((number for number, one in enumerate(asked.choices) if one.id == choice), None)
        if place is None:
            return say(model, f"choose one of {', '.join(one.id for one in asked.choices)}", "warn"), ()
        overlay = replace(overlay, chosen=place)
    elif not deny and asked.kind in ("text", "form"):
        given = args.get("fields") if asked.kind == "form" else {"": args.get("text")}
        named = given if isinstance(given, Mapping) else {}
        names = [field.name for field in asked.form] if asked.kind == "form" else [""]
        overlay = replace(overlay, buffers=tuple(buffers.of(str(named.get(name) or "")) for name in names))
    if asked.risk == "high" and not deny and prompt.state != "unknown" and args.get("word") != word_of(asked):
        return say(model, f"this is of high risk: give the word {word_of(asked)!r} with the answer", "warn"), ()
    return _send(model, overlay, now=args.get("now") is True)


# What is open


def in_step(*steps: str) -> Callable[[Callable[[Model, Answering, Asked], Result]], Handler]:
    """An action of these steps, when the prompt still takes an answer; else the overlay says that it does not."""

    def wrap(step: Callable[[Model, Answering, Asked], Result]) -> Handler:
        def apply(model: Model, _: Args) -> Result:
            overlay = model.overlay
            if not isinstance(overlay, Answering) or overlay.step not in steps:
                return model, ()
            model = checked(model)
            if not isinstance(model.overlay, Answering) or model.overlay.step == "over":
                return model, ()
            return step(model, model.overlay, model.asked[overlay.prompt])

        return apply

    return wrap


def checked(model: Model) -> Model:
    """The model with what is being answered closed to keys, once the prompt takes no answer any more."""
    overlay = model.overlay
    if not isinstance(overlay, Answering) or overlay.step == "over":
        return model
    prompt, asked = model.prompts.get(overlay.prompt), model.asked.get(overlay.prompt)
    why = refusal(model, prompt)
    if not why and (asked is None or prompt is None or not overlay.digest == asked.digest == prompt.digest):
        why = "its text is another one now"
    return replace(model, overlay=replace(overlay, step="over", fault=why)) if why else model


def _pick(model: Model, overlay: Answering, asked: Asked, by: int) -> Result:
    count = len(SETTLED) if overlay.what == "settle" else len(asked.choices)
    return _show(model, replace(overlay, chosen=(overlay.chosen + by) % max(1, count)))


def _number(place: int) -> Handler:
    def step(model: Model, overlay: Answering, asked: Asked) -> Result:
        count = len(SETTLED) if overlay.what == "settle" else len(asked.choices)
        return _show(model, replace(overlay, chosen=place)) if place < count else (model, ())

    return in_step("pick")(step)


def _on(model: Model, overlay: Answering, asked: Asked) -> Result:
    """From choosing or writing to confirming, when what is written can be an answer."""
    if overlay.step == "write" and (why := _unfit(overlay, asked)):
        return _show(model, replace(overlay, fault=why))
    return _show(model, _confirming(overlay, asked))


def _unfit(overlay: Answering, asked: Asked) -> str:
    texts = [one.text for one in overlay.buffers]
    if asked.kind == "text":
        return "" if texts[0].strip() else "write something, or leave with esc and press d to deny"
    for field, text in zip(asked.form, texts, strict=True):
        if field.required and not text.strip():
            return f"{field.label} is needed"
        if field.kind == "choice" and text and text not in field.choices:
            return f"{field.label} is one of {', '.join(field.choices)}"
        if field.kind == "number" and text.strip() and not _is_number(text):
            return f"{field.label} is a number"
    return ""


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def _close(model: Model, _: Args) -> Result:
    overlay = model.overlay
    if not isinstance(overlay, Answering):
        return model, ()
    effects: Effects = (SaveAnswer(overlay.prompt, model.written.get(overlay.prompt, ())),) if overlay.saving else ()
    told = "nothing was sent"
    if overlay.prompt in model.written:
        told += "; what you wrote is kept, `a` goes on with it"
    return say(replace(model, overlay=None), told), effects


def _word(model: Model, overlay: Answering, asked: Asked) -> Result:
    if overlay.word.text.strip() != word_of(asked):
        return _show(model, replace(overlay, fault=f"type {word_of(asked)} to go on, or leave with esc"))
    return _send(model, overlay, now=True)  # whoever typed the word has thought about it already


# Sending


def _answer(overlay: Answering, asked: Asked) -> tuple[str, str | None, dict[str, str] | None]:
    """The choice, and the value of a text or a form."""
    texts = [one.text for one in overlay.buffers]
    match overlay.what:
        case "settle":
            return SETTLED[overlay.chosen][0], None, None
        case "choose":
            return asked.choices[overlay.chosen].id, None, None
        case "text":
            return "value", texts[0], None
        case "form":
            named = zip(asked.form, texts, strict=True)
            return "value", None, {field.name: text for field, text in named if text.strip()}
    return overlay.what, None, None


def _send(model: Model, overlay: Answering, *, now: bool) -> Result:
    """Confirmed: it goes now, or in some seconds."""
    asked, prompt = model.asked[overlay.prompt], model.prompts[overlay.prompt]
    if overlay.buffers and (why := _unfit(overlay, asked)):
        return say(model, why, "warn"), ()
    choice, text, fields = _answer(overlay, asked)
    number = model.counter + 1
    task = model.tasks.get(prompt.task)
    sending = Sending(
        id=f"{model.run}-{number}", prompt=prompt.id, task=prompt.task, digest=overlay.digest, choice=choice, text=text,
        fields=fields, settle=overlay.what == "settle",
        project=(task.project if task is not None else "") or "default", title=prompt.title or asked.title,
        expires=prompt.expires,
    )  # fmt: skip
    return replying.begin(replace(model, counter=number, overlay=None), sending, now=now)


HANDLERS: Handlers = {
    "answer": _begin(deny=False),
    "deny": _begin(deny=True),
    "answer-down": in_step("pick")(lambda model, overlay, asked: _pick(model, overlay, asked, 1)),
    "answer-up": in_step("pick")(lambda model, overlay, asked: _pick(model, overlay, asked, -1)),
    **{f"answer-{number}": _number(number - 1) for number in range(1, 10)},
    "answer-choose": in_step("pick")(_on),
    "answer-go-on": in_step("write")(_on),
    "answer-send": in_step("confirm")(lambda model, overlay, _: _send(model, overlay, now=False)),
    "answer-now": in_step("confirm")(lambda model, overlay, _: _send(model, overlay, now=True)),
    "answer-word": in_step("word")(_word),
    **dict.fromkeys(("answer-close", *(f"answer-close-{step}" for step in ("pick", "write", "word", "over"))), _close),
}
