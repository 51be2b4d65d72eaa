"""Addresses as a tree: every address is found in it once, whatever it is grouped by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bzzzd.hap.values import books, shelf
from bzzzd.hap.values.books import Book, Edition, Editions
from bzzzd.hap.values.shelf import GROUPS, Entry, Listing, Shelf

NAMES = st.sampled_from(("a", "b", "worker-1"))
PATHS = st.lists(NAMES, max_size=20).map("/".join)


def entry(agent: str, role: str, project: str, task: str, path: str, at: float = 1.0) -> Entry:
    address = f"ucxl://{agent}:{role}@{project}:{task}/*^/{path}"
    made = Entry(address, agent, role, project, task, path, versions=2, author=agent, at=at)
    return replace(made, words=shelf.words_of(made))


ENTRIES = st.lists(st.builds(entry, NAMES, NAMES, NAMES, NAMES, PATHS), max_size=20)
MANY = (
    entry("worker-1", "worker", "default", "t-1", "decision", at=5),
    entry("worker-1", "worker", "default", "t-1", "notes/first", at=9),
    entry("worker-2", "worker", "default", "t-2", "decision", at=3),
)


def full(entries: tuple[Entry, ...] = MANY, **fields: str) -> Shelf:
    return shelf.listed(replace(Shelf(), **fields), Listing(entries), first=True, now=1.0)


def names(found: Shelf) -> list[str]:
    return ["  " * row.depth + row.name for row in found.rows.values()]


def test_a_way_without_a_fork_is_one_row() -> None:
    found = full()
    assert names(found) == ["worker-1 / worker / default / t-1", "worker-2 / worker / default / t-2 / decision"]
    opened = shelf.folded(found, next(iter(found.rows)), True)
    assert names(opened)[1:3] == ["  decision", "  notes / first"]
    assert shelf.parent(opened, MANY[1].address) == next(iter(found.rows))


def test_a_folded_name_tells_how_many_are_below_it_and_the_newest() -> None:
    row = next(iter(full().rows.values()))
    assert (row.count, row.at, row.unfolded) == (2, 9, False)


def unfolded(found: Shelf) -> Shelf:
    """Every name of the tree unfolded."""
    while folded := [row.id for row in found.rows.values() if row.entry is None and not row.unfolded]:
        found = shelf.unrolled(replace(found, unfolded=found.unfolded | set(folded)))
    return found


def test_a_filter_lists_what_it_finds() -> None:
    found = shelf.unrolled(replace(full(), filter="FIRST"))
    assert names(found) == ["worker-1 / worker / default / t-1 / notes / first"]


@given(ENTRIES, st.sampled_from(tuple(GROUPS)))
def test_every_address_stands_in_the_whole_tree_once(entries: list[Entry], by: str) -> None:
    found = unfolded(full(tuple(entries), by=by))
    rows = [row.entry.address for row in found.rows.values() if row.entry is not None]
    assert sorted(rows) == sorted({one.address for one in entries})
    listed = shelf.unrolled(replace(found, filter="ucxl"))
    assert sorted(listed.rows) == sorted(rows)
    assert sum(row.count for row in found.rows.values() if row.depth == 0) == len(rows)


def test_pages_of_the_list_add_up_and_a_flood_is_cut() -> None:
    first = shelf.listed(Shelf(), Listing(MANY[:1], next="more", complete=False), first=True, now=1.0)
    both = shelf.listed(first, Listing(MANY[1:]), first=False, now=2.0)
    assert (len(both.entries), both.complete, both.cut) == (3, False, False)
    again = shelf.listed(both, Listing(MANY[:1], next="more"), first=True, now=3.0)
    assert len(again.entries) == 3, "what was known stays while the list is read again"
    assert len(shelf.listed(again, Listing(), first=False, now=4.0).entries) == 1
    flood = tuple(entry("a", "b", "c", f"t-{number}", "x") for number in range(shelf.MOST_ENTRIES + 10))
    cut = shelf.listed(Shelf(), Listing(flood, next="more"), first=True, now=1.0)
    assert (len(cut.entries), cut.cut) == (shelf.MOST_ENTRIES, True)


EDITIONS = tuple(Edition(number, f"id-{number}", at=float(number), head=number == 3) for number in (1, 2, 3))


def test_versions_are_walked_and_compared_with_the_one_before() -> None:
    book = books.edited(Book("a"), Editions(EDITIONS, of=3))
    assert (book.shown, book.compared) == (EDITIONS[2], EDITIONS[1])
    earlier = books.turned(book, -1)
    assert earlier is not None
    assert (earlier.shown, earlier.compared) == (EDITIONS[1], EDITIONS[0])
    assert books.turned(book, 1) is None
    other = books.turned_other(earlier, 1)
    assert other is None or other.compared != other.shown


def test_holders_stay_when_the_history_is_read_without_them() -> None:
    told = books.edited(Book("a"), Editions((replace(EDITIONS[0], holders=("n1", "n2")),), of=3))
    again = books.edited(told, Editions(EDITIONS, of=3))
    assert again.editions[0].holders == ("n1", "n2")


def test_books_and_their_texts_are_bounded() -> None:
    found = Shelf()
    for number in range(60):
        book = books.edited(Book(f"a-{number}"), Editions(EDITIONS, of=3))
        for edition in EDITIONS:
            book = books.read(book, edition.id, "x" * 900_000)
        found = shelf.with_book(found, book)
    assert list(found.books) == ["a-59"]
    assert sum(map(len, found.books["a-59"].texts.values())) <= books.MOST_TEXT
