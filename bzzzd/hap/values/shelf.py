"""The context browser as values: addresses as a tree, what is unfolded in it, and the addresses that were opened. Pure.

Strings in here are clean: ``feeds/context.py`` makes these values. A name in the tree that has one thing below it
stands in one row with that thing, so that a tree of five levels does not take five rows to say one address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from bzzzd.hap.values.books import MOST_TEXT, Book

MOST_ENTRIES = 5000
MOST_BOOKS = 20
MOST_FOUND = 500
"""Rows of a filtered list; who finds more types another word."""

GROUPS: Mapping[str, tuple[str, str, str, str]] = {
    "agent": ("agent", "role", "project", "task"),
    "project": ("project", "task", "agent", "role"),
    "task": ("task", "project", "agent", "role"),
    "role": ("role", "agent", "project", "task"),
}
_DEEPEST = 12
JOIN = " / "


class Entry(Struct, frozen=True):
    """One address and its latest version. ``at`` is Unix seconds, ``size`` bytes of plain content.

    ``words`` is what a filter looks at.
    """

    address: str
    agent: str = ""
    role: str = ""
    project: str = ""
    task: str = ""
    path: str = ""
    versions: int = 0
    author: str = ""
    at: float = 0
    size: int = 0
    content_type: str = ""
    readers: tuple[str, ...] = ()
    conflict: bool = False
    words: str = ""


class Listing(Struct, frozen=True):
    """One page of the list: ``next`` goes on behind it; ``complete`` is false when some node was not reached."""

    entries: tuple[Entry, ...] = ()
    next: str = ""
    complete: bool = True


class Node(Struct, frozen=True):
    """A name in the tree: an ``entry``, or the ``children`` below it; ``count`` entries, the newest at ``at``."""

    key: str
    name: str
    children: tuple[Node, ...] = ()
    entry: Entry | None = None
    count: int = 1
    at: float = 0


class Branch(Struct, frozen=True):
    """A row of the tree as it is shown; ``id`` is the address, or the way to a name that has more below it."""

    id: str
    name: str
    depth: int
    count: int
    at: float
    unfolded: bool = False
    entry: Entry | None = None


class Shelf(Struct, frozen=True):
    """Everything about context that the portal knows.

    ``cut`` tells that there are more addresses than are kept here, ``complete`` that every node was asked. ``tree``
    and ``rows`` (by id, in order) follow from the rest; ``found`` counts what a filter has found, ``coming`` are
    the pages of a list that is being read, ``books`` the opened addresses, the newest last.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    by: str = "agent"
    pattern: str = ""
    filter: str = ""
    unfolded: frozenset[str] = frozenset()
    complete: bool = True
    cut: bool = False
    seen: float = 0
    coming: Mapping[str, Entry] = field(default_factory=dict)
    found: int = 0
    tree: tuple[Node, ...] = ()
    rows: Mapping[str, Branch] = field(default_factory=dict)
    books: Mapping[str, Book] = field(default_factory=dict)


# The tree


def _segments(entry: Entry, by: str) -> tuple[str, ...]:
    names = tuple(getattr(entry, name) for name in GROUPS[by])
    path = tuple(entry.path.split("/")) if entry.path else ()
    if len(path) > _DEEPEST:  # an address may have two thousand segments
        path = (*path[: _DEEPEST - 1], "/".join(path[_DEEPEST - 1 :]))
    return names + path


def _grow(items: list[tuple[tuple[str, ...], Entry]], depth: int, above: str) -> tuple[Node, ...]:
    groups: dict[str, list[tuple[tuple[str, ...], Entry]]] = {}
    for item in items:
        groups.setdefault(item[0][depth], []).append(item)
    found: list[Node] = []
    for name in sorted(groups):
        group = groups[name]
        ends = [entry for names, entry in group if len(names) == depth + 1]
        found += [Node(key=entry.address, name=name, entry=entry, at=entry.at) for entry in ends]
        below = [item for item in group if len(item[0]) > depth + 1]
        if below:
            key = f"{above}{name}/"
            found.append(_folder(key, name, _grow(below, depth + 1, key)))
    return tuple(found)


def _folder(key: str, name: str, children: tuple[Node, ...]) -> Node:
    if len(children) == 1:
        return replace(children[0], name=f"{name}{JOIN}{children[0].name}")
    return Node(
        key=key,
        name=name,
        children=children,
        count=sum(child.count for child in children),
        at=max(child.at for child in children),
    )


def _visible(nodes: Iterable[Node], unfolded: frozenset[str], depth: int) -> Iterator[Branch]:
    for node in nodes:
        opened = node.key in unfolded
        yield Branch(node.key, node.name, depth, node.count, node.at, bool(node.children) and opened, node.entry)
        if node.children and opened:
            yield from _visible(node.children, unfolded, depth + 1)


def words_of(entry: Entry) -> str:
    """What a filter looks at: computed once, because a key that is typed looks at all of them."""
    conflict = "conflict" if entry.conflict else ""
    return " ".join((entry.address, entry.author, entry.content_type, *entry.readers, conflict)).casefold()


def planted(shelf: Shelf) -> Shelf:
    """The shelf with its tree grown anew from its entries."""
    kept = [(_segments(entry, shelf.by), entry) for entry in shelf.entries.values()]
    return unrolled(replace(shelf, tree=_grow(kept, 0, f"{shelf.by}:")))


def unrolled(shelf: Shelf) -> Shelf:
    """The shelf with its rows computed anew; filtered, the addresses that are found stand in a list."""
    if words := shelf.filter.casefold().split():
        found = list(shelf.entries.values())
        for word in words:
            found = [entry for entry in found if word in entry.words]
        rows = {entry.address: _found(entry, shelf.by) for entry in found[:MOST_FOUND]}
        return replace(shelf, rows=rows, found=len(found))
    visible = _visible(shelf.tree, shelf.unfolded, 0)
    return replace(shelf, rows={row.id: row for row in visible}, found=0)


def _found(entry: Entry, by: str) -> Branch:
    return Branch(entry.address, JOIN.join(_segments(entry, by)), 0, 1, entry.at, entry=entry)


def listed(shelf: Shelf, listing: Listing, *, first: bool, now: float) -> Shelf:
    """The shelf after one page of the list; the ``first`` begins it anew.

    What was known stays until the last page is there, so that no row goes away and comes back while one looks.
    """
    coming = {} if first else dict(shelf.coming)
    for entry in listing.entries:
        if len(coming) < MOST_ENTRIES or entry.address in coming:
            coming[entry.address] = entry
    cut = len(coming) >= MOST_ENTRIES and bool(listing.next)
    complete = listing.complete and (first or shelf.complete)
    if listing.next and not cut:
        begun = replace(shelf, coming=coming, complete=complete, cut=False)
        return begun if shelf.entries else planted(replace(begun, entries=coming))
    changed = replace(shelf, coming={}, complete=complete, cut=cut, seen=now)
    return planted(replace(changed, entries=coming)) if coming != shelf.entries or not shelf.tree else changed


def folded(shelf: Shelf, key: str, unfold: bool) -> Shelf:
    changed = shelf.unfolded | {key} if unfold else shelf.unfolded - {key}
    return unrolled(replace(shelf, unfolded=changed))


def parent(shelf: Shelf, id: str) -> str:
    """The row above ``id`` in the tree, or nothing."""
    ways: list[str] = []
    for row in shelf.rows.values():
        if row.id == id:
            return ways[row.depth - 1] if row.depth else ""
        ways[row.depth :] = [row.id]
    return ""


# Books


def with_book(shelf: Shelf, book: Book) -> Shelf:
    """The shelf with this book on it as the newest; old ones go when there are many, or much text."""
    books = {address: old for address, old in shelf.books.items() if address != book.address}
    books[book.address] = book
    while len(books) > 1 and (len(books) > MOST_BOOKS or _much(books.values())):
        del books[next(iter(books))]
    return replace(shelf, books=books)


def _much(books: Iterable[Book]) -> bool:
    return sum(len(text) for book in books for text in book.texts.values()) > MOST_TEXT
