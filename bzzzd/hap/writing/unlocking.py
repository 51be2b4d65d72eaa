"""The passphrase of the person's key: asked at the start of a session, set and changed when the person wants it.

::

    locked ──typed, enter──► trying ──right──► attached as the person
       ▲                        │ wrong
       └────────────────────────┘
    `passphrase` ──typed──► again ──the same──► the key is kept under it (an empty one: under none)

What is typed stands in the model only while it is typed, is never shown, saved or logged.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from bzzzd.hap.handling import Args, Handlers, Result
from bzzzd.hap.messages import Protect, Tag, Unlock
from bzzzd.hap.orders import say
from bzzzd.hap.values import buffer as buffers
from bzzzd.hap.values.buffer import Buffer
from bzzzd.hap.values.model import Model, Secret
from bzzzd.hap.values.things import Fault

LIMIT: Final = 1024
ASKING: Final = {"unlock": "Passphrase of your key", "new": "New passphrase, empty for none", "again": "Once more"}


def locked(model: Model, path: str) -> Result:
    """The key is under a passphrase: it is asked for, unless the person is at something else already."""
    model = replace(model, locked=path)
    return (replace(model, overlay=Secret("unlock")) if model.overlay is None else model), ()


def unlock(model: Model, args: Args) -> Result:
    """Ask for the passphrase again; a program gives it."""
    if not model.locked:
        return say(model, "the key is not locked"), ()
    if args.get("passphrase"):
        return model, (Unlock(str(args["passphrase"])),)
    return replace(model, overlay=Secret("unlock")), ()


def change(model: Model, _: Args) -> Result:
    """Ask for a new passphrase."""
    if model.locked:
        return say(model, "unlock the key first", "warn"), ()
    return replace(model, overlay=Secret("new")), ()


def insert(model: Model, overlay: Secret, text: str) -> Result:
    new, _ = buffers.insert(overlay.text, text.replace("\n", ""), LIMIT, multiline=False)
    return edited(model, overlay, new)


def edited(model: Model, overlay: Secret, text: Buffer) -> Result:
    return (model, ()) if overlay.trying else (replace(model, overlay=replace(overlay, text=text, fault="")), ())


def _enter(model: Model, _: Args) -> Result:
    overlay = model.overlay
    if not isinstance(overlay, Secret) or overlay.trying:
        return model, ()
    typed = overlay.text.text
    match overlay.what:
        case "unlock":
            if not typed:
                return model, ()
            return replace(model, overlay=Secret("unlock", trying=True)), (Unlock(typed),)
        case "new":
            return replace(model, overlay=Secret("again", first=typed)), ()
    if typed != overlay.first:
        return replace(model, overlay=Secret("new", fault="they were not the same; type it anew")), ()
    return replace(model, overlay=None), (Protect(typed),)


def _close(model: Model, _: Args) -> Result:
    if not isinstance(model.overlay, Secret):
        return model, ()
    told = "the key stays locked; `U` asks again" if model.overlay.what == "unlock" else "the passphrase is as it was"
    return say(replace(model, overlay=None), told), ()


def answered(model: Model, tag: Tag, value: object) -> Result:
    """The key is open, or kept as it was wanted."""
    if tag[0] == "protect":
        told = "your key is under the new passphrase" if value else "your key has no passphrase any more"
        return say(model, told, "ok"), ()
    overlay = None if isinstance(model.overlay, Secret) and model.overlay.what == "unlock" else model.overlay
    return say(replace(model, locked="", overlay=overlay), "your key is unlocked", "ok"), ()


def refused(model: Model, tag: Tag, fault: Fault) -> Result:
    if tag[0] == "unlock" and isinstance(model.overlay, Secret):
        return replace(model, overlay=Secret("unlock", fault=fault.message)), ()
    return say(model, f"{fault.message} ({fault.code})", "bad", 30.0), ()


HANDLERS: Handlers = {
    "unlock": unlock,
    "passphrase": change,
    "secret-enter": _enter,
    "secret-close": _close,
}
