"""What ``--plain`` says of threads, context, events and the log: rows of their lists, and opened pages as they fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bzzzd.hap import words
from bzzzd.hap.values import beside
from bzzzd.hap.values.books import Book, Edition
from bzzzd.hap.values.model import Model, Page
from bzzzd.hap.views import asking, browser, conversation, events, logs, threads
from bzzzd.hap.views import book as pages


def _thread(model: Model, id: str) -> str:
    return threads.line(model, model.talk.threads[id])


def _place(model: Model, id: str) -> str:
    row = model.shelf.rows[id]
    if row.entry is None:
        return f"{row.name}: {words.plural(row.count, 'place')}, {'unfolded' if row.unfolded else 'folded'}"
    return f"{row.name}: {browser.told(row.entry)} ({row.entry.address})"


def _event(model: Model, id: str) -> str:
    return events.line(model, next(row for row in model.events if row.id == id))


def _line(model: Model, id: str) -> str:
    return logs.line(model, next(row for row in model.logbook.lines if row.id == id))


ROWS: Mapping[str, Callable[[Model, str], str]] = {
    "threads": _thread,
    "context": _place,
    "events": _event,
    "logs": _line,
}
"""One row of a list in words."""


def changes(old: Model, new: Model) -> list[str]:
    """What is new on an opened thread or address, and in a log that is followed."""
    page = new.page
    if page is None:
        return _log(old, new) if new.view == "logs" else []
    before = old.page if old.page is not None and (old.page.kind, old.page.id) == (page.kind, page.id) else None
    if page.kind == "threads" or page.tab == "talk":
        return _conversation(old, new, page, before)
    if page.tab == "prompts":
        return _prompts(old, new, page, before)
    if page.kind == "context":
        return _book(old, new, page, before)
    return []


def _log(old: Model, new: Model) -> list[str]:
    if old.view != "logs" or not old.logbook.seen or old.logbook.lines is new.logbook.lines or not new.logbook.follow:
        return []
    known = {line.id for line in old.logbook.lines}
    return [logs.line(new, line) for line in new.logbook.lines if line.id not in known]


def _conversation(old: Model, new: Model, page: Page, before: Page | None) -> list[str]:
    said = new.talk.spoken.get(page.id)
    was = old.talk.spoken.get(page.id) if before is not None and before.tab == page.tab else None
    if said is None or said == was:
        return []
    if not said:
        return ["nothing has been said yet"] if was is None else []
    known = {one.id: one for one in was or ()}
    return conversation.plain(new, [one for one in said if one != known.get(one.id)])


def _prompts(old: Model, new: Model, page: Page, before: Page | None) -> list[str]:
    told = asking.plain(new, page.id)
    same = before is not None and before.tab == page.tab and told == asking.plain(old, page.id)
    return [] if same else told


def _book(old: Model, new: Model, page: Page, before: Page | None) -> list[str]:
    book = new.shelf.books.get(page.id)
    if book is None or not book.editions:
        return []
    told = _tab(new, page, book)
    was = old.shelf.books.get(page.id)
    if before is not None and was is not None and told == _tab(old, before, was):
        return []
    return told


def _tab(model: Model, page: Page, book: Book) -> list[str]:
    """The tab in view as lines; empty while its text is on its way."""
    shown = book.shown
    if shown is None:
        return []
    if page.tab == "versions":
        conflict = ["warning: several latest versions"] if book.conflict else []
        return [*conflict, *(_edition(model, edition) for edition in reversed(book.editions))]
    if page.tab == "facts":
        return [f"{label}: {value}" for label, (_, value) in pages.facts(model, book, shown) if value]
    if page.tab == "compare":
        return _compared(book)
    text = book.texts.get(shown.id)
    if text is None:
        return [pages.unread(model, book, shown)] if shown.size > pages.MOST_READ else []
    return [f"version {shown.number} of {book.of}, by {shown.author}:", *text.split("\n")]


def _edition(model: Model, edition: Edition) -> str:
    when = words.clock(edition.at, model.now, model.utc_offset)
    held = f", at {', '.join(edition.holders)}" if edition.holders else ""
    latest = ", latest" if edition.head else ""
    return f"version {edition.number}, {when}, by {edition.author}, {words.size(edition.size)}{held}{latest}"


def _compared(book: Book) -> list[str]:
    new, old = book.shown, book.compared
    if new is None or old is None:
        return ["there is only one version"]
    if old.id not in book.texts or new.id not in book.texts:
        return []
    found = [f"version {old.number} (-) and version {new.number} (+):"]
    for pair in beside.pairs(book.texts[old.id], book.texts[new.id]):
        if pair.kind == "skipped":
            found.append(f"  {words.plural(pair.left, 'equal line')}")
        elif pair.kind == "same":
            found.append(f"  {pair.new}")
        else:
            found += [f"- {pair.old}"] if pair.left else []
            found += [f"+ {pair.new}"] if pair.right else []
    return found
