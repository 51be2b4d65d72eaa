"""The policy's word at the door: what this caller may do, asked once for each call."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bzzzd.config.roles import ACTS, ApprovalRule
from bzzzd.errors import NotAllowed, NotAttached
from bzzzd.identity.caller import Caller
from bzzzd.identity.grants import Grant
from bzzzd.identity.policy import Operation, Policy


class Gate:
    """``policy`` gives the policy in force now."""

    def __init__(self, policy: Callable[[], Policy]) -> None:
        self._policy = policy

    def check(self, caller: Caller, method: str, resource: str, operation: Operation) -> None:
        """Let a guest call what policy opens to guests, and a member what its role may do; else raise."""
        if caller.kind == "guest":
            if not self._policy().guest_may(method):
                raise NotAttached(
                    f"{method} needs a grant, and this session of uid {caller.uid} has shown none; "
                    "an administrator gives a person one with: sudo bzzz mesh admin add USER"
                )
        elif not self.may(caller, resource, operation):
            raise NotAllowed(
                f"role {caller.role} may not {operation} {resource}; see what roles may do with "
                "`bzzz mesh policy show`, and change it with: sudo bzzz mesh policy apply"
            )

    def may(self, caller: Caller, resource: str, operation: Operation) -> bool:
        return self._policy().can_access(caller.role, caller.capabilities, resource, operation)

    def check_grant(self, grant: Grant, resource: str, operation: Operation) -> None:
        """The same for a member that is not here: what its grant's role may do."""
        if not self._policy().can_access(grant.role, grant.capabilities, resource, operation):
            raise NotAllowed(f"role {grant.role} of {grant.kind} {grant.id} may not {operation} {resource}")

    def acts(self, role: str) -> dict[str, str]:
        """What policy makes of each act of a member of ``role``: ``free``, ``approve`` or ``no``."""
        policy = self._policy()
        return {act: policy.leave(role, act) for act in ACTS}

    def approval(self, act: str) -> ApprovalRule:
        """How people are asked before ``act``."""
        return self._policy().approval(act)

    def recipients(self, role: str, content_type: str) -> tuple[str, ...]:
        return self._policy().recipients(role, content_type)

    def plan_s(self, role: str) -> float:
        return self._policy().plan_s(role)

    def check_readers(self, role: str, content_type: str, readers: Iterable[str]) -> None:
        """A header may name fewer readers than policy does, never others."""
        allowed = self.recipients(role, content_type)
        extra = sorted(set(readers) - set(allowed))
        if extra:
            raise NotAllowed(
                f"policy does not let {', '.join(extra)} read {content_type} of role {role}; "
                f"leave them out (allowed: {', '.join(allowed)})"
            )
