"""What a model is asked and what it answers, whichever provider carries it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

OnText = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question. ``grammar`` (GBNF) binds the answer's form where the provider knows grammars."""

    system: str
    user: str
    max_tokens: int
    temperature: float = 0.3
    top_p: float = 0.9
    repeat_penalty: float = 1.1
    grammar: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written, as the provider counted them; ``None`` where it did not say."""

    read: int | None = None
    written: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. ``cut`` says that it ended at ``max_tokens``; ``seconds`` is the time of the call."""

    text: str
    model: str
    usage: Usage
    cut: bool
    seconds: float


class Provider(Protocol):
    """A model that can be asked.

    ``small`` models get short texts and a grammar. ``unusable`` is why it cannot be asked now, or
    empty. ``complete`` raises ``ModelFailed`` with the reason, or ``CircuitOpen`` after several of
    those in a row; it calls ``on_text`` with each piece as it comes.
    """

    @property
    def small(self) -> bool: ...
    @property
    def unusable(self) -> str: ...
    async def complete(self, prompt: Prompt, on_text: OnText) -> Answer: ...
