"""What a message refers to: addresses, tasks, prompts, versions and other messages, opened by their names."""

from __future__ import annotations

import re

from msgspec.structs import replace

from bzzzd.hap.handlers import browsing, inbox, talking
from bzzzd.hap.handlers.opened import open_task
from bzzzd.hap.handling import Args, Handlers, Result
from bzzzd.hap.messages import Ask, Effects, Tag
from bzzzd.hap.orders import say
from bzzzd.hap.values.books import at_version
from bzzzd.hap.values.model import Model
from bzzzd.hap.values.things import Fault

_VERSION = re.compile(r"[0-9a-f]{64}")


def _next_reference(model: Model, _: Args) -> Result:
    page, refs = model.page, _refs(model)
    if page is None or not refs:
        return say(model, "nothing is referred to here"), ()
    following = (page.ref + 1) % len(refs)
    model = replace(model, page=replace(page, ref=following))
    return (say(model, f"next: {refs[following]}") if page.kind == "inbox" else model), ()


def _reference(model: Model, args: Args) -> Result:
    """Open what the chosen message refers to, or what is named."""
    if args.get("to"):
        return open_reference(model, str(args["to"]))
    page, refs = model.page, _refs(model)
    if page is None or not refs:
        return say(model, "nothing is referred to here"), ()
    return open_reference(model, refs[min(page.ref, len(refs) - 1)])


def _refs(model: Model) -> tuple[str, ...]:
    """What the chosen message of a thread, or the opened prompt, refers to; of a prompt its task comes last."""
    page = model.page
    if page is not None and page.kind == "threads":
        said = talking.chosen(model, page)
        return said.refs if said is not None else ()
    asked = model.asked.get(page.id) if page is not None and page.kind == "inbox" else None
    return (*asked.evidence, asked.task) if asked is not None and asked.task else ()


def open_reference(model: Model, name: str) -> Result:
    """Open an address, a task, a message or a version, by its name."""
    if name.startswith("ucxl://"):
        return browsing.open_address(model, name)
    if name.startswith("h-"):
        return _open_message(model, name)
    if name in model.tasks:
        return open_task(model, name)
    if name in model.prompts:
        return inbox.open_prompt(model, name)
    if name in model.talk.threads:
        return talking.opening(model, name)
    for book in model.shelf.books.values():
        for edition in book.editions:
            if edition.id == name:
                return browsing.open_address(model, at_version(book.address, edition.number))
    if _VERSION.fullmatch(name) and model.let_in:
        return say(model, "looking for the version…"), (Ask("context.find", {"version_id": name}, ("found", name)),)
    return say(model, f"{name[:80]} is not known here", "warn"), ()


def found(model: Model, tag: Tag, value: str) -> Result:
    """The address of a version that was looked for."""
    return browsing.open_address(model, value) if value else (say(model, "that version has no address", "warn"), ())


def refused(model: Model, tag: Tag, fault: Fault) -> Result:
    return say(model, f"version {tag[1][:12]}… was not found: {fault.message} ({fault.code})", "warn"), ()


def _open_message(model: Model, id: str) -> Result:
    for thread, said in model.talk.spoken.items():
        if any(one.id == id for one in said):
            effects: Effects = ()
            if model.page is None or model.page.kind != "threads" or model.page.id != thread:
                model, effects = talking.opening(model, thread)
            return talking.to_message(model, id), effects
    return say(model, f"message {id[:40]} is on a thread that was not opened yet", "warn"), ()


HANDLERS: Handlers = {
    "reference": _reference,
    "next-reference": _next_reference,
}
