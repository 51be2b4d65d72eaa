"""The context browser: walking the tree, opening an address, and walking through its versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from bzzzd.errors import InvalidAddress
from bzzzd.hap.handlers.opened import onward
from bzzzd.hap.handling import Args, Handler, Handlers, Result
from bzzzd.hap.messages import Ask, Effects, Tag
from bzzzd.hap.orders import say
from bzzzd.hap.values import books, lists, shelf
from bzzzd.hap.values.books import TABS, Book, Editions, Reading, at_version
from bzzzd.hap.values.model import Model, Page
from bzzzd.hap.values.shelf import GROUPS, Listing, Shelf
from bzzzd.hap.values.things import Fault
from bzzzd.hap.views.book import MOST_READ
from bzzzd.ucxl.address import parse

PAGE = 500
MOST_VERSIONS = 1000
HOLDERS_ASKED = 50
_ACTION_TABS = {"contents": "text", "versions": "versions", "provenance": "facts", "compare": "compare"}


# The list


def entering(model: Model) -> Result:
    """The view is shown: ask for what is kept; of an earlier portal's addresses the tree is grown now."""
    if model.shelf.entries and not model.shelf.tree:
        model = with_shelf(model, shelf.planted(model.shelf))
    return model, _listing(model, "")


def asked(model: Model) -> Result:
    """There may be more by now: ask again for the list, and for the opened address."""
    if model.view != "context":
        return model, ()
    opened = questions(model) if model.page is not None and model.page.kind == "context" else ()
    return model, (*_listing(model, ""), *opened)


def _listing(model: Model, after: str) -> Effects:
    if not model.let_in:
        return ()
    params: dict[str, Any] = {"limit": PAGE}
    if after:
        params["after"] = after
    if model.shelf.pattern:
        params["pattern"] = model.shelf.pattern
    return (Ask("context.list", params, ("context", after)),)


def with_shelf(model: Model, changed: Shelf) -> Model:
    return lists.settled(replace(model, shelf=changed), "context")


def listed(model: Model, tag: Tag, value: Listing) -> Result:
    """A page of the list has come; the next one is asked for while there is room."""
    model = with_shelf(model, shelf.listed(model.shelf, value, first=not tag[1], now=model.now))
    more = bool(value.next) and not model.shelf.cut
    return model, _listing(model, value.next) if more else ()


def look(model: Model, args: Args) -> Result:
    """Show only what a pattern finds, beyond what is kept here as well; without one, everything."""
    text = str(args.get("pattern") or "")
    if text.removeprefix("ucxl://").strip("/").count("/") == 0 and text:
        text = f"{text.rstrip('/')}/*^/"  # of an address without a time the latest is meant
    try:
        pattern = parse(text).canonical if text else ""
    except InvalidAddress as error:
        return say(model, error.message, "warn"), ()
    changed = shelf.planted(replace(Shelf(), by=model.shelf.by, pattern=pattern, books=model.shelf.books))
    model = with_shelf(replace(model, view="context", page=None, overlay=None), changed)
    return model, _listing(model, "")


def _group(model: Model, args: Args) -> Result:
    names = tuple(GROUPS)
    by = str(args.get("by") or names[(names.index(model.shelf.by) + 1) % len(names)])
    if by not in GROUPS:
        return say(model, f"context is grouped by {', '.join(names)}, not by {by}", "warn"), ()
    return with_shelf(model, shelf.planted(replace(model.shelf, by=by, unfolded=frozenset()))), ()


def _fold(model: Model, _: Args) -> Result:
    """Fold the chosen name; on one that is folded, or an address, go to what it is below."""
    row = model.shelf.rows.get(model.lists["context"].chosen)
    if row is None or model.page is not None:
        return model, ()
    if row.unfolded and not model.shelf.filter:
        return with_shelf(model, shelf.folded(model.shelf, row.id, False)), ()
    above = shelf.parent(model.shelf, row.id)
    state = replace(model.lists["context"], chosen=above)
    return (lists.settled(lists.with_list(model, "context", state), "context"), ()) if above else (model, ())


# An opened address


def opening(model: Model, id: str) -> Result:
    """Open a row: a name is unfolded, an address read."""
    row = model.shelf.rows.get(id)
    if row is not None and row.entry is None:
        return with_shelf(model, shelf.folded(model.shelf, id, not row.unfolded)), ()
    return open_address(model, id)


def open_address(model: Model, text: str) -> Result:
    """Open an address, at the version that its temporal part names when that is a number."""
    try:
        address = parse(text)
    except InvalidAddress as error:
        return say(model, error.message, "warn"), ()
    if address.is_pattern:
        return look(model, {"pattern": text})
    book = model.shelf.books.get(address.base) or Book(address.base)
    number = (address.temporal.count or 0) if address.temporal.type == "specific" else 0
    model = replace(model, shelf=shelf.with_book(model.shelf, replace(book, number=number)))
    page = Page(kind="context", id=address.base, tab="text")
    model = replace(onward(model), view="context", page=page, overlay=None)
    return model, questions(model)


def questions(model: Model) -> Effects:
    """What the opened address shows."""
    if model.page is None or not model.let_in:
        return ()
    return (_history(model.page.id, 0),)


def _history(address: str, after: int) -> Ask:
    return Ask("context.history", {"address": address, "after": after, "limit": PAGE}, ("editions", address))


def _holders(model: Model, book: Book) -> Effects:
    """Ask who has the versions around the one in view; it takes the daemon a while."""
    shown = book.shown
    if shown is None or not model.let_in:
        return ()
    after = max(0, shown.number - HOLDERS_ASKED // 2)
    params = {"address": book.address, "after": after, "limit": HOLDERS_ASKED, "holders": True}
    return (Ask("context.history", params, ("editions", book.address)),)


def _texts(model: Model, book: Book) -> Effects:
    """Ask for the contents in view that have not been read yet and can be shown."""
    if model.page is None or not model.let_in:
        return ()
    wanted = [book.shown, book.compared if model.page.tab == "compare" else None]
    return tuple(
        Ask(
            "context.get",
            {"address": at_version(book.address, edition.number)},
            ("reading", book.address, str(edition.number)),
        )
        for edition in wanted
        if edition is not None and edition.id not in book.texts and edition.size <= MOST_READ
    )


def _unheld(book: Book) -> bool:
    return book.shown is not None and book.shown.holders is None


def came_editions(model: Model, tag: Tag, value: Editions) -> Result:
    """A page of a history has come."""
    book = model.shelf.books.get(tag[1])
    if book is None:
        return model, ()
    asked_holders = any(edition.holders is not None for edition in value.editions)
    book = books.edited(book, value)
    model = _unfaulted(_kept(model, book), tag)
    if model.page is None or model.page.id != tag[1]:
        return model, ()
    if asked_holders:
        return model, _texts(model, book)
    if value.next and len(book.editions) < MOST_VERSIONS:
        return model, (_history(book.address, value.next), *_texts(model, book))
    held = model.page.tab in ("facts", "versions") and _unheld(book)
    return model, (*_texts(model, book), *(_holders(model, book) if held else ()))


def came_text(model: Model, tag: Tag, value: Reading) -> Result:
    """The content of a version has come."""
    book = model.shelf.books.get(tag[1])
    if book is None:
        return model, ()
    return _unfaulted(_kept(model, books.read(book, value.id, value.text)), tag), ()


def _kept(model: Model, book: Book) -> Model:
    """The model with a book that has changed, in its old place."""
    if book.address not in model.shelf.books:
        return model
    return replace(model, shelf=replace(model.shelf, books={**model.shelf.books, book.address: book}))


def _unfaulted(model: Model, tag: Tag) -> Model:
    page = model.page
    if page is None or page.id != tag[1] or _fault_name(tag) not in page.faults:
        return model
    faults = {name: why for name, why in page.faults.items() if name != _fault_name(tag)}
    return replace(model, page=replace(page, faults=faults))


def _fault_name(tag: Tag) -> str:
    return "history" if tag[0] == "editions" else f"version {tag[2]}"


def refused(model: Model, tag: Tag, fault: Fault) -> Result:
    """What could not be read is told where it would stand."""
    if tag[0] == "context":
        if fault.code == "UNREACHABLE":
            return model, ()
        return say(model, f"could not read the context: {fault.message} ({fault.code})", "warn"), ()
    page = model.page
    if page is None or page.kind != "context" or page.id != tag[1]:
        return model, ()
    faults = {**page.faults, _fault_name(tag): f"{fault.message} ({fault.code})"}
    return replace(model, page=replace(page, faults=faults)), ()


# On the page


def _on_book(step: Callable[[Model, Page, Book], Result]) -> Handler:
    def apply(model: Model, _: Args) -> Result:
        page = model.page
        book = model.shelf.books.get(page.id) if page is not None and page.kind == "context" else None
        if page is None or book is None:
            return say(model, "open an address of the context first"), ()
        return step(model, page, book)

    return apply


def tab(model: Model, name: str) -> Result:
    """Show another tab of the opened address, and ask for what it shows."""
    assert model.page is not None
    model = replace(model, page=replace(model.page, tab=name, scroll=0))
    book = model.shelf.books.get(model.page.id) if model.page is not None else None
    if book is None:
        return model, ()
    held = name in ("facts", "versions") and _unheld(book)
    return model, (*_texts(model, book), *(_holders(model, book) if held else ()))


def turn(model: Model, by: int) -> Result:
    """The tab before or after the one in view."""
    assert model.page is not None
    now = TABS.index(model.page.tab) if model.page.tab in TABS else 0
    return tab(model, TABS[(now + by) % len(TABS)])


def version(model: Model, by: int) -> Result:
    """The version before or after the one in view."""
    assert model.page is not None
    book = model.shelf.books.get(model.page.id)
    if book is None or not book.of:
        return say(model, "its versions have not been read yet"), ()
    changed = books.turned(book, by)
    if changed is None:
        return say(model, "this is the first version" if by < 0 else "this is the latest version"), ()
    return _turned(model, changed)


def _turned(model: Model, book: Book) -> Result:
    assert model.page is not None
    model = _kept(replace(model, page=replace(model.page, faults={})), book)
    held = model.page is not None and model.page.tab in ("facts", "versions") and _unheld(book)
    return model, (*_texts(model, book), *(_holders(model, book) if held else ()))


def _other(by: int) -> Handler:
    def step(model: Model, page: Page, book: Book) -> Result:
        changed = books.turned_other(book, by)
        if changed is None:
            return say(model, "there is no other version that way"), ()
        return _turned(replace(model, page=replace(page, tab="compare")), changed)

    return _on_book(step)


def _tab(name: str) -> Handler:
    return _on_book(lambda model, page, book: tab(model, name))


HANDLERS: Handlers = {
    "look": look,
    "group": _group,
    "fold": _fold,
    "compare-earlier": _other(-1),
    "compare-later": _other(1),
    **{name: _tab(shown) for name, shown in _ACTION_TABS.items()},
}
