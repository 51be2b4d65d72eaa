"""Small things that several tests of the agent build on."""

from typing import Any

from bzzzd.agent.handlers.base import Job
from bzzzd.agent.lease import Lease, boottime
from bzzzd.agent.providers.base import Answer, OnText, Prompt, Usage
from bzzzd.slurp.brief import Brief


class ScriptedModel:
    """A provider whose answers the test writes; it keeps the prompts."""

    def __init__(self, *, small: bool = False, answer: str | Exception = "An answer.") -> None:
        self.small = small
        self.unusable = ""
        self.answer = answer
        self.prompts: list[Prompt] = []

    async def complete(self, prompt: Prompt, on_text: OnText) -> Answer:
        self.prompts.append(prompt)
        if isinstance(self.answer, Exception):
            raise self.answer
        for word in self.answer.split():
            on_text(word)
        return Answer(self.answer, "scripted-1", Usage(12, 34), cut=False, seconds=0.25)


def job(title: str = "Title", body: str = "", *, notes: list[str] | None = None, **args: Any) -> Job:
    def progress(done: float, total: float | None, note: str) -> None:
        if notes is not None:
            notes.append(note)

    task = {"id": "t-1", "project": "default", "capability": "x", "role": "", "priority": 5, "author": "alice"}
    return Job(task, Brief(title, body, args), Lease(boottime(), 60.0), progress)
