"""The agent's voice on threads: it signs, posts and reads them over its session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from bzzzd.agent.signer import Signer
from bzzzd.errors import UnknownOutcome
from bzzzd.hmmm.message import (
    CONTENT_TYPE,
    SUMMARY_TYPE,
    TEXT_CHARS,
    Text,
    dated,
    post_params,
    summary_address,
    thread_address,
)
from bzzzd.slurp.brief import write_version

_ANSWER_S: Final = 10.0
_TRIES: Final = 3
_PAUSE_S: Final = 0.2
_PAGE: Final = 1000


class Link(Protocol):
    """The way to bzzzd."""

    async def call(self, method: str, params: Mapping[str, Any], *, timeout: float | None = None) -> Any: ...


class Voice:
    """``wall`` gives Unix seconds."""

    def __init__(self, link: Link, signer: Signer, wall: Callable[[], float]) -> None:
        self._link = link
        self._signer = signer
        self._wall = wall

    @property
    def me(self) -> str:
        return self._signer.id

    async def say(
        self,
        task: Mapping[str, Any],
        kind: str,
        text: str,
        *,
        reply_to: str | None = None,
        window_s: float = 0.0,
        subject: str = "",
        to: Sequence[str] = (),
        reason: str = "",
        refs: Sequence[str] = (),
        after: float = 0.0,
    ) -> dict[str, Any]:
        """Post on the task's thread; gives the message as it is shown. Raises what bzzzd answers.

        ``after`` is the Unix time of the newest message that the agent has read there.
        """
        signer, thread = self._signer, str(task["id"])
        asked = {"address": thread_address(signer.id, signer.role, task["project"], thread, "x")}
        prepared = await self._call("context.prepare", {**asked, "content_type": CONTENT_TYPE})
        said = Text(text=text[:TEXT_CHARS], subject=subject[:200], refs=tuple(refs), to=tuple(to), reason=reason[:500])
        _, params = post_params(
            signer.writer(prepared["epoch"]), said, thread=thread, kind=kind, project=task["project"],
            readers=prepared["readers"], at=dated(self._wall(), after), reply_to=reply_to, window_s=window_s,
        )  # fmt: skip
        answer = await self._surely("hmmm.post", params)
        found: dict[str, Any] = answer["message"]
        return found

    async def read(self, thread: str) -> list[dict[str, Any]]:
        """Every message of a thread, by time; raises ``NotFound`` where nobody has spoken yet."""
        answer = await self._call("hmmm.show", {"thread": thread, "limit": _PAGE})
        found: list[dict[str, Any]] = answer["messages"]
        return found

    async def keep_summary(self, task: Mapping[str, Any], make: Callable[[Sequence[str]], str]) -> tuple[str, str]:
        """Keep ``make(readers)`` as context; gives the text, and its version's id."""
        signer = self._signer
        address = summary_address(signer.id, signer.role, task["project"], str(task["id"]))
        prepared = await self._call("context.prepare", {"address": address, "content_type": SUMMARY_TYPE})
        text = make(prepared["readers"])
        version = write_version(
            signer.writer(prepared["epoch"]), address=address, content=text.encode(), content_type=SUMMARY_TYPE,
            readers=prepared["readers"], at=self._wall(), parents=prepared["heads"],
        )  # fmt: skip
        await self._surely("context.put", {"version": version.header, "content": version.content})
        return text, version.id

    async def _surely(self, method: str, params: Mapping[str, Any]) -> Any:
        """Something that is counted once however often it is sent: sent again while no answer comes."""
        for tries in range(1, _TRIES):
            try:
                return await self._call(method, params)
            except UnknownOutcome:
                await asyncio.sleep(_PAUSE_S * tries)
        return await self._call(method, params)

    async def _call(self, method: str, params: Mapping[str, Any]) -> Any:
        return await self._link.call(method, params, timeout=_ANSWER_S)
