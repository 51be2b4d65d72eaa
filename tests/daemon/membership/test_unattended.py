"""An invitation in a file: when it is used, when it is waited for, and when it is left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.membership.unattended import LONGEST_S, FileJoin, read_invitation
from bzzzd.errors import BadInput, BzzzError, Conflict, InvitationRefused, KeyExposed, NotFound, Unavailable
from bzzzd.identity.invitation import Token, new_token, token_text


def token() -> Token:
    return new_token(SigningKey.generate().public, SigningKey.generate().public, "node", ["/ip4/192.0.2.1/tcp/8075"])


def put(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


class Join:
    """Answers with ``script``, one for each try: an error to raise, or a state."""

    def __init__(self, *script: BzzzError | str) -> None:
        self.script = list(script)
        self.tries: list[Token] = []

    async def __call__(self, token: Token) -> dict[str, Any]:
        self.tries.append(token)
        said = self.script.pop(0)
        if isinstance(said, BzzzError):
            raise said
        return {"state": said, "code": "1234 5678"}


class Sleep:
    """Instead of time: runs ``changes``, one for each pause, and ends the test that would go on for ever."""

    def __init__(self, *changes: Callable[[], object]) -> None:
        self.changes = list(changes)
        self.pauses: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if not self.changes:
            raise TimeoutError
        self.changes.pop(0)()


def nothing() -> None:
    """Time goes by."""


async def test_a_node_joins_by_the_invitation_in_the_file(tmp_path: Path) -> None:
    made, join = token(), Join("joined")
    await FileJoin(put(tmp_path / "token", f"{token_text(made)}\n"), join).run()
    assert join.tries == [made]


async def test_a_member_of_the_mesh_has_nothing_to_do(tmp_path: Path) -> None:
    await FileJoin(put(tmp_path / "token", token_text(token())), Join("member")).run()


async def test_a_file_that_comes_later_is_found(tmp_path: Path) -> None:
    path, join = tmp_path / "token", Join("joined")
    sleep = Sleep(nothing, lambda: put(path, "\n"), lambda: put(path, token_text(token())))
    await FileJoin(path, join, sleep).run()
    assert len(join.tries) == 1


async def test_an_inviter_that_is_away_or_asks_is_asked_again_more_and_more_slowly(tmp_path: Path) -> None:
    join, sleep = Join(*[Unavailable("away")] * 10, "waiting", "joined"), Sleep(*[nothing] * 11)
    await FileJoin(put(tmp_path / "token", token_text(token())), join, sleep).run()
    assert sleep.pauses == sorted(sleep.pauses)
    assert sleep.pauses[-1] == LONGEST_S


@pytest.mark.parametrize("error", [InvitationRefused("used up", reason="used"), BadInput("for a person")])
async def test_a_refused_invitation_is_not_tried_again_but_another_one_is(tmp_path: Path, error: BzzzError) -> None:
    path, second = put(tmp_path / "token", token_text(token())), token()
    join, sleep = Join(error, "joined"), Sleep(nothing, nothing, lambda: put(path, token_text(second)))
    await FileJoin(path, join, sleep).run()
    assert len(join.tries) == 2
    assert join.tries[1] == second


async def test_a_node_that_is_not_alone_or_not_empty_stays_where_it_is(tmp_path: Path) -> None:
    join = Join(Conflict("this node holds 3 versions"))
    await FileJoin(put(tmp_path / "token", token_text(token())), join).run()
    assert len(join.tries) == 1


async def test_a_damaged_invitation_is_never_shown_to_the_inviter(tmp_path: Path) -> None:
    join = Join()
    with pytest.raises(TimeoutError):
        await FileJoin(put(tmp_path / "token", token_text(token())[:-3]), join, Sleep(nothing)).run()
    assert join.tries == []


def test_a_file_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    text = token_text(token())
    with pytest.raises(KeyExposed) as caught:
        read_invitation(put(tmp_path / "token", text, 0o644))
    assert text not in caught.value.message
    assert read_invitation(put(tmp_path / "token", text, 0o440)) is not None


def test_no_file_and_an_empty_one_are_no_invitation_and_a_folder_is_a_fault(tmp_path: Path) -> None:
    assert read_invitation(tmp_path / "none") is None
    assert read_invitation(put(tmp_path / "token", " \n")) is None
    with pytest.raises(NotFound):
        read_invitation(tmp_path)
