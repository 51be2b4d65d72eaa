"""Policy's word on tasks and prompts, as the ledger asks it."""

from __future__ import annotations

from collections.abc import Callable

from bzzzd.daemon.membership.guests import METHOD as ASK
from bzzzd.daemon.membership.members import Members
from bzzzd.errors import GrantRefused
from bzzzd.identity.policy import Policy
from bzzzd.slurp.commands import Author
from bzzzd.slurp.prompt import Reply
from bzzzd.slurp.task import Task

_PROMPT = "prompt"


class Rights:
    """``may`` and ``holds`` are those of ``slurp.ledger.Rules``; ``policy`` gives the one in force now."""

    def __init__(self, members: Members, policy: Callable[[], Policy]) -> None:
        self._members = members
        self._policy = policy

    def may(self, author: Author, operation: str, task: Task) -> bool:
        """Submitting needs the right to write tasks, somebody else's the right to write it.

        Asking people and answering need the right to write prompts.
        """
        policy = self._policy()
        if author.kind == "node":  # for a guest, and never more than a submit
            return operation == "submit" and policy.guest_may(ASK)
        resource = {"ask": _PROMPT, "answer": _PROMPT, "submit": "task"}.get(operation, f"task:{task.id}")
        return policy.can_access(author.role, author.capabilities, resource, "write")

    def holds(self, reply: Reply) -> bool:
        """Whether somebody who answered may still: their grant holds now, and their role may answer."""
        try:
            grant = self._members.grant_of(reply.key)
        except GrantRefused:
            return False
        return grant.id == reply.by and self._policy().can_access(grant.role, grant.capabilities, _PROMPT, "write")
