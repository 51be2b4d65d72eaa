"""The provider for a configured OpenAI-compatible endpoint, behind a circuit breaker."""

from __future__ import annotations

from bzzzd.agent.providers.base import Answer, OnText, Prompt
from bzzzd.agent.providers.chat import Chat, Endpoint
from bzzzd.runtime.breaker import Circuit, CircuitBreaker
from bzzzd.runtime.services import Health


class RemoteModel:
    """A model at an endpoint that somebody else runs. A service: it closes its connections at the stop."""

    name = "model"
    depends: tuple[str, ...] = ()
    small = False

    def __init__(self, endpoint: Endpoint, chat: Chat, breaker: CircuitBreaker) -> None:
        self._endpoint = endpoint
        self._chat = chat
        self._breaker = breaker

    @property
    def unusable(self) -> str:
        if self._breaker.state is Circuit.OPEN:
            return f"{self._endpoint.url} failed several times; next try in {self._breaker.retry_after_s:.0f} s"
        return ""

    async def start(self) -> None:
        """Nothing is opened before the first task."""

    async def stop(self) -> None:
        await self._chat.close()

    def health(self) -> Health:
        name = self._endpoint.model or "the endpoint's first model"
        return Health(detail=self.unusable or f"{name} at {self._endpoint.url}", degraded=bool(self.unusable))

    async def complete(self, prompt: Prompt, on_text: OnText) -> Answer:
        with self._breaker.calling():
            return await self._chat.complete(self._endpoint, prompt, on_text)
