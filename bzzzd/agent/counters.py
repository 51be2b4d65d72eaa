"""What an agent counts: plain integers that a scrape reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from bzzzd.agent.providers.base import Usage
from bzzzd.runtime.metrics import Family

ENDINGS = ("completed", "failed", "released", "lost", "refused")


class Counters:
    """``endings`` counts tasks by how they ended here; ``tokens`` by ``read`` and ``written``."""

    def __init__(self) -> None:
        self.endings: Counter[str] = Counter(dict.fromkeys(ENDINGS, 0))
        self.tokens: Counter[str] = Counter(read=0, written=0)
        self.model_calls = 0
        self.offers = 0
        self.renewals = 0

    def asked(self, usage: Usage) -> None:
        self.model_calls += 1
        self.tokens["read"] += usage.read or 0
        self.tokens["written"] += usage.written or 0

    def families(self, in_flight: Callable[[], int]) -> Iterator[Family]:
        """The metrics of these numbers, and of ``in_flight`` tasks."""
        yield Family.by(
            "bzzz_agent_tasks_total", "counter", "Claimed tasks by how they ended here.", "ending", self.endings
        )
        yield Family.one("bzzz_agent_tasks_in_flight", "gauge", "Tasks being worked on.", in_flight())
        yield Family.one("bzzz_agent_offers_total", "counter", "Offers received.", self.offers)
        yield Family.one("bzzz_agent_renewals_total", "counter", "Lease renewals sent.", self.renewals)
        yield Family.one("bzzz_agent_model_calls_total", "counter", "Answers of the model.", self.model_calls)
        yield Family.by(
            "bzzz_agent_model_tokens_total", "counter", "Tokens that the model read and wrote.", "kind", self.tokens
        )
