"""Questions to other nodes, by key: typed answers, a time limit, and what went wrong in one kind of error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Final, TypeVar

from bzzzd.daemon.replicas.nodes import Nodes
from bzzzd.mesh.judging import Judging
from bzzzd.storage.versions.questions import (
    BLOB_PROTOCOL,
    VERSIONS_PROTOCOL,
    BlobQuestion,
    Question,
    encode,
    open_answer,
)

ASK_S: Final = 10.0
T = TypeVar("T")
# (peer id, protocol, data, seconds) -> answer: ``Mesh.request``.
Request = Callable[[str, str, bytes, float], Awaitable[bytes]]


class Asker:
    """Raises what the other node raised; ``Unavailable`` or ``UnknownOutcome`` when no answer came."""

    def __init__(self, request: Request, judge: Judging) -> None:
        self._request = request
        self._judge = judge
        self.sent_bytes = 0

    async def ask(self, node: bytes, question: Question, kind: type[T], timeout_s: float = ASK_S) -> T:
        """Ask about versions; the answer must be of ``kind``."""
        raw = encode(question)
        self.sent_bytes += len(raw)
        answer = await self._request(Nodes.peer_id(node), VERSIONS_PROTOCOL, raw, timeout_s)
        with self.judging(node):
            return open_answer(answer, kind)

    def judging(self, node: bytes) -> AbstractContextManager[None]:
        """Around the reading of what a node answered; see ``Judging.judging``."""
        return self._judge.judging(Nodes.peer_id(node))

    async def ask_blob(self, node: bytes, question: BlobQuestion, timeout_s: float = ASK_S) -> bytes:
        """Ask about content; gives the answer's bytes."""
        return await self._request(Nodes.peer_id(node), BLOB_PROTOCOL, encode(question), timeout_s)
