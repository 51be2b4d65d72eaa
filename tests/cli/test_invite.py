"""Inviting and joining from the command line: what is asked, signed, shown and said."""

import json

import pytest
from msgspec import Struct

from bzzzd.cli.commands.invite import checked, seconds
from bzzzd.crypto.keys import SigningKey, key_text
from bzzzd.errors import BadInput, InvitationRefused, Overloaded
from bzzzd.identity.grants import Grant
from bzzzd.identity.invitation import new_token, open_ask, read_token, token_text
from bzzzd.rpc.access import attached, guest
from tests.cli.conftest import MESH

JOINER = SigningKey.from_seed(b"j" * 32)
TOKEN = new_token(b"a" * 32, b"i" * 32, "node", ["/ip4/192.0.2.7/tcp/8075"])
ROW = {
    "code": "0123 4567", "kind": "node", "id": "n2\x1b[2J", "role": "node", "key": key_text(JOINER.public), "age": "",
    "address": "192.0.2.9", "since": 1.7e9, "invitation": "aa", "may_grant": ["worker"], "valid_s": 3600.0,
    "max_validity_s": 60.0, "unattended": False, "signs": "node",
}  # fmt: skip


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """Every parameter that the methods below take."""

    role: str | None = None
    person: str | None = None
    id: str | None = None
    uses: int = 0
    expires_s: float = 0.0
    yes: bool = False
    key: str | None = None
    code: str = ""
    grant: bytes | None = None
    invitation: str = ""
    set_aside: bool = False
    ask: bytes | None = None


@pytest.fixture
def desk(node):
    """Answers by method, and what was asked."""
    asked = []

    def add(name, handler, access=attached):
        def noted(call, params):
            asked.append((name, params))
            return handler(params) if callable(handler) else handler

        node.registry.add(name, access(), Asked, noted, doc="for the tests")

    add.asked = asked
    return add


def made(**changes):
    return {
        "token": token_text(TOKEN), "invitation": "aa", "kind": "node", "role": "node", "id": "", "uses": 1,
        "expires": 1.9e9, "addresses": ["/ip4/192.0.2.7/tcp/8075"], "mesh_id": MESH, "signs": "node",
        "unattended": False, **changes,
    }  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), [("90", 90), ("45s", 45), ("30m", 1800), ("24h", 86400), ("7d", 604800)])
def test_times_are_said_as_people_say_them(text, wanted):
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "h", "1.5h", "-3d", "soon", "10w", "9" * 12])
def test_other_times_are_refused(text):
    with pytest.raises(BadInput):
        seconds(text)


@pytest.mark.parametrize(("uses", "expires_s", "says"), [(0, 60.0, "1 to 1000"), (1001, 60.0, "1 to 1000"),
                                                         (1, 31 * 86400.0, "at most 30 days")])  # fmt: skip
def test_what_no_invitation_can_have_is_refused_in_words(uses: int, expires_s: float, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        checked(uses, expires_s)
    assert checked(1000, 30 * 86400.0) == (1000, 30 * 86400.0)


def test_ids_that_cannot_be_are_refused_in_words_and_nobody_is_asked(bzzz, desk):
    desk("mesh.invite", made())
    wrong = bzzz("mesh", "invite", "--person", "b b")
    assert (wrong.status, "--person 'b b': an id has 1 to 64 of" in wrong.err) == (2, True)
    unknown = bzzz("mesh", "uninvite", "xx")
    assert (unknown.status, "bzzz mesh requests lists them" in unknown.err) == (4, True)
    assert desk.asked == []


def test_an_invitation_is_shown_with_the_command_that_uses_it(bzzz, desk):
    desk("mesh.invite", made())
    found = bzzz("mesh", "invite", "--expires", "2h", "--uses", "3")
    assert (found.status, found.err) == (0, "")
    assert f"bzzz mesh join {token_text(TOKEN)}\n" in found.out
    assert "you, when somebody joins" in found.out
    (_, asked) = desk.asked[-1]
    assert (asked.expires_s, asked.uses, asked.yes, asked.role) == (7200.0, 3, False, None)
    assert json.loads(bzzz("mesh", "invite", "--json").out)["token"] == token_text(TOKEN)


def test_an_unattended_invitation_that_needs_a_signing_client_says_so(bzzz, desk):
    desk("mesh.invite", made(unattended=True, signs="client"))
    assert "keep `bzzz mesh invite --wait` running" in bzzz("mesh", "invite", "--yes").err


def test_a_node_that_nobody_can_reach_says_so(bzzz, desk):
    desk("mesh.invite", made(addresses=["/ip4/127.0.0.1/tcp/8075"]))
    assert "network.listen" in bzzz("mesh", "invite").err


def test_requests_are_listed_without_what_could_drive_a_terminal(bzzz, desk):
    answer = {"requests": [ROW], "invitations": [made()]}
    desk("mesh.requests", lambda params: answer)
    found = bzzz("mesh", "requests")
    assert "0123 4567" in found.out
    assert "\x1b" not in found.out
    answer["requests"] = []
    assert bzzz("mesh", "requests").out.startswith("nobody waits")


def test_a_code_is_typed_in_one_word_or_two(bzzz, desk):
    desk("mesh.requests", {"requests": [ROW], "invitations": []})
    desk("mesh.confirm", {"id": "n2", "kind": "node", "role": "node"})
    for words in (["0123", "4567"], ["01234567"]):
        assert bzzz("mesh", "confirm", *words).status == 0
        assert desk.asked[-1] == ("mesh.confirm", Asked(code="0123 4567"))
    assert bzzz("mesh", "confirm", "9999", "9999").status == 4
    assert bzzz("mesh", "confirm", "12").status == 2


def test_where_the_client_signs_it_signs_what_was_asked_and_no_more(bzzz, desk):
    import msgspec

    from bzzzd.crypto.envelope import open_envelope

    desk("mesh.requests", {"requests": [{**ROW, "id": "n2", "signs": "client"}], "invitations": []})
    desk("mesh.confirm", {"id": "n2", "kind": "node", "role": "node"})
    assert bzzz("mesh", "confirm", "0123", "4567").status == 0
    (_, asked) = desk.asked[-1]
    grant = msgspec.msgpack.decode(open_envelope(asked.grant, kind="grant", mesh_id=MESH).payload, type=Grant)
    assert (grant.kind, grant.id, grant.key, grant.role, grant.age) == ("node", "n2", JOINER.public, "node", None)
    assert (grant.may_grant, grant.max_validity_s, grant.not_after - grant.not_before) == (("worker",), 60.0, 3600.0)


def test_waiting_attends_to_this_invitations_joiners_and_ends_with_it(bzzz, desk):
    turns = [
        {"requests": [{**ROW, "unattended": True}, {**ROW, "code": "7777 7777", "invitation": "bb"}],
         "invitations": [made()]},
        {"requests": [], "invitations": []},
    ]  # fmt: skip
    desk("mesh.invite", made(unattended=True))
    desk("mesh.requests", lambda params: turns.pop(0))
    desk("mesh.confirm", {"id": "n2", "kind": "node", "role": "node"})
    found = bzzz("mesh", "invite", "--yes", "--wait")
    assert found.status == 0
    assert "node n2 is a member now" in found.err
    assert [params.code for name, params in desk.asked if name == "mesh.confirm"] == ["0123 4567"]


def test_joining_shows_the_code_and_goes_on_until_the_inviter_has_decided(bzzz, desk, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    answers = [
        {"state": "waiting", "code": "0123 4567", "pause_s": 0.2},
        Overloaded("too many"),
        {"state": "waiting", "code": "0123 4567", "pause_s": 0.2},
        {"state": "member", "kind": "node", "id": "n2", "role": "node", "mesh_id": TOKEN.mesh_id},
    ]

    def join(params):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    desk("mesh.join", join, guest)
    found = bzzz("mesh", "join", "-", "--yes", "--id", "n2", given=token_text(TOKEN).encode() + b"\n")
    assert (found.status, found.err.count("bzzz mesh confirm 0123 4567")) == (0, 1)
    assert f"a member of {TOKEN.mesh_id} already" in found.out
    assert desk.asked[-1][1] == Asked(invitation=token_text(TOKEN), id="n2")


def test_joining_asks_first_and_says_nothing_of_the_invitation(bzzz, desk):
    found = bzzz("mesh", "join", token_text(TOKEN))
    assert (found.status, desk.asked) == (2, [])
    damaged = bzzz("mesh", "join", token_text(TOKEN)[:-4], "--yes")
    assert damaged.status == 2
    assert token_text(TOKEN)[40:60] not in damaged.err


def test_a_refusal_is_an_exit_status_of_its_own(bzzz, desk):
    def join(params):
        raise InvitationRefused("it has expired", reason="expired")

    desk("mesh.join", join, guest)
    found = bzzz("mesh", "join", token_text(TOKEN), "--yes")
    assert (found.status, found.err) == (3, "bzzz: it has expired (INVITATION_REFUSED)\n")


def test_a_persons_ask_is_signed_by_their_own_key_and_the_grant_is_kept(bzzz, desk, place):
    token = new_token(b"a" * 32, b"i" * 32, "person", ["/ip4/192.0.2.7/tcp/8075"])
    desk("mesh.join", {"state": "joined", "kind": "person", "id": "bob", "role": "operator", "chain": [b"raw"],
                       "mesh_id": token.mesh_id}, guest)  # fmt: skip
    found = bzzz("mesh", "join", token_text(token), "--id", "bob")
    assert (found.status, "as person bob" in found.out) == (0, True)
    (_, asked) = desk.asked[-1]
    assert open_ask(asked.ask, token.mesh_id).id == "bob"
    assert read_token(asked.invitation) == token
    assert list(place.glob("state/**/person.grant"))
    assert "chain" not in json.loads(bzzz("mesh", "join", token_text(token), "--id", "bob", "--json").out)
