"""Invitations: tokens that survive a copy, proofs bound to both peers, codes that both sides see."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BadInput, BzzzError, InvalidEnvelope, InvitationRefused
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.invitation import (
    MAX_WRONG,
    Ask,
    Invitation,
    Standing,
    check_ask,
    check_open,
    check_standing,
    fits,
    new_token,
    open_ask,
    proof_key,
    prove,
    proved,
    read_token,
    seal_ask,
    short_code,
    token_text,
)
from bzzzd.identity.node import make_grant

NOW = 1_800_000_000.0
AUTHORITY, INVITER, JOINER, OTHER = (SigningKey.from_seed(letter * 32) for letter in (b"a", b"i", b"j", b"o"))
MESH = mesh_id_of(AUTHORITY.public)
TOKEN = new_token(AUTHORITY.public, INVITER.public, "node", ["/ip4/192.0.2.7/tcp/8075"])
KEY = proof_key(TOKEN)
ASK = seal_ask(JOINER, TOKEN, id="n2", age=None)
INVITATION = Invitation(
    id=TOKEN.id, proof_key=KEY, kind="node", role="node", valid_s=3600.0, by=OTHER.public, created=NOW,
    expires=NOW + 600.0, may_grant=("worker",),
)  # fmt: skip


def reason_of(error: BaseException) -> Any:
    assert isinstance(error, BzzzError)
    return error.data["reason"]


def test_a_token_is_read_back_from_its_text() -> None:
    assert read_token(token_text(TOKEN)) == TOKEN
    assert TOKEN.mesh_id == MESH


def test_line_breaks_of_a_mail_do_no_harm() -> None:
    text = token_text(TOKEN)
    assert read_token(f"  {text[:40]}\n{text[40:]}\n") == TOKEN


@given(st.data())
def test_a_damaged_token_is_refused_and_not_repeated(data: st.DataObject) -> None:
    text = token_text(TOKEN)
    at = data.draw(st.integers(0, len(text) - 1))
    char = data.draw(st.sampled_from("AZaz09-_."))
    changed = text[:at] + char + text[at + 1 :]
    message = ""
    try:
        assert read_token(changed) == TOKEN
    except BadInput as error:
        message = error.message
    assert text[30:] not in message


@given(st.text(max_size=300))
def test_any_other_text_is_no_token(text: str) -> None:
    with pytest.raises(BadInput):
        read_token(text)


def test_a_tokens_text_does_not_show_in_its_repr() -> None:
    assert TOKEN.secret.hex() not in repr(TOKEN)
    assert repr(TOKEN.secret) not in repr(TOKEN)


def test_a_proof_holds_for_its_two_peers_its_challenge_and_its_ask_alone() -> None:
    bound = {"inviter": INVITER.public, "carrier": JOINER.public, "challenge": b"c" * 32, "ask": ASK}
    proof = prove(KEY, **bound)
    assert proved(proof, KEY, **bound)
    for name, value in {
        "inviter": OTHER.public, "carrier": OTHER.public, "challenge": b"d" * 32, "ask": ASK + b"x",
    }.items():  # fmt: skip
        assert not proved(proof, KEY, **{**bound, name: value})
    again = new_token(AUTHORITY.public, INVITER.public, "node", TOKEN.addresses)
    assert not proved(proof, proof_key(again), **bound)


def test_the_code_changes_with_keys_ask_and_nonce() -> None:
    def code(
        authority: bytes = AUTHORITY.public, inviter: bytes = INVITER.public, ask: bytes = ASK,
        key: bytes = JOINER.public, nonce: bytes = b"n" * 16,
    ) -> str:  # fmt: skip
        return short_code(authority, inviter, ask, key, nonce)

    codes = {
        code(), code(authority=OTHER.public), code(inviter=OTHER.public), code(ask=ASK + b"x"),
        code(key=OTHER.public), code(nonce=b"m" * 16),
    }  # fmt: skip
    assert len(codes) == 6
    assert all(len(one) == 9 and one[4] == " " and one.replace(" ", "").isdigit() for one in codes)


def test_an_ask_is_signed_by_the_key_that_it_asks_for() -> None:
    asked = open_ask(ASK, MESH)
    assert (asked.id, asked.key, asked.invitation) == ("n2", JOINER.public, TOKEN.id)
    with pytest.raises(InvalidEnvelope):
        open_ask(ASK[:-1] + bytes([ASK[-1] ^ 1]), MESH)


def test_an_ask_of_another_mesh_is_told_as_that() -> None:
    with pytest.raises(InvitationRefused) as error:
        open_ask(ASK, mesh_id_of(OTHER.public))
    assert reason_of(error.value) == "mesh"


def test_a_wrong_name_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(BadInput):
        seal_ask(JOINER, TOKEN, id="no name", age=None)


@pytest.mark.parametrize(
    ("standing", "at", "reason"),
    [
        (Standing(), NOW + 601.0, "expired"),
        (Standing(used=1), NOW, "used"),
        (Standing(used=7), NOW, "used"),
    ],
)
def test_an_invitation_ends_by_time_and_by_use(standing: Standing, at: float, reason: str) -> None:
    with pytest.raises(InvitationRefused) as error:
        check_open(INVITATION, standing, at)
    assert reason_of(error.value) == reason


def test_too_many_wrong_proofs_make_an_invitation_void() -> None:
    check_standing(Standing(wrong=MAX_WRONG - 1))
    with pytest.raises(InvitationRefused) as error:
        check_standing(Standing(wrong=MAX_WRONG))
    assert reason_of(error.value) == "void"


@pytest.mark.parametrize(
    ("changes", "ask", "reason"),
    [
        ({"kind": "person"}, {}, "kind"),
        ({"subject": "n3"}, {}, "subject"),
        ({"pinned": OTHER.public}, {}, "key"),
        ({}, {"key": OTHER.public}, "carrier"),
    ],
)
def test_an_ask_that_the_invitation_is_not_for_is_refused(
    changes: dict[str, Any], ask: dict[str, Any], reason: str
) -> None:
    asked: Ask = replace(open_ask(ASK, MESH), **ask)
    with pytest.raises(InvitationRefused) as error:
        check_ask(replace(INVITATION, **changes), asked, JOINER.public)
    assert reason_of(error.value) == reason


def test_a_grant_that_says_more_than_was_asked_does_not_fit() -> None:
    asked = open_ask(ASK, MESH)

    def granted(**changes: Any) -> bool:
        values: dict[str, Any] = {
            "kind": "node", "id": "n2", "key": JOINER.public, "role": "node", "valid_s": 3600.0, "now": NOW,
            "may_grant": ("worker",), "max_validity_s": 60.0,
        }  # fmt: skip
        raw = make_grant(AUTHORITY, MESH, **{**values, **changes})
        return fits(Trust(MESH, AUTHORITY.public).read_leaf([raw]), INVITATION, asked)

    assert granted()
    assert not any(
        (
            granted(kind="person"), granted(id="n3"), granted(key=OTHER.public), granted(role="admin"),
            granted(valid_s=7200.0), granted(may_grant=("admin",)), granted(capabilities=("run",)),
        )
    )  # fmt: skip
