from bzzzd.agent.counters import Counters
from bzzzd.agent.providers.base import Usage
from bzzzd.runtime.metrics import Metrics


def test_what_is_counted_can_be_scraped() -> None:
    counters = Counters()
    counters.asked(Usage(3, 4))
    counters.asked(Usage(None, None))
    counters.endings["completed"] += 1
    metrics = Metrics("bzzz-agent", "0")
    metrics.contribute(lambda: counters.families(lambda: 2))
    page = metrics.render().decode()
    for line in (
        'bzzz_agent_model_tokens_total{kind="read"} 3.0',
        "bzzz_agent_model_calls_total 2.0",
        'bzzz_agent_tasks_total{ending="completed"} 1.0',
        'bzzz_agent_tasks_total{ending="lost"} 0.0',
        "bzzz_agent_tasks_in_flight 2.0",
    ):
        assert line in page
