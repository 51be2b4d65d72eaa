"""The charter's book: what is in force depends on what is held, never on what came first."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import GrantRefused, InvalidEnvelope
from bzzzd.identity.charter import Book, CharterKind, Paper, open_document, seal_document
from bzzzd.identity.grants import Grant, Trust, issue, mesh_id_of
from bzzzd.identity.revocations import Removed, RevocationList, Revoked

AUTHORITY = SigningKey.from_seed(b"a" * 32)
MESH = mesh_id_of(AUTHORITY.public)
ADMINS = [SigningKey.from_seed(bytes([n]) * 32) for n in range(1, 4)]
STRANGER = SigningKey.from_seed(b"s" * 32)
WORKER = SigningKey.from_seed(b"w" * 32)
NOW = 1_800_000_000.0


class Word(Struct):
    number: int
    at: float
    said: str = ""


def grant(
    key: SigningKey, *, kind: str = "admin", serial: int = 1, start: float = NOW, end: float = NOW + 1e6
) -> bytes:
    return issue(
        AUTHORITY,
        Grant(
            kind=kind, id="x", mesh_id=MESH, key=key.public, role="admin", serial=serial, not_before=start,
            not_after=end, issuer=AUTHORITY.public,
        ),
    )  # fmt: skip


def paper(
    key: SigningKey, number: int, *, kind: CharterKind = "policy", said: str = "", at: float = NOW, chain: bytes = b""
) -> Paper:
    raw = seal_document(key, kind, MESH, Word(number, at, said))
    return Paper(raw, () if key is AUTHORITY else (chain or admin_chain(key),))


def admin_chain(key: SigningKey) -> bytes:
    return grant(key, serial=1 + ADMINS.index(key) if key in ADMINS else 99)


def revoking(key: SigningKey, number: int, *, keys: tuple[bytes, ...] = (), admins: tuple[Removed, ...] = ()) -> Paper:
    listed = RevocationList(number=number, at=NOW, keys=tuple(Revoked(k, NOW) for k in keys), admins=admins)
    chain = () if key is AUTHORITY else (admin_chain(key),)
    return Paper(seal_document(key, "revocations", MESH, listed), chain)


def book(*papers: Paper) -> Book:
    made = Book(Trust(MESH, AUTHORITY.public))
    for each in papers:
        made.take(each)
    return made


def number(of: Book, kind: CharterKind = "policy") -> int:
    found = of.current(kind)
    return found.number if found is not None else 0


def test_the_higher_number_stands_and_each_kind_for_itself() -> None:
    one, two = paper(AUTHORITY, 1), paper(ADMINS[0], 2)
    made = book(one)
    assert made.take(two) == {"policy"}
    assert made.take(one) == frozenset()
    assert number(made) == 2
    assert made.current("epoch") is None
    assert made.take(paper(AUTHORITY, 1, kind="epoch")) == {"epoch"}


def test_on_a_tie_the_lower_hash_stands_everywhere() -> None:
    first, second = paper(ADMINS[0], 5, said="left"), paper(ADMINS[1], 5, said="right")
    wanted = min(open_document(each.raw, MESH).digest for each in (first, second))
    for order in permutations((first, second)):
        found = book(*order).current("policy")
        assert found is not None
        assert found.digest == wanted


def test_only_the_authority_and_administrators_sign() -> None:
    made = book()
    with pytest.raises(GrantRefused, match="administrator"):
        made.take(Paper(seal_document(STRANGER, "policy", MESH, Word(1, NOW)), ()))
    with pytest.raises(GrantRefused, match="is none"):
        made.take(paper(STRANGER, 1, chain=grant(STRANGER, kind="person")))
    with pytest.raises(GrantRefused, match="is none"):
        made.take(paper(STRANGER, 1, chain=admin_chain(ADMINS[0])))
    with pytest.raises(InvalidEnvelope, match="no document of the charter"):
        made.take(Paper(seal(AUTHORITY, "message", MESH, b"\x81"), ()))
    with pytest.raises(InvalidEnvelope, match="wrong shape"):
        made.take(Paper(seal(AUTHORITY, "policy", MESH, b"\x80"), ()))
    assert not made.papers()


def test_a_signature_made_after_the_delegation_ended_does_not_count_and_one_before_does_for_ever() -> None:
    chain = grant(ADMINS[0], start=NOW, end=NOW + 100)
    made = book(paper(ADMINS[0], 2, at=NOW + 50, chain=chain))
    assert number(made) == 2
    with pytest.raises(GrantRefused, match="expired"):
        made.take(paper(ADMINS[0], 3, at=NOW + 101, chain=chain))


def test_a_payload_that_its_owner_refuses_is_not_held() -> None:
    made = book()

    def check(document: object) -> None:
        raise InvalidEnvelope("nonsense")

    made.check_with("policy", check)
    with pytest.raises(InvalidEnvelope, match="nonsense"):
        made.take(paper(AUTHORITY, 1))
    assert number(made) == 0


def test_what_is_revoked_stays_so_when_its_list_loses_its_number_to_another() -> None:
    left, right = revoking(ADMINS[0], 3, keys=(b"l" * 32,)), revoking(ADMINS[1], 3, keys=(b"r" * 32,))
    for order in permutations((left, right)):
        made = book(*order)
        assert set(made.revocations.keys) == {b"l" * 32, b"r" * 32}
        assert made.revocations.number == 3


def test_a_removed_administrators_documents_go_except_those_that_the_removal_lets_stand() -> None:
    before = paper(AUTHORITY, 1)
    kept, later = paper(ADMINS[1], 2), paper(ADMINS[1], 9)
    stand = (open_document(kept.raw, MESH).digest,)
    removal = revoking(ADMINS[0], 1, admins=(Removed(ADMINS[1].public, 7, stand),))
    for order in permutations((before, kept, later, removal)):
        made = book(*order, kept)  # a member that holds it sends it again
        assert number(made) == 2
    for order in permutations((before, later, removal)):
        assert number(book(*order)) == 1
    strict = revoking(AUTHORITY, 2, admins=(Removed(ADMINS[1].public, 0),))
    for order in permutations((before, kept, removal, strict)):
        assert number(book(*order)) == 1


def test_of_two_administrators_that_remove_each_other_the_older_one_stands_and_the_authority_before_both() -> None:
    older = revoking(ADMINS[0], 1, admins=(Removed(ADMINS[1].public, 0),))
    younger = revoking(ADMINS[1], 50, admins=(Removed(ADMINS[0].public, 0),))
    for order in permutations((older, younger)):
        made = book(*order)
        assert set(made.revocations.issuers) == {ADMINS[1].public}
    last = revoking(AUTHORITY, 1, admins=(Removed(ADMINS[0].public, 0),))
    for order in permutations((older, younger, last)):
        # The older one's word is void now, so the younger one stands again.
        assert set(book(*order).revocations.issuers) == {ADMINS[0].public}


def test_an_administrator_that_removes_itself_is_believed() -> None:
    earlier = revoking(ADMINS[0], 1, keys=(WORKER.public,))
    last = revoking(ADMINS[0], 2, keys=(WORKER.public,), admins=(Removed(ADMINS[0].public, 5),))
    for order in permutations((earlier, last)):
        made = book(*order)
        assert number(made, "revocations") == made.revocations.number == 2
        assert made.revocations.removed(ADMINS[0].public)
        assert made.revocations.removed(WORKER.public)


def test_nobody_takes_the_authority_back() -> None:
    with pytest.raises(InvalidEnvelope, match="authority"):
        book().take(revoking(ADMINS[0], 1, keys=(AUTHORITY.public,)))
    with pytest.raises(InvalidEnvelope, match="authority"):
        book().take(revoking(ADMINS[0], 1, admins=(Removed(AUTHORITY.public, 0),)))


def test_a_signers_older_documents_are_let_go_and_the_number_of_signers_is_bounded() -> None:
    made = book(*(paper(AUTHORITY, n) for n in range(1, 10)))
    assert len(made.papers()) == 1
    many = [SigningKey.from_seed(n.to_bytes(32, "big")) for n in range(1000, 1080)]
    for index, key in enumerate(many):
        made.take(paper(key, 20 + index, chain=grant(key, serial=index)))
    assert len(made.papers()) == 64


_signers = st.sampled_from([AUTHORITY, *ADMINS])
_documents = st.builds(
    paper, _signers, st.integers(1, 4), kind=st.sampled_from(["policy", "epoch"]), said=st.sampled_from(["", "x"])
)
_keys = st.lists(st.sampled_from([bytes([n]) * 32 for n in range(200, 204)]), max_size=2).map(tuple)
_removals = st.lists(
    st.builds(Removed, st.sampled_from([admin.public for admin in ADMINS]), st.integers(0, 9)), max_size=2
).map(tuple)
_lists = st.builds(revoking, _signers, st.integers(1, 4), keys=_keys, admins=_removals)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(_documents, _lists), max_size=8), st.data())
def test_nodes_that_exchange_what_they_hold_agree_whatever_came_first(papers: list[Paper], data: st.DataObject) -> None:
    books = [book(*data.draw(st.permutations(papers))) for _ in range(3)]
    assert len({_state(each) for each in books}) == 1
    for target in books:
        for source in books:
            for each in source.papers():
                target.take(each)
    assert len({_state(each) for each in books}) == 1
    assert len({each.digests() for each in books}) == 1


def _state(of: Book) -> str:
    heads = {kind: of.current(kind) for kind in ("policy", "epoch", "revocations")}
    found = of.revocations
    return repr((
        {kind: document.digest.hex() if document else "" for kind, document in heads.items()},
        sorted(found.keys.items()), sorted(found.grants), sorted(found.issuers.items()),
        sorted((key, sorted(stand)) for key, stand in found.stand.items()), found.number,
    ))  # fmt: skip
