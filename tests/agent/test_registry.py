from typing import Any

from bzzzd.agent.counters import Counters
from bzzzd.agent.handlers.base import Job, Product
from bzzzd.agent.handlers.model import Answering, Summarise
from bzzzd.agent.handlers.registry import Handlers, Parts, build, needs_sandbox
from bzzzd.agent.sandbox import Sandbox
from bzzzd.config.schema import HandlerSection
from tests.agent.helpers import ScriptedModel

COMMAND = HandlerSection(kind="command", capability="run")


def parts(**more: Any) -> Parts:
    return Parts(**{"provider": None, "sandbox": None, "counters": Counters(), "max_tokens": 10} | more)


class Empty:
    general = False
    unusable = ""
    act = "external"

    def action(self, job: Job) -> dict[str, Any]:
        return {}

    async def run(self, job: Job) -> Product:
        return Product(b"x")


def test_without_configuration_the_model_summarises_and_answers() -> None:
    found = build((), (), parts(provider=ScriptedModel()))
    assert found.capabilities == ("summarise", "answer")
    assert isinstance(found.find("summarise"), Summarise)
    assert isinstance(found.find("answer"), Answering)
    assert found.find("") is found.find("answer")
    assert found.find("unknown") is None
    assert found.missing == {}


def test_only_what_can_run_is_advertised_and_the_rest_has_its_reason() -> None:
    reason = "bwrap does not work here: no permission"
    found = build((COMMAND,), (), parts(no_sandbox=reason))
    assert (found.capabilities, found.missing) == ((), {"run": reason})
    without = build((), (), parts(no_model="ai.provider is none"))
    assert (without.capabilities, set(without.missing)) == ((), {"summarise", "answer"})
    assert "no handler" in found.unusable("run")


def test_a_program_that_may_not_be_shown_is_missing_with_its_reason() -> None:
    section = HandlerSection(kind="external", capability="ext", argv=("/usr/bin/python3", "/etc"))
    from pathlib import Path

    found = build((section,), (), parts(sandbox=Sandbox.__new__(Sandbox), closed=[Path("/etc/bzzz")]))
    assert "no sandbox may see" in found.missing["ext"]


def test_further_capabilities_are_labels_of_the_general_handler() -> None:
    found = build((), ("review", "answer"), parts(provider=ScriptedModel()))
    assert found.capabilities == ("summarise", "answer", "review")
    assert found.find("review") is found.find("answer")
    lonely = build((COMMAND,), ("review",), parts(sandbox=Sandbox.__new__(Sandbox)))
    assert (lonely.capabilities, lonely.missing) == (("run",), {"review": "no handler takes it"})


def test_handlers_of_a_programs_own_can_be_registered() -> None:
    found = Handlers({"empty": Empty()})
    assert found.capabilities == ("empty",)
    assert found.find("") is None


def test_only_programs_need_the_sandbox() -> None:
    assert needs_sandbox((COMMAND,))
    assert not needs_sandbox((HandlerSection(kind="answer", capability="x"),))
