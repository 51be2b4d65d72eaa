"""A line in the log for everything about prompts that was refused, and for what an administrator must know of them."""

from __future__ import annotations

from typing import Final

import structlog

from bzzzd.errors import BzzzError, StorageFailed, Unavailable, UnknownOutcome, unexpected
from bzzzd.slurp.commands import Command, PromptCommand
from bzzzd.slurp.ledger import LedgerEvent

_LOG: Final = structlog.get_logger()
_WORTH_A_LINE: Final = frozenset({"prompt_unknown", "prompt_reopened", "prompt_expired", "prompt_settled"})


def refused(error: BzzzError, *, op: str, by: str, prompt: str = "", task: str = "") -> None:
    """``op`` of ``by`` (``KIND:ID``) did not count. What could not be judged now, for whatever fault, is no refusal."""
    if isinstance(error, Unavailable | UnknownOutcome | StorageFailed) or unexpected(error):
        return
    _LOG.warning(
        f"prompt {op} refused", audit="prompt", op=op, by=by, error_code=error.code, prompt_id=prompt, task_id=task,
        why=error.message,
    )  # fmt: skip


def command_refused(error: BzzzError, command: Command, by: str) -> None:
    """The same for a command that was opened; others than those about prompts are no affair of the audit."""
    if isinstance(command, PromptCommand):
        op = type(command).__name__.lower()
        refused(error, op=op, by=by, prompt=command.prompt, task=command.task)


def entered(event: LedgerEvent) -> None:
    """An entry of the ledger kept here; answers and what is begun on them leave a line too."""
    prompt = event.prompt
    if prompt is None:
        return
    if event.kind in _WORTH_A_LINE or event.kind in ("prompt_answered", "prompt_begun"):
        _LOG.info(
            event.kind.replace("_", " "), audit="prompt", by=event.by, prompt_id=prompt.id, task_id=prompt.task,
            state=prompt.state, verdict=prompt.verdict,
        )  # fmt: skip
