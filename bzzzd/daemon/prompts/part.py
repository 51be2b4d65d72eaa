"""The parts of prompts on one node, put together: questions, the view, and the desk for callers."""

from __future__ import annotations

from typing import Final

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.ledger.clerk import Clerk
from bzzzd.daemon.ledger.part import LedgerPart
from bzzzd.daemon.prompts.desk import PromptDesk
from bzzzd.daemon.prompts.questions import Questions
from bzzzd.daemon.prompts.view import PromptView
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.streams import Stream, StreamTable
from bzzzd.storage.versions.context import ContextStore

_STREAM_KEPT: Final = 4096


class PromptPart:
    """``incarnation`` is that of the node's streams."""

    def __init__(
        self, ledger: LedgerPart, clerk: Clerk, contexts: ContextStore, gate: Gate, mesh_id: str, incarnation: str
    ) -> None:
        questions = Questions(contexts)
        self._view = PromptView(ledger.seat, questions, gate, Stream(incarnation, keep=_STREAM_KEPT))
        self._desk = PromptDesk(clerk, contexts, questions, self._view, ledger.view, gate, mesh_id)
        ledger.keeper.prompted = self._view.changed
        ledger.keeper.anew = self._view.replaced

    def register(self, registry: Registry, streams: StreamTable) -> None:
        self._view.register(registry, streams)
        self._desk.register(registry)
