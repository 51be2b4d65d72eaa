"""Which provider a configuration asks for, made ready; or the reason why there is none."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from bzzzd.agent.providers.chat import Chat, Endpoint, Patience
from bzzzd.agent.providers.embedded import EmbeddedModel, find_model
from bzzzd.agent.providers.remote import RemoteModel
from bzzzd.config.schema import AiSection
from bzzzd.crypto.keys import read_private
from bzzzd.errors import BadInput, ModelFailed
from bzzzd.runtime.breaker import CircuitBreaker

_KEY_BYTES = 4096


class Chosen(NamedTuple):
    """``why`` says why there is no provider; empty when there is one."""

    provider: EmbeddedModel | RemoteModel | None
    why: str = ""


def _breaker(name: str) -> CircuitBreaker:
    return CircuitBreaker(name, clock=time.monotonic, max_failures=3, open_s=30.0)


def choose(ai: AiSection, key_file: Path | None) -> Chosen:
    """The provider of the section ``ai``; ``key_file`` holds the endpoint's key.

    Raises ``KeyExposed`` or ``NotFound`` for a key file that cannot be used.
    """
    if ai.provider == "openai":
        key = _read_key(key_file) if key_file else ""
        endpoint = Endpoint(ai.endpoint.rstrip("/"), ai.model, key)
        patience = Patience(idle_s=ai.timeout_s, total_s=ai.total_timeout_s, retries=ai.retries)
        return Chosen(RemoteModel(endpoint, Chat(patience), _breaker(f"the model endpoint {endpoint.url}")))
    if ai.provider == "none":
        return Chosen(None, "ai.provider is none")
    try:
        model = find_model()
    except ModelFailed as error:
        return Chosen(None, error.message)
    # A failed call means that the child has ended; another one cannot mend it before the child is back.
    patience = Patience(idle_s=ai.timeout_s, total_s=ai.total_timeout_s, retries=0)
    return Chosen(EmbeddedModel(model, Chat(patience), _breaker("the embedded model")))


def _read_key(path: Path) -> str:
    text = read_private(path, _KEY_BYTES).decode("ascii", "replace").strip()
    if not text.isprintable() or not text.isascii() or " " in text:
        raise BadInput(f"the key file {path} must hold one token, on one line, in ASCII", path=str(path))
    return text
