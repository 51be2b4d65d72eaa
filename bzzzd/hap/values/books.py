"""One opened address as a value: its versions by number, the texts that were read, and which is in view. Pure.

Strings in here are clean: ``feeds/context.py`` makes these values.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

MOST_TEXT = 2_000_000
"""Code points of content that are kept for the time without bzzzd."""
TABS = ("text", "versions", "facts", "compare")


def at_version(address: str, number: int) -> str:
    """The address of version ``number`` of what ``address`` names at its latest."""
    return address.replace("/*^/", f"/*~{number}/", 1)


class Edition(Struct, frozen=True):
    """One version of an address. ``holders`` are nodes, or None when they were not asked."""

    number: int
    id: str
    author: str = ""
    at: float = 0
    size: int = 0
    content_type: str = ""
    readers: tuple[str, ...] = ()
    epoch: int = 0
    parents: tuple[str, ...] = ()
    head: bool = False
    holders: tuple[str, ...] | None = None


class Editions(Struct, frozen=True):
    """An answer of ``context.history``: some of ``of`` versions, by number."""

    editions: tuple[Edition, ...] = ()
    of: int = 0
    next: int = 0
    complete: bool = True
    replicas: int = 0


class Reading(Struct, frozen=True):
    """The content of one version, as a clean block of text."""

    id: str
    number: int
    text: str


class Book(Struct, frozen=True):
    """One opened address: its versions, and the texts read so far, by version id.

    ``number`` is the version in view and ``other`` the one that it is compared with; 0 means the latest, and the one
    before that in view.
    """

    address: str
    editions: tuple[Edition, ...] = ()
    of: int = 0
    complete: bool = True
    replicas: int = 0
    texts: Mapping[str, str] = field(default_factory=dict)
    number: int = 0
    other: int = 0

    @property
    def shown(self) -> Edition | None:
        """The version in view."""
        return self._numbered(self.number or self.of)

    @property
    def compared(self) -> Edition | None:
        """The version that the one in view is compared with."""
        shown = self.number or self.of
        return self._numbered(self.other or (shown - 1 if shown > 1 else shown + 1))

    def _numbered(self, number: int) -> Edition | None:
        return next((edition for edition in self.editions if edition.number == number), None)

    @property
    def conflict(self) -> bool:
        return sum(edition.head for edition in self.editions) > 1


def edited(book: Book, editions: Editions) -> Book:
    """The book after a page of its history; holders that were told before stay until others are told."""
    known = {edition.number: edition for edition in book.editions}
    for edition in editions.editions:
        old = known.get(edition.number)
        if edition.holders is None and old is not None and old.id == edition.id:
            edition = replace(edition, holders=old.holders)
        known[edition.number] = edition
    kept = tuple(known[number] for number in sorted(known) if number <= editions.of)
    ids = {edition.id for edition in kept}
    return replace(
        book,
        editions=kept,
        of=editions.of,
        complete=editions.complete,
        replicas=editions.replicas or book.replicas,
        texts={id: text for id, text in book.texts.items() if id in ids},
        number=min(book.number, editions.of),
        other=min(book.other, editions.of),
    )


def read(book: Book, id: str, text: str) -> Book:
    """The book with the text of one version; what was read first goes when the book grows too large."""
    texts = {known: old for known, old in book.texts.items() if known != id}
    texts[id] = text
    while len(texts) > 2 and sum(map(len, texts.values())) > MOST_TEXT:
        del texts[next(iter(texts))]
    return replace(book, texts=texts)


def turned(book: Book, by: int) -> Book | None:
    """The book at the version before or after the one in view; None at its ends."""
    wanted = (book.number or book.of) + by
    return replace(book, number=wanted) if 1 <= wanted <= book.of else None


def turned_other(book: Book, by: int) -> Book | None:
    """As ``turned``, of the version that is compared with."""
    now = book.compared
    wanted = (now.number if now is not None else book.of) + by
    if wanted == (book.number or book.of):
        wanted += by
    return replace(book, other=wanted) if 1 <= wanted <= book.of else None
