"""Saving a version to a file: a name is offered, typed over, and asked about again when a file has it already."""

from __future__ import annotations

import re

from msgspec.structs import replace

from bzzzd.hap import words
from bzzzd.hap.handling import Args, Handlers, Result
from bzzzd.hap.messages import SaveContent, Tag
from bzzzd.hap.orders import say
from bzzzd.hap.values import buffer as buffers
from bzzzd.hap.values.books import Edition, at_version
from bzzzd.hap.values.buffer import Buffer
from bzzzd.hap.values.model import Model, Naming
from bzzzd.hap.values.things import Fault
from bzzzd.ucxl.address import parse

MOST = 4096
_ENDINGS = {
    "text/plain": ".txt", "text/markdown": ".md", "application/json": ".json", "text/html": ".html", "text/csv": ".csv",
    "application/msgpack": ".msgpack", "application/yaml": ".yaml", "image/png": ".png",
}  # fmt: skip
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def offered(address: str, edition: Edition) -> str:
    """A file's name made from an address: letters, digits, ``.``, ``_`` and ``-``, and nothing hidden by a dot."""
    place = parse(address)
    name = "-".join((place.task, *place.path.split("/"))) if place.path else place.task
    stem, dot, ending = name.rpartition(".")
    known = bool(dot) and bool(stem) and 0 < len(ending) <= 8
    stem = stem if known else name
    ending = f".{ending}" if known else _ENDINGS.get(edition.content_type.partition(";")[0], "")
    safe = _UNSAFE.sub("-", stem).strip(".-")[:100] or "content"
    return f"{safe}-v{edition.number}{ending}"


def save(model: Model, args: Args) -> Result:
    """Ask for the name of a file; or, for a typed command, write the file that is named."""
    page = model.page
    book = model.shelf.books.get(page.id) if page is not None and page.kind == "context" else None
    shown = book.shown if book is not None else None
    if book is None or shown is None:
        return say(model, "open an address of the context first"), ()
    if not model.let_in:
        return say(model, "bzzzd has the content; without it, only what is shown can be copied", "warn"), ()
    address = at_version(book.address, shown.number)
    name = offered(book.address, shown)
    naming = Naming(buffers.of(name), address, name, shown.size)
    if args.get("path"):
        return _write(model, replace(naming, text=buffers.of(str(args["path"])), over=args.get("over") == "yes"))
    if args.get("typed"):
        return _write(model, naming)
    return replace(model, overlay=naming), ()


def insert(model: Model, naming: Naming, text: str) -> Result:
    new, _ = buffers.insert(naming.text, text, MOST, multiline=False)
    return edited(model, naming, new)


def edited(model: Model, naming: Naming, text: Buffer) -> Result:
    """The name as it is typed; another one is not the one that exists."""
    same = text.lines == naming.text.lines
    return replace(model, overlay=replace(naming, text=text, over=naming.over and same, fault="")), ()


def _go(model: Model, _: Args) -> Result:
    return _write(model, model.overlay) if isinstance(model.overlay, Naming) else (model, ())


def _write(model: Model, naming: Naming) -> Result:
    path = naming.text.text.strip()
    if not path or "\0" in path:
        return replace(model, overlay=replace(naming, fault="a file needs a name")), ()
    id = f"save {path}"
    if id in model.flying:
        return say(model, "it is being written already"), ()
    model = replace(model, overlay=None, flying=model.flying | {id}, naming=naming)
    told = f"saving {words.size(naming.size)} to {path}"
    return say(model, told), (SaveContent(naming.address, path, naming.name, naming.over),)


def _close(model: Model, _: Args) -> Result:
    return replace(model, overlay=None), ()


def saved(model: Model, tag: Tag, value: tuple[str, int]) -> Result:
    """The file is there, whole."""
    path, size = value
    return say(
        replace(model, flying=model.flying - {f"save {tag[1]}"}), f"saved {words.size(size)} as {path}", "ok"
    ), ()


def refused(model: Model, tag: Tag, fault: Fault) -> Result:
    """It was not written. A name that is taken is asked about again, where nothing else is open meanwhile."""
    model = replace(model, flying=model.flying - {f"save {tag[1]}"})
    naming = model.naming
    taken = fault.code == "CONFLICT" and naming is not None and naming.text.text.strip() == tag[1]
    if taken and naming is not None and model.overlay is None and model.page is not None:
        why = "it exists already: enter again writes over it, another name leaves it"
        return replace(model, overlay=replace(naming, over=True, fault=why)), ()
    return say(model, f"not saved: {fault.message} ({fault.code})", "bad", 30.0), ()


HANDLERS: Handlers = {"save": save, "save-go": _go, "save-close": _close}
