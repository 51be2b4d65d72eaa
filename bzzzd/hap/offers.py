"""Which actions make sense where the person stands: what the bottom line shows, and the palette finds."""

from __future__ import annotations

from bzzzd.hap import actions, orders
from bzzzd.hap.keymap.action import Action
from bzzzd.hap.model import Model, mode_below
from bzzzd.hap.things import Content


def applies(model: Model, name: str) -> bool:
    """Whether an action does something now; one that only leads to a refusal is not offered."""
    match name:
        case "cancel" | "retry":
            return not orders.refusal(model, name, {})
        case "undo":
            return bool(model.pending)
        case "earlier" | "later":
            page = model.page
            return page is not None and (len(page.history.versions) > 1 or (page.decision or Content("")).of > 1)
        case "clear-filter":
            return bool(model.lists[model.view].filter)
    return True


def found(model: Model, query: str) -> tuple[Action, ...]:
    """The palette's answer: the actions that can be run now and fit ``query``, the best first."""
    fitting = actions.find(model.registry, mode_below(model), query)
    return tuple(action for action in fitting if applies(model, action.name))
