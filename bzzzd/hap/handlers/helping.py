"""What lies over the window to find an action by: the palette, and the help."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from bzzzd.hap import offers
from bzzzd.hap.handlers.moving import step
from bzzzd.hap.handling import Args, Handler, Handlers, Result
from bzzzd.hap.values.layout import list_rows
from bzzzd.hap.values.model import Help, Model, Palette

_FAR = 1_000_000
"""Lines: more than any help has; what is scrolled stays within its text."""


def chosen(model: Model) -> tuple[Model, str]:
    """The model with the palette closed, and the action that was chosen in it, if any."""
    if not isinstance(model.overlay, Palette):
        return model, ""
    found, place = offers.found(model, model.overlay.query.text), model.overlay.chosen
    return replace(model, overlay=None), found[place].name if place < len(found) else ""


def _move(by: int) -> Handler:
    def apply(model: Model, args: Args) -> Result:
        if not isinstance(model.overlay, Palette):
            return model, ()
        found = offers.found(model, model.overlay.query.text)
        place = (model.overlay.chosen + step(args, by)) % max(1, len(found))
        return replace(model, overlay=replace(model.overlay, chosen=place)), ()

    return apply


def _scroll(by: Callable[[Model], int]) -> Handler:
    def apply(model: Model, _: Args) -> Result:
        if not isinstance(model.overlay, Help):
            return model, ()
        return replace(model, overlay=Help(scroll=max(0, model.overlay.scroll + by(model)))), ()

    return apply


def shut(model: Model, _: Args) -> Result:
    return replace(model, overlay=None), ()


HANDLERS: Handlers = {
    "palette": lambda model, _: (replace(model, overlay=Palette()), ()),
    "palette-down": _move(1),
    "palette-up": _move(-1),
    "palette-close": shut,
    "help": lambda model, _: (replace(model, overlay=Help()), ()),
    "help-close": shut,
    "help-down": _scroll(lambda _: 1),
    "help-up": _scroll(lambda _: -1),
    "help-page-down": _scroll(list_rows),
    "help-page-up": _scroll(lambda model: -list_rows(model)),
    "help-first": _scroll(lambda _: -_FAR),
    "help-last": _scroll(lambda _: _FAR),
}
