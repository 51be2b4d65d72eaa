"""Joins by an invitation that lies in a file, with nobody there: how containers and installers make members.

no file, or the same one that was refused ──► look again, up to every 30 s
inviter away, busy or asking a person     ──► try again
member of its mesh, or joined             ──► done
not alone, or not empty                   ──► done: only a person decides what is left behind
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import structlog

from bzzzd.errors import BadInput, BzzzError, Conflict, InvitationRefused, KeyExposed, NotFound
from bzzzd.identity.invitation import Token, read_token

FIRST_S: Final = 0.5
LONGEST_S: Final = 30.0
_LIMIT: Final = 8192


def read_invitation(path: Path) -> Token | None:
    """The invitation in a file; ``None`` where there is no file, or nothing in it.

    Its secret lets a machine in, so a file that everybody can read is refused (``KeyExposed``); the group may read
    it, because Kubernetes hands secrets to a pod's group. Blocking.
    """
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(path.stat().st_mode) & 0o007:
                raise KeyExposed(
                    f"the invitation {path} is open to everybody; run: chmod o= '{path}', and have a new one made if "
                    "it was not meant to be",
                    path=str(path),
                )
            text = file.read(_LIMIT).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NotFound(
            f"the invitation {path} cannot be read ({error.strerror or error}); it must belong to the user that runs "
            "bzzzd, or to its group",
            path=str(path),
        ) from error
    return read_token(text) if text.strip() else None


class FileJoin:
    """``join(token)`` tries once and answers as ``mesh.join`` does; ``sleep`` is ``asyncio.sleep`` but in tests."""

    def __init__(
        self,
        path: Path,
        join: Callable[[Token], Awaitable[dict[str, Any]]],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._path = path
        self._join = join
        self._sleep = sleep
        self._refused: Token | None = None
        self._said = ""

    async def run(self) -> None:
        """Look and try until this node is a member, or is not to become one by itself."""
        pause = FIRST_S
        while not await self._try():
            await self._sleep(pause)
            pause = min(pause * 2, LONGEST_S)

    async def _try(self) -> bool:
        """Whether there is nothing left to do."""
        try:
            token = await asyncio.to_thread(read_invitation, self._path)
        except BzzzError as error:
            self._say("the invitation in security.join_file is of no use", error)
            return False
        if token is None:
            self._say("there is no invitation in security.join_file yet; this node goes on in a mesh of its own")
            return False
        if token == self._refused:
            return False
        try:
            found = await self._join(token)
        except Conflict as error:
            self._say("this node does not join by security.join_file", error)
            return True
        except (InvitationRefused, BadInput) as error:
            self._refused = token
            self._say("the invitation in security.join_file was refused; put another one there", error)
            return False
        except BzzzError as error:
            self._say("joining by security.join_file has to wait", error)
            return False
        if found["state"] == "waiting":
            self._say(f"the inviter has to confirm this node: bzzz mesh confirm {found['code']}")
            return False
        return True

    def _say(self, what: str, error: BzzzError | None = None) -> None:
        """Once, until something else is to be said."""
        said = f"{what}: {error.message}" if error else what
        if said != self._said:
            self._said = said
            log = structlog.get_logger()
            if error:
                log.warning(said, path=str(self._path), error_code=error.code)
            else:
                log.info(said, path=str(self._path))
