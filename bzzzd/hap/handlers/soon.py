"""Questions that wait a moment, so that much news at once costs one question."""

from __future__ import annotations

from msgspec.structs import replace

from bzzzd.hap.handling import Result
from bzzzd.hap.messages import Due, Later
from bzzzd.hap.values.model import Model

SOON_S = 0.4


def soon(model: Model, what: str, seconds: float = SOON_S) -> Result:
    """Ask again in a moment, once for all the news until then: a thousand events a second cost two questions."""
    if what in model.soon or model.link.state != "online":
        return model, ()
    return replace(model, soon=model.soon | {what}), (Later(seconds, Due("ask", what)),)
