"""Who holds which task now, and how many each agent holds: the ledger's leases as the daemon's memory of them."""

from __future__ import annotations

from bzzzd.slurp.task import LEASED, Task


class Leases:
    """Follows tasks as they change; nothing here is durable, the ledger's rows are."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}
        self._loads: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def holder(self, task_id: str) -> str | None:
        """The agent that holds a task."""
        return self._holders.get(task_id)

    def load(self, agent_id: str) -> int:
        """How many tasks an agent holds."""
        return self._loads.get(agent_id, 0)

    def follow(self, task: Task) -> bool:
        """Take over a task's state; whether it is held."""
        holder = self._holders.pop(task.id, None)
        if holder is not None:
            self._loads[holder] -= 1
            if not self._loads[holder]:
                del self._loads[holder]
        if task.state not in LEASED or task.agent is None:
            return False
        self._holders[task.id] = task.agent
        self._loads[task.agent] = self._loads.get(task.agent, 0) + 1
        return True

    def clear(self) -> None:
        self._holders.clear()
        self._loads.clear()
