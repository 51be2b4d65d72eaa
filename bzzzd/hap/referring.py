"""What a message refers to: addresses, tasks, prompts, versions and other messages, opened by their names."""

from __future__ import annotations

from msgspec.structs import replace

from bzzzd.hap import browsing, inbox, talking
from bzzzd.hap.handling import Args, Handlers, Result
from bzzzd.hap.messages import Effects
from bzzzd.hap.model import Model, Page
from bzzzd.hap.opened import open_task
from bzzzd.hap.orders import say


def _next_reference(model: Model, page: Page) -> Result:
    said = talking.chosen(model, page)
    if said is None or not said.refs:
        return say(model, "this message refers to nothing"), ()
    return replace(model, page=replace(page, ref=(page.ref + 1) % len(said.refs))), ()


def _reference(model: Model, args: Args) -> Result:
    """Open what the chosen message refers to, or what is named."""
    if args.get("to"):
        return open_reference(model, str(args["to"]))
    page = model.page
    if page is None or page.kind != "threads":
        return say(model, "open a thread first"), ()
    said = talking.chosen(model, page)
    if said is None or not said.refs:
        return say(model, "this message refers to nothing"), ()
    return open_reference(model, said.refs[min(page.ref, len(said.refs) - 1)])


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
                return browsing.open_address(model, book.address.replace("/*^/", f"/*~{edition.number}/", 1))
    return say(model, f"{name[:80]} is not known here; open the address of which it is a version", "warn"), ()


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
    "next-reference": talking.on_thread(_next_reference),
}
