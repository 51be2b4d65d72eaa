"""Which handlers an agent has: from its configuration, with the reason for each that cannot run here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bzzzd.agent.bwrap import Limits
from bzzzd.agent.counters import Counters
from bzzzd.agent.handlers.base import Handler
from bzzzd.agent.handlers.model import Answering, Summarise
from bzzzd.agent.handlers.programs import Command, External
from bzzzd.agent.providers.base import Provider
from bzzzd.agent.sandbox import Sandbox
from bzzzd.config.schema import HandlerSection
from bzzzd.errors import BadInput, ModelFailed, SandboxUnavailable

DEFAULT: Final = (
    HandlerSection(kind="answer", capability="summarise"),
    HandlerSection(kind="answer", capability="answer"),
)
# The capability that asks for a summary, whatever else the model answers.
_SUMMARISE: Final = "summarise"


@dataclass(frozen=True, slots=True)
class Parts:
    """What handlers are made of. ``no_model`` and ``no_sandbox`` say why one is missing."""

    provider: Provider | None
    sandbox: Sandbox | None
    counters: Counters
    max_tokens: int
    closed: Sequence[Path] = ()
    no_model: str = "ai.provider is none"
    no_sandbox: str = ""


def _limits(section: HandlerSection) -> Limits:
    return Limits(timeout_s=section.timeout_s, memory_mb=section.memory_mb, output_bytes=section.max_output_bytes)


def _sandbox(parts: Parts) -> Sandbox:
    if parts.sandbox is None:
        raise SandboxUnavailable(parts.no_sandbox)
    return parts.sandbox


def _answer(section: HandlerSection, parts: Parts) -> Handler:
    if parts.provider is None:
        raise ModelFailed(parts.no_model)
    kind = Summarise if section.capability == _SUMMARISE else Answering
    return kind(parts.provider, parts.counters, parts.max_tokens)


def _command(section: HandlerSection, parts: Parts) -> Handler:
    return Command(_sandbox(parts), _limits(section))


def _external(section: HandlerSection, parts: Parts) -> Handler:
    return External(_sandbox(parts), _limits(section), section.argv, parts.closed)


KINDS: Final[Mapping[str, Callable[[HandlerSection, Parts], Handler]]] = {
    "answer": _answer,
    "command": _command,
    "external": _external,
}


def needs_sandbox(sections: Sequence[HandlerSection]) -> bool:
    return any(section.kind in ("command", "external") for section in sections)


class Handlers:
    """Handlers by capability, and ``missing``: capabilities that were configured and cannot run here, with the reason.

    ``labels`` are further capabilities of the agent, served by its general handler.
    """

    def __init__(
        self, handlers: Mapping[str, Handler], *, labels: Sequence[str] = (), missing: Mapping[str, str] | None = None
    ) -> None:
        self._handlers = dict(handlers)
        self._general = next((handler for handler in handlers.values() if handler.general), None)
        self._labels = tuple(labels) if self._general else ()
        self.missing = dict(missing or {})
        if not self._general:
            self.missing.update({label: "no handler takes it" for label in labels if label not in handlers})

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What is advertised: all that can run."""
        return tuple(dict.fromkeys((*self._handlers, *self._labels)))

    def find(self, capability: str) -> Handler | None:
        """The handler for tasks of ``capability``; without one, or for one of the labels, the general handler."""
        handler = self._handlers.get(capability)
        if handler is None and (not capability or capability in self._labels):
            return self._general
        return handler

    def unusable(self, capability: str) -> str:
        """Why no task of ``capability`` can be done now, or empty."""
        handler = self.find(capability)
        return handler.unusable if handler else f"there is no handler for {capability or 'tasks without a capability'}"


def build(sections: Sequence[HandlerSection], labels: Sequence[str], parts: Parts) -> Handlers:
    """Make every configured handler that can run here; none configured means ``DEFAULT``."""
    made: dict[str, Handler] = {}
    missing: dict[str, str] = {}
    for section in sections or DEFAULT:
        try:
            made[section.capability] = KINDS[section.kind](section, parts)
        except (ModelFailed, SandboxUnavailable, BadInput) as error:
            missing[section.capability] = error.message
    return Handlers(made, labels=[label for label in labels if label not in missing], missing=missing)
