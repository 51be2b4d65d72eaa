"""Looking at prompts: lists, one prompt with its document, and the stream of what happens to them."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.prompts.questions import Questions
from bzzzd.errors import NotFound, StorageFailed, Unavailable, UnknownOutcome
from bzzzd.identity.caller import Caller
from bzzzd.rpc.access import attached
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.streams import Feed, Stream, StreamTable
from bzzzd.slurp.commands import Id
from bzzzd.slurp.ledger import Ledger, LedgerEvent
from bzzzd.slurp.prompt import Prompt, PromptState

_SHOWN: Final = 500
_PAGE: Final = 200
# How many prompts of others a list for one person passes over before it gives what it has.
_PASSED: Final = 5000
_PREFIX: Final = "prompt_"


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class ListParams(_Params, frozen=True):
    """``live``: only those that something can become of; ``for_me``: only those that wait for the caller.

    ``after`` is the ``next`` of the page before.
    """

    state: PromptState | None = None
    live: bool = False
    for_me: bool = False
    task: Id | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: Id | None = None


class PromptParams(_Params, frozen=True):
    id: Id


class PromptView:
    def __init__(self, ledger: Ledger, questions: Questions, gate: Gate, stream: Stream) -> None:
        self._ledger = ledger
        self._questions = questions
        self._gate = gate
        self._stream = stream

    # What happened.

    def changed(self, event: LedgerEvent) -> None:
        """Show an event of the ledger to whoever follows the stream."""
        if event.prompt is not None:
            self._stream.append(
                {
                    "kind": event.kind.removeprefix(_PREFIX), "number": event.number, "at": event.at, "by": event.by,
                    "prompt": event.prompt,
                }
            )  # fmt: skip

    def replaced(self) -> None:
        """The ledger was replaced as a whole: everything shown before is to be asked for again."""
        self._stream.append({"kind": "replaced", "at": time.time()})

    # Looking.

    def map(self, prompt: Prompt, caller: Caller) -> dict[str, Any]:
        """A prompt for a caller, with its title where it is in memory and the caller may read it."""
        shown = prompt.to_map()
        shown["title"] = self._questions.title(prompt.version, caller.role)
        shown["for_me"] = caller.kind in ("person", "admin") and prompt.awaits(caller.id, caller.role)
        return shown

    async def _full_map(self, prompt: Prompt, caller: Caller) -> dict[str, Any]:
        await self._questions.find(prompt.version, prompt.digest, caller.role)
        return self.map(prompt, caller)

    async def listing(self, call: Any, params: ListParams) -> dict[str, Any]:
        """Prompts, newest first, with titles where the caller may read them."""
        caller: Caller = call.caller
        self._gate.check(caller, "prompt.list", "prompt", "read")
        found: list[Prompt] = []
        after, passed = params.after, 0
        while len(found) < params.limit and passed < _PASSED:
            page = await self._ledger.list_prompts(
                live=params.live or params.for_me, state=params.state, task=params.task,
                limit=_PAGE if params.for_me else params.limit, after=after,
            )  # fmt: skip
            passed += len(page.prompts)
            for at, prompt in enumerate(page.prompts):
                if params.for_me and not self.map(prompt, caller)["for_me"]:
                    continue
                found.append(prompt)
                if len(found) == params.limit and at < len(page.prompts) - 1:
                    return await self._page(found, prompt.id, caller)
            after = page.next
            if after is None:
                break
        return await self._page(found, after, caller)

    async def _page(self, found: list[Prompt], next: str | None, caller: Caller) -> dict[str, Any]:
        return {"prompts": [await self._full_map(prompt, caller) for prompt in found], "next": next}

    async def show(self, call: Any, params: PromptParams) -> dict[str, Any]:
        """One prompt with its document's bytes, the asker's signed header and grants, and values of answers."""
        caller: Caller = call.caller
        self._gate.check(caller, "prompt.show", f"prompt:{params.id}", "read")
        prompt = await self._ledger.prompt(params.id)
        shown: dict[str, Any] = {"document": None, "header": b"", "chain": [], "address": ""}
        try:
            found = await self._questions.shown(prompt.version, prompt.digest, caller.role)
            shown = {
                "document": found.document, "header": found.header, "chain": list(found.chain),
                "address": found.address,
            }  # fmt: skip
        except (NotFound, Unavailable, UnknownOutcome, StorageFailed):
            pass  # its holders are away: the public fields are shown all the same, and nobody can answer blindly
        values = {}
        for reply in prompt.replies:
            value = await self._questions.value(reply.value, caller.role) if reply.value and caller.role else None
            if value is not None:
                values[reply.by] = value
        return {"prompt": self.map(prompt, caller), **shown, "values": values}

    def _feed(self, call: Any, name: str, filter: dict[str, Any]) -> Feed:
        caller: Caller = call.caller
        self._gate.check(caller, "prompt.list", "prompt", "read")
        task, only = filter.get("task"), filter.get("id")

        def view(item: dict[str, Any]) -> dict[str, Any] | None:
            prompt: Prompt | None = item.get("prompt")
            if prompt is None:
                return item
            if only not in (None, prompt.id) or task not in (None, prompt.task):
                return None
            return {**item, "prompt": self.map(prompt, caller)}

        async def snapshot() -> dict[str, Any]:
            try:
                if only is not None:
                    found = [await self._ledger.prompt(str(only))]
                else:
                    live = task is None
                    page = await self._ledger.list_prompts(live=live, task=None if live else str(task), limit=_SHOWN)
                    found = list(page.prompts)
            except (NotFound, Unavailable, UnknownOutcome):
                found = []  # those of a coordinator that is away come when it is back, as a `replaced`
            return {"prompts": [await self._full_map(prompt, caller) for prompt in found]}

        return Feed(self._stream, view, snapshot)

    def register(self, registry: Registry, streams: StreamTable) -> None:
        member = attached()
        registry.add("prompt.list", member, ListParams, self.listing, result="{prompts, next}", reads=True)
        registry.add(
            "prompt.show", member, PromptParams, self.show, reads=True,
            result="{prompt, document, header, chain, address, values}",
        )  # fmt: skip
        streams.add(
            "prompts", member, self._feed,
            "what happens to prompts; the snapshot has those that wait, or whose outcome is unknown; filter: task, id",
        )  # fmt: skip
