"""A chat completion put together from its chunks, without I/O; nonsense raises ``ModelFailed``."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from bzzzd.agent.providers.base import Answer, Usage
from bzzzd.agent.text import clean, words
from bzzzd.errors import UNREADABLE, ModelFailed

# Far above what any answer needs: a token has about four characters.
_CHARS_PER_TOKEN: Final = 32
_END: Final = b"[DONE]"


class _Part(Struct):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(Struct):
    delta: _Part | None = None
    message: _Part | None = None
    finish_reason: str | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    model: str = ""
    error: Any = None


_DECODER: Final = msgspec.json.Decoder(_Chunk)


class Reply:
    """One answer as it comes. ``model`` is what was asked for, in case the endpoint does not say.

    ``signs`` counts tokens of every kind, those of a reasoning that is not kept among them.
    """

    def __init__(self, model: str, max_tokens: int) -> None:
        self._model = model
        self._limit = max_tokens * _CHARS_PER_TOKEN
        self._pieces: list[str] = []
        self._length = 0
        self._finish: str | None = None
        self._usage = Usage()
        self.ended = False
        self.signs = 0

    @property
    def begun(self) -> bool:
        """Whether a token has come; from then on the call is not repeated."""
        return bool(self._pieces)

    def feed(self, data: bytes) -> str:
        """Take one chunk (or a whole completion); gives the new text, which may be empty."""
        if data.strip() == _END:
            self.ended = True
            return ""
        try:
            chunk = _DECODER.decode(data)
        except UNREADABLE as error:
            raise ModelFailed(f"the model endpoint sent nonsense: {words(error)}", reason="nonsense") from error
        if chunk.error:
            raise ModelFailed(f"the model endpoint reported: {words(chunk.error)}", reason="endpoint_error")
        if chunk.usage:
            self._usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        self._model = words(chunk.model) or self._model
        text = ""
        for choice in chunk.choices[:1]:
            part = choice.delta or choice.message
            text = clean(part.content or "") if part else ""
            if part and (part.content or part.reasoning_content):
                self.signs += 1
            self._finish = choice.finish_reason or self._finish
        if text:
            self._pieces.append(text)
            self._length += len(text)
            if self._length > self._limit:
                raise ModelFailed("the model wrote far more than it was asked for", reason="too_large")
        return text

    def finish(self, seconds: float) -> Answer:
        """The whole answer, once the stream has ended; a stream that was cut, or empty, raises."""
        if self._finish is None and not self.ended:
            raise ModelFailed("the model endpoint cut its stream before the answer was whole", reason="cut_stream")
        text = "".join(self._pieces).strip()
        if not text:
            raise ModelFailed("the model answered nothing", reason="empty")
        return Answer(text, self._model, self._usage, cut=self._finish == "length", seconds=seconds)
