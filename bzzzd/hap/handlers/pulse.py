"""Whether bzzzd is still there while it says nothing: asked now and then, and taken for away when it does not answer.

A daemon that is frozen, or whose disk does not answer, keeps its connection: only a question shows that it is gone.

    online ──a question unanswered for SILENT_S──▶ offline ──anything heard──▶ online
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from bzzzd.hap.handling import Result
from bzzzd.hap.messages import Answered, Ask, Came, Due, Effects, Later, Message, Refused
from bzzzd.hap.values.model import Model

PULSE_S: Final = 10.0
SILENT_S: Final = 8.0
_PULSE: Final = "pulse"
# `health` waits for nobody; `status` waits for the ledger, which may be another machine's, and tells if that is away.
_QUESTIONS: Effects = (Ask("health", {}, ("health",)), Ask("status", {}, ("status",)))
WHY: Final = f"bzzzd has not answered for over {SILENT_S:.0f} s: it is frozen, or its machine is busy"


def begin(model: Model) -> Result:
    """The connection stands: look after it from now on."""
    if _PULSE in model.soon:
        return model, ()
    return replace(model, soon=model.soon | {_PULSE}), (Later(PULSE_S, Due(_PULSE)),)


def beat(model: Model) -> Result:
    """The time has come to ask; a connection that has ended is told by itself, and its end ends this."""
    link = model.link
    if link.state != "online" and not link.silent:
        return replace(model, soon=model.soon - {_PULSE}), ()
    model = replace(model, link=replace(link, asked=link.asked or model.now))
    return model, (*_QUESTIONS, Later(PULSE_S, Due(_PULSE)))


def is_sign(message: Message) -> bool:
    """Whether the message shows that bzzzd is there; what a person does here comes as answers too."""
    match message:
        case Came():
            return True
        case Answered(tag=("health" | "status",)):
            return True
        case Refused(tag=("health" | "status",), fault=fault):
            return fault.code != "UNREACHABLE"
    return False


def missed(model: Model) -> bool:
    """Whether bzzzd has owed an answer for too long."""
    link = model.link
    return link.state == "online" and bool(link.asked) and model.now - link.asked >= SILENT_S
