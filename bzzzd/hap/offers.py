"""Which actions make sense where the person stands: what the bottom line shows, and the palette finds."""

from __future__ import annotations

from bzzzd.hap import actions, orders
from bzzzd.hap.keymap.action import Action
from bzzzd.hap.values.model import Model, chosen_id, mode_below
from bzzzd.hap.values.things import Content
from bzzzd.hap.writing import answering

_MOVING = frozenset({"list", "page"})


def applies(model: Model, name: str) -> bool:
    """Whether an action does something now; one that only leads to a refusal is not offered."""
    match name:
        case "cancel" | "retry":
            return not orders.refusal(model, name, {})
        case "undo":
            return bool(model.pending or model.answers)
        case "answer" | "deny":
            return not answering.refusal(model, model.prompts.get(chosen_id(model)))
        case "about":
            thread = model.talk.threads.get(chosen_id(model))
            return ((thread.task if thread is not None else "") or chosen_id(model)) in model.tasks
        case "message-before" | "message-after":
            return len(model.talk.spoken.get(chosen_id(model), ())) > 1
        case "earlier" | "later":
            page = model.page
            return page is not None and (len(page.history.versions) > 1 or (page.decision or Content("")).of > 1)
        case "clear-filter":
            return bool(model.lists[model.view].filter)
    return True


def found(model: Model, query: str) -> tuple[Action, ...]:
    """The palette's answer: the actions that can be run now and fit ``query``, the best first."""
    fitting = actions.find(model.registry, mode_below(model), query)
    offered = [action for action in fitting if applies(model, action.name)]
    if not query:  # who looks around knows how to move by then
        offered.sort(key=lambda action: action.context in _MOVING)
    return tuple(offered)
