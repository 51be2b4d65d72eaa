"""Services and their manager: started by dependency, stopped in reverse, each with its own health."""

from __future__ import annotations

import asyncio
import graphlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from bzzzd.errors import BzzzError, RuntimeFailure, ServiceStartFailed
from bzzzd.runtime.phases import Phase, PhaseLog
from bzzzd.runtime.tasks import TaskOwner

State = Literal["starting", "ready", "degraded", "failed", "stopped"]
Report = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Health:
    """How a service is. ``degraded`` still serves; ``detail`` is one sentence for a person."""

    ok: bool = True
    detail: str = ""
    degraded: bool = False


class Service(Protocol):
    """One part of a process that starts and stops.

    ``start`` returns once the service serves; ``stop`` is called only after a ``start`` that returned or failed,
    and must work in both cases. ``health`` is called often and answers from memory.
    """

    @property
    def name(self) -> str: ...
    @property
    def depends(self) -> tuple[str, ...]: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def health(self) -> Health: ...


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One line of ``bzzz health``; ``since`` is Unix time in seconds."""

    name: str
    state: State
    ok: bool
    detail: str
    since: float
    depends: tuple[str, ...]
    phase: str

    def to_map(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "state": self.state,
            "ok": self.ok,
            "detail": self.detail,
            "since": self.since,
            "depends": list(self.depends),
            "phase": self.phase,
        }


@dataclass(slots=True)
class _Entry:
    service: Service
    phase: Phase
    state: State
    since: float
    fault: str = ""


class ServiceManager:
    """Starts services phase by phase, and undoes all of it when one fails.

    Within a phase a service starts after those it depends on; a dependency may lie in the same or an earlier
    phase. Starting is one after the other: the order is then the same at every start, and so is a failure's.

    ``report(event, fields)`` gets what happens, for the log. ``failed`` is set when a background task of a
    service has died: the service's health says so, and the process decides whether to go on.
    """

    def __init__(
        self,
        process: str,
        *,
        report: Report,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        stop_limit_s: float = 10.0,
    ) -> None:
        self.phases = PhaseLog(clock)
        self.failed = asyncio.Event()
        self._process = process
        self._report = report
        self._wall = wall
        self._stop_limit_s = stop_limit_s
        self._entries: dict[str, _Entry] = {}
        self._started: list[_Entry] = []
        self._owners: dict[str, TaskOwner] = {}
        self._ordered: tuple[Service, ...] | None = None

    def add(self, service: Service, phase: Phase) -> None:
        """Register a service for a phase that has not begun. Raises ``ServiceStartFailed`` for a name in use."""
        if service.name in self._entries:
            raise self._refuse(f"two services are named {service.name}", service.name)
        self._entries[service.name] = _Entry(service, phase, "stopped", self._wall())
        self._ordered = None

    def order(self) -> tuple[Service, ...]:
        """Every service in starting order.

        Raises ``ServiceStartFailed`` when a dependency is unknown, starts in a later phase, or leads in a circle.
        """
        if self._ordered is None:
            self._ordered = self._sort()
        return self._ordered

    def _sort(self) -> tuple[Service, ...]:
        for entry in self._entries.values():
            for name in entry.service.depends:
                other = self._entries.get(name)
                if other is None:
                    raise self._refuse(
                        f"service {entry.service.name} depends on {name}, which does not exist", entry.service.name
                    )
                if other.phase.number > entry.phase.number:
                    raise self._refuse(
                        f"service {entry.service.name} ({entry.phase.label}) depends on {name}, "
                        f"which starts later ({other.phase.label})",
                        entry.service.name,
                    )
        graph = graphlib.TopologicalSorter({name: set(e.service.depends) for name, e in self._entries.items()})
        try:
            names = list(graph.static_order())
        except graphlib.CycleError as error:
            circle = list(reversed(error.args[1]))
            raise self._refuse(f"services depend on each other in a circle: {' → '.join(circle)}", circle[0]) from None
        place = {name: index for index, name in enumerate(names)}
        ordered = sorted(self._entries.values(), key=lambda e: (e.phase.number, place[e.service.name]))
        return tuple(entry.service for entry in ordered)

    async def start(self) -> None:
        """Start all five phases; see ``start_phase``."""
        for phase in Phase:
            await self.start_phase(phase)

    async def start_phase(self, phase: Phase) -> None:
        """Start the services of one phase.

        When one fails, everything started so far is stopped again, in reverse, and the failure is raised: an
        error that has a code of its own as it is, any other as the phase's error with the service's name.
        """
        self.phases.begin(phase)
        try:
            for service in self.order():
                entry = self._entries[service.name]
                if entry.phase is phase:
                    await self._start_one(entry)
        except BaseException:
            await self.stop()
            self.phases.settle(PhaseLog.FAILED)
            raise
        done = self.phases.end()
        self._report("phase done", {"phase": phase.label, "took_s": round(done.took_s or 0.0, 4)})
        if phase is list(Phase)[-1]:
            self.phases.settle(PhaseLog.READY)

    async def _start_one(self, entry: _Entry) -> None:
        self._set(entry, "starting")
        self._started.append(entry)
        try:
            async with asyncio.timeout(entry.phase.limit_s) as limit:
                await entry.service.start()
        except BzzzError as error:
            self._set(entry, "failed", error.message, error.code)
            raise
        except Exception as error:
            why = f"took longer than {entry.phase.limit_s:g} s" if limit.expired() else _words(error)
            self._set(entry, "failed", why, entry.phase.error.code)
            raise entry.phase.error(
                f"service {entry.service.name} did not start: {why}", service=entry.service.name, process=self._process
            ) from error
        self._set(entry, "ready")

    async def stop(self) -> None:
        """Stop what was started, last first. One that fails or hangs is reported and does not keep the rest."""
        self.phases.settle(PhaseLog.STOPPING)
        while self._started:
            entry = self._started.pop()
            await self._stop_one(entry)
        self.phases.settle(PhaseLog.STOPPED)

    async def _stop_one(self, entry: _Entry) -> None:
        name = entry.service.name
        try:
            async with asyncio.timeout(self._stop_limit_s):
                await entry.service.stop()
        except Exception as error:  # a process boundary: the other services must still be stopped
            self._report(
                "service did not stop cleanly", {"service": name, "error": _words(error), "error_code": _code(error)}
            )
        owner = self._owners.pop(name, None)
        stuck = await owner.stop() if owner else ()
        if stuck:
            self._report(
                "tasks did not end", {"service": name, "tasks": list(stuck), "error_code": RuntimeFailure.code}
            )
        if entry.state != "failed":
            self._set(entry, "stopped")

    def owner(self, name: str) -> TaskOwner:
        """The owner of a service's background tasks; a task that dies turns the service's health to ``failed``."""
        if name not in self._owners:
            self._owners[name] = TaskOwner(lambda task, error: self._task_died(name, task, error))
        return self._owners[name]

    def spawn(self, name: str, task: str, work: Coroutine[Any, Any, Any], *, ends: bool = False) -> asyncio.Task[Any]:
        """Run a background task for the service ``name``; it is cancelled after the service's ``stop``."""
        return self.owner(name).spawn(f"{name}: {task}", work, ends=ends)

    def _task_died(self, name: str, task: str, error: BaseException | None) -> None:
        why = f"its task {task!r} ended: {_words(error) if error else 'it returned'}"
        self._report("background task died", {"service": name, "task": task, "exc_info": error})
        self.fail(name, why)

    def fail(self, name: str, why: str) -> None:
        """Mark a service as failed for good: for parts that die outside asyncio, like a thread."""
        entry = self._entries.get(name)
        if entry is not None and entry.state != "stopped":
            self._set(entry, "failed", why)
        self.failed.set()

    def rows(self) -> list[ServiceRow]:
        """The health of every service, in starting order."""
        return [self._row(self._entries[service.name]) for service in self.order()]

    def _row(self, entry: _Entry) -> ServiceRow:
        state, ok, detail = entry.state, entry.state == "ready", entry.fault
        if state == "ready":
            health = entry.service.health()
            ok, detail = health.ok, health.detail
            state = "failed" if not ok else "degraded" if health.degraded else "ready"
        depends = entry.service.depends
        return ServiceRow(entry.service.name, state, ok, detail, entry.since, depends, entry.phase.label)

    def not_ready(self) -> str:
        """Why the process is not ready, in one sentence; empty when it is."""
        if self.phases.reached != PhaseLog.READY:
            return f"{self._process} is in phase {self.phases.reached}"
        bad = [row for row in self.rows() if not row.ok]
        return "; ".join(f"{row.name}: {row.detail or row.state}" for row in bad)

    def _set(self, entry: _Entry, state: State, fault: str = "", code: str = "") -> None:
        entry.state, entry.fault, entry.since = state, fault, self._wall()
        if state != "stopped":
            why = {"why": fault, "error_code": code or RuntimeFailure.code} if fault else {}
            self._report(f"service {state}", {"service": entry.service.name, **why})

    def _refuse(self, message: str, service: str) -> RuntimeFailure:
        return ServiceStartFailed(message, service=service, process=self._process)


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, BzzzError) else RuntimeFailure.code


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
